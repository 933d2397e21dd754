"""Draws the diagram of decisions, or the part of it that a route's plan keeps.

A `Chart` says which boxes there are and what leads where; `draw_svg` and `draw_mermaid`
turn one into text. Boxes stand where the Webmachine chart has them: the letter of an id is
its column, the number its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap
from typing import NamedTuple

from restmachine.decisions import DIAGRAM, START, Effect, Target
from restmachine.layout import Cell, Layout, Link, Way, free_neighbour, lay_out
from restmachine.plan import Plan
from restmachine.problems import phrase
from restmachine.steps import Step

__all__ = ["Chart", "chart_of_diagram", "chart_of_plan", "draw_mermaid", "draw_svg"]


class Box(NamedTuple):
    """Something drawn: its kind is `start`, `decision`, `effect` or `status`."""

    kind: str
    title: str
    text: str


class Edge(NamedTuple):
    """What leads from one box to another: the answer `yes` or `no`, or nothing to say."""

    source: str
    target: str
    answer: str = ""


@dataclass
class Chart:
    """Boxes by name, and edges between them.

    A row's name is its id. Each status is a box of its own beside the row that ends in it,
    named `<row>.<answer>`.
    """

    title: str
    boxes: dict[str, Box] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def begin(self, title: str, first: Target) -> None:
        """Add where every request comes in."""
        self.boxes["start"] = Box("start", title, "")
        self.lead("start", "", first)

    def add(self, id: str) -> None:
        """Add the box of a row of the diagram."""
        row = DIAGRAM[id]
        if isinstance(row, Effect):
            self.boxes[id] = Box("effect", id, row.text)
        else:
            self.boxes[id] = Box("decision", id, row.question.text)

    def lead(self, source: str, answer: str, target: Target) -> None:
        """Add an edge, and the box of the status if it ends in one."""
        if isinstance(target, int):
            status, target = target, f"{source}.{answer}" if answer else f"{source}.end"
            self.boxes[target] = Box("status", str(status), phrase(status))
        self.edges.append(Edge(source, target, answer))


def chart_of_diagram() -> Chart:
    """Return the chart of the whole diagram."""
    chart = Chart(f"How a request is answered: the {decision_count()} decisions of restmachine")
    for id in DIAGRAM:
        chart.add(id)
    chart.begin("Request", START)
    for id, row in DIAGRAM.items():
        if isinstance(row, Effect):
            chart.lead(id, "", row.then)
        else:
            chart.lead(id, "yes", row.yes)
            chart.lead(id, "no", row.no)
    return chart


def chart_of_plan(plan: Plan) -> Chart:
    """Return the chart of what can happen to a request of a plan."""
    name = f"{plan.method} {plan.template}"
    steps = list(steps_of(plan))
    kept = sum(not isinstance(DIAGRAM[step.id], Effect) for step in steps)
    chart = Chart(f"{name}: {kept} of {decision_count()} decisions can fire")
    for step in steps:
        chart.add(step.id)
    chart.begin(name, _target_of(plan.first))
    for step in steps:
        if isinstance(DIAGRAM[step.id], Effect):
            chart.lead(step.id, "", _target_of(step.yes))
        else:
            chart.lead(step.id, "yes", _target_of(step.yes))
            chart.lead(step.id, "no", _target_of(step.no))
    return chart


def steps_of(plan: Plan) -> Iterator[Step]:
    """Yield the steps of a plan that stand for a row each.

    A look past several absent fields at once (`plan.skip_absent_fields`) bears the id of
    the first row it skips, and leads to that row where one of the fields was sent.
    """
    for step in plan.steps():
        if not (isinstance(step.no, Step) and step.no.id == step.id):
            yield step


def kept_decisions(plan: Plan) -> int:
    """Return how many decisions of the diagram a plan still asks."""
    return sum(not isinstance(DIAGRAM[step.id], Effect) for step in steps_of(plan))


def decision_count() -> int:
    """Return how many decisions the diagram has."""
    return sum(not isinstance(row, Effect) for row in DIAGRAM.values())


def _target_of(step: Step | int) -> Target:
    if isinstance(step, Step):
        return step.id if step.id in DIAGRAM else int(step.id)
    return step


_CLASSES: Mapping[str, tuple[str, str]] = {
    "start": ("#ffffff", "#57606a"),
    "decision": ("#ffffff", "#57606a"),
    "effect": ("#f3ecff", "#8250df"),
    "s2": ("#dcf5e3", "#1a7f37"),
    "s3": ("#dceeff", "#0969da"),
    "s4": ("#fff1cc", "#9a6700"),
    "s5": ("#ffe3e0", "#cf222e"),
}
"""Fill and outline by kind of box, statuses by their class."""


def class_of(box: Box) -> str:
    """Return the key of a box in the table of colours."""
    return f"s{box.title[0]}" if box.kind == "status" else box.kind


def draw_mermaid(chart: Chart) -> str:
    """Return a chart as a Mermaid flowchart."""
    lines = ["---", f"title: {chart.title!r}", "---", "flowchart TD"]
    for name, box in chart.boxes.items():
        opening, closing = {"decision": ("{{", "}}"), "effect": ("[[", "]]")}.get(
            box.kind, ("([", "])")
        )
        words = f"<b>{_mermaid_text(box.title)}</b>"
        if box.text:
            separator = " " if box.kind == "status" else "<br/>"
            words += separator + _mermaid_text(box.text)
        lines.append(f'    {_mermaid_id(name)}{opening}"{words}"{closing}:::{class_of(box)}')
    for edge in chart.edges:
        arrow = f"-->|{edge.answer}|" if edge.answer else "-->"
        lines.append(f"    {_mermaid_id(edge.source)} {arrow} {_mermaid_id(edge.target)}")
    used = sorted({class_of(box) for box in chart.boxes.values()})
    for name in used:
        fill, stroke = _CLASSES[name]
        lines.append(f"    classDef {name} fill:{fill},stroke:{stroke},color:#1f2328")
    return "\n".join(lines) + "\n"


def _mermaid_id(name: str) -> str:
    return name.replace(".", "_")


def _mermaid_text(text: str) -> str:
    return escape(text, quote=False).replace('"', "#quot;").replace("{", "#123;")


_OWN_PLACES: Mapping[str, str] = {
    "A1": "B15",
    "A2": "B14",
    "M20b": "N20",
    "accept": "P9",
    "produce": "P16",
}
"""Where the rows stand that the Webmachine chart does not have."""

_UP, _RIGHT, _DOWN, _LEFT = (0, -1), (1, 0), (0, 1), (-1, 0)


def place_of(id: str) -> Cell:
    """Return the cell of a row: its letter is the column and its number the row."""
    place = _OWN_PLACES.get(id, id)
    return ord(place[0]) - ord("A"), int(place[1:])


def cells_of(chart: Chart) -> dict[str, Cell]:
    """Return the cell of every box: rows by their ids, the others beside what they belong to."""
    cells = {name: place_of(name) for name in chart.boxes if name in DIAGRAM}
    first = next(edge.target for edge in chart.edges if edge.source == "start")
    if first in cells:
        cells["start"] = free_neighbour(cells[first], cells.values(), (_DOWN, _LEFT, _UP))
    else:
        cells["start"], cells[first] = (0, 0), (1, 0)
    kept_free = set(_between(cells, chart.edges))
    for name, box in chart.boxes.items():
        if box.kind == "status" and name not in cells:
            beside = cells[name.partition(".")[0]]
            taken = kept_free.union(cells.values())
            cells[name] = free_neighbour(beside, taken, _sides_for_status(beside))
    return cells


def _between(cells: Mapping[str, Cell], edges: Iterable[Edge]) -> Iterator[Cell]:
    """Yield the cells that an edge can cross in a straight line if nothing stands there."""
    for source, target, _ in edges:
        if source in cells and target in cells:
            (x, y), (u, v) = cells[source], cells[target]
            if x == u:
                yield from ((x, row) for row in range(min(y, v) + 1, max(y, v)))
            elif y == v:
                yield from ((column, y) for column in range(min(x, u) + 1, max(x, u)))


def _sides_for_status(cell: Cell) -> tuple[Cell, ...]:
    """Return on which side of a row its statuses stand, away from where the chart goes on."""
    column, row = cell
    if column <= 1:
        return (_LEFT, _UP, _DOWN)
    if row <= 6 and column >= 8:
        return (_UP, _DOWN, _RIGHT)
    return (_DOWN, _RIGHT, _UP, _LEFT)


_BOX = (142, 70)
_PILL = (134, 40)
_CHANNELS = (42, 34)
_LANE = 9
_MARGIN = 24
_HEADER = 74
_TEXT_COLUMNS = 22
_LINE = 13

_STYLE = """\
text { font: 11px Arial, Helvetica, "Liberation Sans", sans-serif; fill: #1f2328; text-anchor: middle }
.title { font-size: 20px; font-weight: bold; text-anchor: start }
.key { text-anchor: start }
.id { font-size: 12px; font-weight: bold }
path { fill: none; stroke-width: 1.4; stroke: #57606a }
path.yes { stroke: #1a7f37 } path.no { stroke: #bc4c00 }
text.yes, text.no { font-size: 10px; font-weight: bold; paint-order: stroke; stroke: #fff; stroke-width: 3px }
text.yes { fill: #1a7f37 } text.no { fill: #bc4c00 }
rect { stroke-width: 1.4 }"""  # noqa: E501 - a line of CSS for each kind of thing


class _Axis:
    """Pixels along one axis: cells of one size between channels as wide as their lanes need."""

    def __init__(
        self, cells: int, size: int, channel: int, widths: Mapping[int, int], start: int
    ) -> None:
        self._middles: list[float] = []
        edge = float(start)
        for line in range(2 * cells + 1):
            lanes = widths.get(line, 1)
            extent = size if line % 2 else channel + (lanes - 1) * _LANE
            self._middles.append(edge + extent / 2)
            edge += extent
        self.end = edge

    def at(self, line: int, lane: int = 0) -> float:
        """Return the coordinate of a line of the grid, or of a lane beside it."""
        return self._middles[line] + lane * _LANE


def draw_svg(chart: Chart) -> str:
    """Return a chart as an SVG document that needs nothing else."""
    layout = lay_out(cells_of(chart), [Link(edge.source, edge.target) for edge in chart.edges])
    columns, rows = layout.size
    x = _Axis(columns, _BOX[0], _CHANNELS[0], _widths(layout, vertical=True), _MARGIN)
    y = _Axis(rows, _BOX[1], _CHANNELS[1], _widths(layout, vertical=False), _HEADER)
    width, height = max(x.end + _MARGIN, 700.0), y.end + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}">',
        f"<title>{escape(chart.title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        _arrow_heads(),
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="title" x="{_MARGIN}" y="34">{escape(chart.title)}</text>',
        *_legend(),
    ]
    drawn = [
        _Line(edge, way, chart.boxes, x, y)
        for edge, way in zip(chart.edges, layout.ways, strict=True)
    ]
    parts += [line.path() for line in drawn]
    for name, box in chart.boxes.items():
        column, row = layout.cells[name]
        parts += _box(name, box, x.at(2 * column + 1), y.at(2 * row + 1))
    parts += [line.label() for line in drawn if line.edge.answer]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _widths(layout: Layout, vertical: bool) -> dict[int, int]:
    return {line: lanes for (is_vertical, line), lanes in layout.channels.items()
            if is_vertical is vertical}  # fmt: skip


def size_of(box: Box) -> tuple[int, int]:
    """Return the width and height of a box, in pixels."""
    return _BOX if box.kind in ("decision", "effect") else _PILL


class _Line:
    """One edge in pixels."""

    def __init__(self, edge: Edge, way: Way, boxes: Mapping[str, Box], x: _Axis, y: _Axis) -> None:
        self.edge = edge
        points = [(x.at(column), y.at(row)) for column, row in way.corners]
        for index, lane in enumerate(way.lanes):
            (column, row), (following, _) = way.corners[index], way.corners[index + 1]
            for end in (index, index + 1):
                if column == following:
                    points[end] = (x.at(column, lane), points[end][1])
                else:
                    points[end] = (points[end][0], y.at(row, lane))
        points[0] = _at_border(points[0], points[1], size_of(boxes[edge.source]))
        points[-1] = _at_border(points[-1], points[-2], size_of(boxes[edge.target]))
        self.points = points

    def path(self) -> str:
        """Return the line with round corners and an arrow head."""
        points = self.points
        words = [f"M{points[0][0]:g} {points[0][1]:g}"]
        for before, here, after in zip(points, points[1:], points[2:], strict=False):
            near, far = _towards(here, before), _towards(here, after)
            words.append(f"L{near[0]:g} {near[1]:g}Q{here[0]:g} {here[1]:g} {far[0]:g} {far[1]:g}")
        words.append(f"L{points[-1][0]:g} {points[-1][1]:g}")
        kind = self.edge.answer or "then"
        return f'<path class="{kind}" marker-end="url(#{kind})" d="{"".join(words)}"/>'

    def label(self) -> str:
        """Return the answer, written beside the beginning of the line."""
        (x, y), (u, v) = self.points[0], self.points[1]
        if x == u:
            x, y = x + 11, y + (13 if v > y else -6)
        else:
            x, y = x + (12 if u > x else -12), y - 4
        answer = self.edge.answer
        return f'<text class="{answer}" x="{x:g}" y="{y:g}">{answer}</text>'


def _at_border(
    middle: tuple[float, float], towards: tuple[float, float], size: tuple[int, int]
) -> tuple[float, float]:
    """Return where a line from the middle of a box leaves it."""
    (x, y), (u, v) = middle, towards
    if x == u:
        return x, y + (size[1] / 2 if v > y else -size[1] / 2)
    return x + (size[0] / 2 if u > x else -size[0] / 2), y


def _towards(here: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the point six pixels from *here*, or half the way if that is less."""
    across, down = other[0] - here[0], other[1] - here[1]
    length = abs(across) + abs(down)
    part = min(6.0, length / 2) / length if length else 0.0
    return here[0] + across * part, here[1] + down * part


def _box(name: str, box: Box, x: float, y: float) -> list[str]:
    width, height = size_of(box)
    fill, stroke = _CLASSES[class_of(box)]
    radius = 8 if box.kind in ("decision", "effect") else height / 2
    lines = _lines_of(box)
    first = y - (len(lines) * _LINE) / 2 + 10
    return [
        f'<g class="{box.kind}" id="{escape(name)}">',
        f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width}" height="{height}" '
        f'rx="{radius:g}" fill="{fill}" stroke="{stroke}"/>',
        f'<text class="id" x="{x:g}" y="{first:g}">{escape(lines[0])}</text>',
        *(
            f'<text x="{x:g}" y="{first + index * _LINE:g}">{escape(line)}</text>'
            for index, line in enumerate(lines[1:], start=1)
        ),
        "</g>",
    ]


def _lines_of(box: Box) -> list[str]:
    if box.kind == "start":
        return wrap(box.title, _TEXT_COLUMNS - 5, max_lines=2, placeholder="...")
    return [box.title, *wrap(box.text, _TEXT_COLUMNS)]


def _arrow_heads() -> str:
    heads = (("yes", "#1a7f37"), ("no", "#bc4c00"), ("then", "#57606a"))
    return (
        "<defs>"
        + "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            f'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" style="fill:{colour};stroke:none"/></marker>'
            for name, colour in heads
        )
        + "</defs>"
    )


def _legend() -> Iterable[str]:
    """Yield what the colours mean, below the title."""
    x = _MARGIN
    entries = (("decision", "question"), ("effect", "what the handler does"), ("s2", "2xx"),
               ("s3", "3xx"), ("s4", "4xx"), ("s5", "5xx"))  # fmt: skip
    for name, words in entries:
        fill, stroke = _CLASSES[name]
        radius = 3 if name in ("decision", "effect") else 7
        yield (
            f'<rect x="{x}" y="48" width="22" height="14" rx="{radius}" fill="{fill}" '
            f'stroke="{stroke}"/><text class="key" x="{x + 28}" y="59">{words}</text>'
        )
        x += 28 + 7 * len(words) + 16
