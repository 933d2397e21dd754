"""Plots of a run over time as inline SVG whose colours the page's style sheet decides."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from perfkit.drawing import BLUE, GREEN, ORANGE, RED, STYLE, svg
from perfkit.results import TOTAL, Results, TimelineRow
from perfkit.scrape import ServerSecond


def draw(results: Results, server: Sequence[tuple[float, ServerSecond]]) -> dict[str, str]:
    """Return the plots by title; seconds after the users had stopped are left out."""
    end = max(1, int(results.elapsed_s))
    rows = [row for row in results.timeline if row.route == TOTAL and row.at < end]
    seen = [(at, second) for at, second in server if 0 <= at <= end]
    with mpl.rc_context(STYLE):
        return {
            "Requests per second": _rate(rows, seen, end),
            "Latency": _latency(rows, seen, end),
            "Failures per second": _failures(rows, end),
        }


def _rate(
    rows: Sequence[TimelineRow], server: Sequence[tuple[float, ServerSecond]], end: int
) -> str:
    figure, axes = _axes(end)
    axes.plot(*_series(rows, [float(row.requests) for row in rows]), color=BLUE, label="client")
    counts = [_per_second(server, index) for index in range(1, len(server))]
    if counts:
        axes.plot(
            [at - 0.5 for at, _ in server[1:]], counts,
            color=GREEN, linestyle="--", linewidth=1.2, label="server",
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    return svg(figure, axes, "Requests answered in each second, by client and server")


def _per_second(server: Sequence[tuple[float, ServerSecond]], index: int) -> float:
    (before, _), (at, second) = server[index - 1], server[index]
    return second.requests / (at - before)


def _latency(
    rows: Sequence[TimelineRow], server: Sequence[tuple[float, ServerSecond]], end: int
) -> str:
    figure, axes = _axes(end)
    answered = [(row, row.latency) for row in rows if row.latency is not None]
    for key, colour in (("p50_ms", BLUE), ("p95_ms", ORANGE), ("p99_ms", RED)):
        values = [getattr(latency, key) for _, latency in answered]
        at, heights = _series([row for row, _ in answered], values)
        axes.plot(at, heights, color=colour, label=key.removesuffix("_ms"))
    own = [(at - 0.5, second.p95_ms) for at, second in server if second.p95_ms is not None]
    if own:
        axes.plot(*zip(*own, strict=True), color=GREEN, linestyle="--", linewidth=1.2,
                  label="p95 by the server")  # fmt: skip
    if answered:
        axes.set_yscale("log")
        lowest, highest = axes.get_ylim()
        axes.set_ylim(lowest / 1.5, highest * 1.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_ylabel("ms, log scale")
    return svg(figure, axes, "Latency percentiles of each second")


def _failures(rows: Sequence[TimelineRow], end: int) -> str:
    figure, axes = _axes(end, height=1.7)
    axes.bar(*_series(rows, [float(row.failures) for row in rows]), width=0.9, color=RED)
    axes.set_ylim(0, max(1, *(row.failures for row in rows)) * 1.1 if rows else 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    return svg(figure, axes, "Failed requests in each second")


def _axes(end: int, height: float = 2.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.6, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("seconds since the start")
    axes.set_xlim(0, end)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def _series(
    rows: Sequence[TimelineRow], values: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Place what happened during a second in its middle."""
    return [row.at + 0.5 for row in rows], list(values)
