"""How all plots look: inline SVG whose colours the page's style sheet decides."""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Stand-ins that the page's CSS replaces, so that one drawing suits light and dark.
COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--grid)",
    "#030303": "var(--blue)",
    "#040404": "var(--orange)",
    "#050505": "var(--red)",
    "#060606": "var(--green)",
}
INK, GRID, BLUE, ORANGE, RED, GREEN = COLOURS

STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "perfkit",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}


def svg(figure: Figure, axes: Axes, description: str) -> str:
    """Return the figure as an SVG element without fixed size or colours."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper left", ncols=4, bbox_to_anchor=(0, 1.18), borderaxespad=0)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) (?:width)="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) (?:height)="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
    for stand_in, variable in COLOURS.items():
        text = text.replace(stand_in, variable)
    return text
