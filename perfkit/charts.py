"""Draws a comparison of peers as SVG files, to be shown beside its page."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from perfkit.comparison import Document, samples_of
from perfkit.turns import FLOOR, NULL, OURS, Samples, ratio

# Told apart by those who see no red or no green, too (Okabe and Ito).
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8c564b", "#7f7f7f", "#bcbd22"]
OUR_COLOUR = "#d55e00"
STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "perfkit",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e0e0e0",
    "legend.frameon": False,
}


def draw(document: Document) -> dict[str, str]:
    """Return the charts of what the document holds, by file name."""
    charts = {}
    with mpl.rc_context(STYLE):
        for phase, label in (
            ("process", f"times the time of {FLOOR}"),
            ("wire", f"times the server's CPU time of {FLOOR}"),
        ):
            if document.get(phase):
                samples = samples_of(document[phase])
                charts[f"peers-{phase}.svg"] = _ratios(document, samples, label)
        for curve, by_peer in (document.get("curves") or {}).items():
            title = document["curve_titles"][curve]
            charts[f"peers-{curve}.svg"] = _curve(document, by_peer, title)
    return charts


def _ratios(document: Document, samples: Samples, label: str) -> str:
    """Draw one line for each row and one mark for each peer."""
    rows = [row for row in document["rows"] if row["name"] in samples]
    figure, axes = _axes(0.42 * len(rows) + 1.4)
    for peer, look in _looks(document).items():
        found = [ratio(samples[row["name"]], peer, FLOOR).value for row in rows]
        axes.plot(found, range(len(rows)), linestyle="none", marker="o", label=peer, **look)
    axes.axvline(1.0, color="#404040", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"{label}, log scale")
    return _svg(figure, axes)


def _curve(document: Document, by_peer: Mapping[str, Mapping[str, Any]], title: str) -> str:
    """Draw one line for each peer."""
    figure, axes = _axes(3.4)
    looks = _looks(document) | {FLOOR: {"color": "#404040"}}
    for peer, look in looks.items():
        points = by_peer.get(peer, {})
        at = [int(point) for point in points]
        microseconds = [point["seconds"] * 1e6 for point in points.values()]
        axes.plot(at, microseconds, marker="o", markersize=4, label=peer, **look)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(title)
    axes.set_ylabel("microseconds for a request")
    return _svg(figure, axes)


def _looks(document: Document) -> dict[str, dict[str, Any]]:
    """Return how each peer is drawn: ours last, and so above the others."""
    others = [peer for peer in document["peers"] if peer not in (NULL, FLOOR, OURS)]
    looks: dict[str, dict[str, Any]] = {
        peer: {"color": COLOURS[number % len(COLOURS)]} for number, peer in enumerate(others)
    }
    if OURS in document["peers"]:
        looks[OURS] = {"color": OUR_COLOUR, "linewidth": 2.5, "zorder": 3}
    return looks


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.6, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, axes: Axes) -> str:
    axes.legend(loc="lower left", ncols=5, bbox_to_anchor=(0, 1.0), borderaxespad=0.3)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    return buffer.getvalue()
