"""Plots of a gain over what it depends on, as SVG files that suit light and dark readers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from perfkit.claims.judging import Curve, Verdict, axis_of, curves
from perfkit.claims.wording import point_text, text_of, three
from perfkit.drawing import BLUE, GREEN, INK, ORANGE, RED, STYLE, svg

# What the page's style sheet is to inline plots, for one that stands alone.
COLOURS = """<style>
svg { --ink: #333; --grid: #ccc; --blue: #06c; --orange: #c60; --red: #c22; --green: #283 }
@media (prefers-color-scheme: dark) {
svg { --ink: #ddd; --grid: #555; --blue: #6af; --orange: #fa5; --red: #f77; --green: #7c8 } }
</style>"""


def plot(results: Mapping[str, Any], verdict: Verdict) -> str | None:
    """Return the gain over the first parameter with numbers; None when there is no such."""
    axis = axis_of(results)
    if axis is None:
        return None
    drawn = [curve for curve in curves(verdict, axis) if _finite(curve)]
    if not drawn:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 3.2), layout="constrained")
        axes = figure.add_subplot()
        colours = cycle((BLUE, ORANGE, GREEN, RED))
        for curve, colour in zip(drawn, colours, strict=False):
            _draw(axes, curve, axis, colour)
        _scales(axes, axis, sorted({point.point[axis] for c in drawn for point in c.points}))
        text = svg(figure, axes, f"How many times as good, by {axis.replace('_', ' ')}")
    return text.replace(">", f">{COLOURS}", 1) + "\n"


def _finite(curve: Curve) -> bool:
    gains = [point.effect.gain for point in curve.points]
    return len(gains) > 1 and all(
        gain is not None and gain.low > 0 and gain.high < math.inf for gain in gains
    )


def _draw(axes: Axes, curve: Curve, axis: str, colour: str) -> None:
    at = [point.point[axis] for point in curve.points]
    gains = [gain for point in curve.points if (gain := point.effect.gain) is not None]
    label = point_text(curve.label) or None
    axes.plot(at, [gain.estimate for gain in gains], color=colour, marker="o", label=label)
    axes.fill_between(
        at, [gain.low for gain in gains], [gain.high for gain in gains],
        color=colour, alpha=0.25, linewidth=0,
    )  # fmt: skip
    if curve.break_even is not None:
        axes.axvline(curve.break_even, color=colour, linestyle=":", linewidth=1.2)


def _scales(axes: Axes, axis: str, values: list[float]) -> None:
    axes.axhline(1, color=INK, linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    if values[0] > 0:
        axes.set_xscale("log")
    else:
        # Nothing has no logarithm: below the next value the axis is linear.
        axes.set_xscale("symlog", linthresh=values[1])
        axes.set_xlim(left=-values[1] / 10)
    axes.set_xticks(values, [text_of(value) for value in values])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{three(value)}\N{MULTIPLICATION SIGN}")
    )
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(axis.replace("_", " "))
    axes.set_ylabel("times as good, log scale")
