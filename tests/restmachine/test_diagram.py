"""The drawings of the diagram and of a route's plan."""

import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from restmachine import Observer, RestApplication
from restmachine.decisions import DIAGRAM, Effect
from restmachine.diagram import (
    Chart,
    chart_of_diagram,
    chart_of_plan,
    draw_mermaid,
    draw_svg,
    kept_decisions,
)
from restmachine.hooks import DECISION

SVG = "{http://www.w3.org/2000/svg}"
DOCS = Path(__file__).parents[2] / "docs"


class Rect(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Rect") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def groups(svg: str) -> dict[str, ElementTree.Element]:
    """Return the drawn boxes by name."""
    return {group.attrib["id"]: group for group in ElementTree.fromstring(svg).iter(f"{SVG}g")}


def boxes(svg: str) -> dict[str, Rect]:
    """Return the outline of each drawn box by name."""
    found = {}
    for name, group in groups(svg).items():
        shape = group.find(f"{SVG}rect")
        assert shape is not None
        x, y, width, height = (float(shape.attrib[key]) for key in ("x", "y", "width", "height"))
        found[name] = Rect(x, y, x + width, y + height)
    return found


def lines(svg: str) -> list[list[tuple[float, float]]]:
    """Return the points of each drawn edge."""
    drawn = [path for path in ElementTree.fromstring(svg) if path.tag == f"{SVG}path"]
    numbers = [[float(n) for n in re.findall(r"-?[\d.]+", path.attrib["d"])] for path in drawn]
    return [list(zip(values[::2], values[1::2], strict=True)) for values in numbers]


def labels(svg: str) -> list[Rect]:
    """Return about where each `yes` and `no` is written."""
    written = [
        text
        for text in ElementTree.fromstring(svg).findall(f"{SVG}text")
        if text.attrib["class"] in ("yes", "no")
    ]
    places = [(float(text.attrib["x"]), float(text.attrib["y"])) for text in written]
    return [Rect(x - 9, y - 8, x + 9, y) for x, y in places]


def runs_along(one, other, axis: int) -> bool:
    """Return whether two stretches lie on one line across an axis, and on each other."""
    along = 1 - axis
    if len({point[axis] for point in (*one, *other)}) > 1:
        return False
    (a, b), (c, d) = (sorted(point[along] for point in stretch) for stretch in (one, other))
    return max(a, c) < min(b, d)


@pytest.fixture(scope="module")
def whole() -> str:
    return draw_svg(chart_of_diagram())


@pytest.fixture
def app() -> RestApplication:
    app = RestApplication()

    @app.resource_exists
    def item(item_id):
        return {"id": item_id}

    @app.generate_etag
    def tag(item):
        return "v1"

    @app.get("/items/{item_id}")
    def read(item):
        return item

    @app.put("/items/{item_id}")
    def write(item, json_body):
        return json_body

    @app.get("/fast", bypass_state_machine=True)
    def fast():
        return {}

    return app


def test_every_row_of_the_diagram_has_a_box(whole: str) -> None:
    drawn = groups(whole)

    assert drawn.keys() >= DIAGRAM.keys()
    assert all("".join(drawn[id].itertext()).split()[0] == id for id in DIAGRAM)


def test_every_answer_of_the_diagram_has_an_edge() -> None:
    chart = chart_of_diagram()
    decisions = {id: row for id, row in DIAGRAM.items() if not isinstance(row, Effect)}

    led = {
        (edge.source, edge.answer): chart.boxes[edge.target].title
        for edge in chart.edges
        if edge.answer
    }

    assert led == {
        (id, answer): str(target)
        for id, row in decisions.items()
        for answer, target in (("yes", row.yes), ("no", row.no))
    }


def test_as_many_lines_are_drawn_as_the_chart_has_edges(whole: str) -> None:
    assert len(lines(whole)) == len(chart_of_diagram().edges)


def test_rows_stand_where_the_webmachine_chart_has_them(whole: str) -> None:
    place = boxes(whole)

    assert place["B13"].top > place["B12"].top > place["B3"].top
    assert place["B3"].top == place["C3"].top
    assert place["B3"].left < place["C3"].left < place["G7"].left < place["O18"].left


def test_no_two_boxes_overlap(whole: str) -> None:
    overlapping = [
        (one, other)
        for (one, a), (other, b) in combinations(boxes(whole).items(), 2)
        if a.overlaps(b)
    ]

    assert overlapping == []


def test_text_stays_inside_its_box(whole: str) -> None:
    outlines = boxes(whole)

    outside = [
        (name, text.text)
        for name, group in groups(whole).items()
        for text in group.iter(f"{SVG}text")
        # A letter of Arial at 11 pixels is 5.5 wide on average; 6 leaves some room.
        if len(text.text or "") * 6 > outlines[name].right - outlines[name].left
        or not outlines[name].top + 8 < float(text.attrib["y"]) < outlines[name].bottom
    ]

    assert outside == []


def test_no_line_runs_through_a_box(whole: str) -> None:
    outlines = boxes(whole)

    crossed = [
        (name, one, other)
        for line in lines(whole)
        for one, other in pairwise(line)
        for name, box in outlines.items()
        if Rect(
            min(one[0], other[0]), min(one[1], other[1]),
            max(one[0], other[0]), max(one[1], other[1]),
        ).overlaps(Rect(box.left + 1, box.top + 1, box.right - 1, box.bottom - 1))
    ]  # fmt: skip

    assert crossed == []


def test_lines_to_different_boxes_never_run_on_top_of_each_other(whole: str) -> None:
    edges = chart_of_diagram().edges
    stretches = [
        (edge.target, one, other)
        for edge, line in zip(edges, lines(whole), strict=True)
        for one, other in pairwise(line)
        # The round corners are slanted, and lines may cross there.
        if one[0] == other[0] or one[1] == other[1]
    ]

    doubled = [
        (a, b)
        for a, b in combinations(stretches, 2)
        if a[0] != b[0] and (runs_along(a[1:], b[1:], 0) or runs_along(a[1:], b[1:], 1))
    ]

    assert doubled == []


def test_answers_are_written_over_no_box_and_no_other_answer(whole: str) -> None:
    written = labels(whole)
    boxed = list(boxes(whole).values())

    assert len(written) == sum(bool(edge.answer) for edge in chart_of_diagram().edges)
    assert not any(label.overlaps(box) for label in written for box in boxed)
    assert not any(one.overlaps(other) for one, other in combinations(written, 2))


def test_statuses_of_one_class_share_a_colour_that_no_other_class_has(whole: str) -> None:
    chart = chart_of_diagram()
    shapes = {name: group.find(f"{SVG}rect") for name, group in groups(whole).items()}
    colours = {
        (box.title[0], shapes[name].attrib["fill"])
        for name, box in chart.boxes.items()
        if box.kind == "status"
    }

    assert sorted(first for first, _ in colours) == ["2", "3", "4", "5"]
    assert len({colour for _, colour in colours}) == 4


def test_drawing_twice_gives_the_same_bytes(whole: str) -> None:
    assert draw_svg(chart_of_diagram()) == whole


def test_committed_drawings_are_those_of_the_table(whole: str) -> None:
    told = "run `make diagram` after a change of the table"

    assert (DOCS / "decisions.svg").read_text(encoding="utf-8") == whole, told
    assert (DOCS / "decisions.mmd").read_text(encoding="utf-8") == draw_mermaid(
        chart_of_diagram()
    ), told


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_drawing_of_a_plan_has_its_steps_and_no_other_row(
    app: RestApplication, method: str
) -> None:
    plan, _ = app.dispatch(method, "/items/1")

    drawn = groups(draw_svg(chart_of_plan(plan)))

    assert drawn.keys() & DIAGRAM.keys() == {step.id for step in plan.steps()}
    assert len(drawn.keys() & DIAGRAM.keys()) < 20


def test_chart_of_a_plan_skips_what_the_route_settles(app: RestApplication) -> None:
    plan, _ = app.dispatch("GET", "/items/1")

    led = {(edge.source, edge.answer): edge.target for edge in chart_of_plan(plan).edges}

    # The table leads to H10, which means nothing to a route without a date.
    assert led["G8", "no"] == "I12"
    # A PUT would end here in 412.
    assert led["K13", "yes"] == "K13.yes"
    assert chart_of_plan(plan).boxes["K13.yes"].title == "304"


def test_observed_plan_is_drawn_as_the_unobserved_one(app: RestApplication) -> None:
    class Deciding(Observer):
        kinds = (DECISION,)

    unobserved = chart_of_plan(app.dispatch("GET", "/items/1")[0])
    app.observe(Deciding())
    observed = chart_of_plan(app.dispatch("GET", "/items/1")[0])

    assert set(observed.edges) == set(unobserved.edges)


def test_bypass_plan_begins_with_the_handler(app: RestApplication) -> None:
    plan, _ = app.dispatch("GET", "/fast")

    chart = chart_of_plan(plan)

    assert chart.edges[0].target == "produce"
    assert kept_decisions(plan) == 1


def test_plan_that_is_settled_at_once_is_a_single_status(app: RestApplication) -> None:
    plan, _ = app.dispatch("DELETE", "/fast")

    chart = chart_of_plan(plan)

    assert {box.title for box in chart.boxes.values()} == {"DELETE /fast", "405"}
    assert len(boxes(draw_svg(chart))) == 2


def test_title_says_how_many_decisions_a_plan_keeps(app: RestApplication) -> None:
    plan, _ = app.dispatch("GET", "/items/1")

    title = chart_of_plan(plan).title

    assert title.startswith(f"GET /items/{{item_id}}: {kept_decisions(plan)} of ")


def test_mermaid_names_every_row_and_every_edge() -> None:
    chart = chart_of_diagram()

    drawn = draw_mermaid(chart)

    assert set(re.findall(r"<b>([A-Z]\w*|accept|produce)</b><br/>", drawn)) == DIAGRAM.keys()
    assert "    B13 -->|yes| B12\n" in drawn
    assert "    B13 -->|no| B13_no\n" in drawn
    assert drawn.count("-->") == len(chart.edges)


def test_text_of_a_template_cannot_break_out_of_the_drawing() -> None:
    chart = Chart("<&>")
    chart.begin('GET /"<b>"/{id}', 404)

    svg, mermaid = draw_svg(chart), draw_mermaid(chart)

    assert "".join(groups(svg)["start"].itertext()).split() == ["GET", '/"<b>"/{id}']
    assert '(["<b>GET /#quot;&lt;b&gt;#quot;/#123;id}</b>"])' in mermaid
