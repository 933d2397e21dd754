"""Geometry of charts: where boxes stand and how edges run."""

from itertools import combinations

from restmachine.layout import Link, free_neighbour, lay_out, stretches_of, without_gaps


def test_empty_columns_and_rows_are_left_out() -> None:
    assert without_gaps({"a": (1, 20), "b": (9, 3)}) == {"a": (0, 1), "b": (1, 0)}


def test_neighbours_are_joined_by_a_straight_line() -> None:
    layout = lay_out({"a": (0, 0), "b": (1, 0)}, [Link("a", "b")])

    assert layout.ways[0].corners == ((1, 1), (3, 1))


def test_way_goes_around_a_box_between() -> None:
    cells = {"a": (0, 0), "wall": (1, 0), "b": (2, 0)}

    way = lay_out(cells, [Link("a", "b")]).ways[0]

    assert len(way.corners) > 2
    assert (3, 1) not in way.corners


def test_way_passes_straight_through_an_empty_cell() -> None:
    cells = {"a": (0, 0), "below": (1, 1), "b": (2, 0)}

    way = lay_out(cells, [Link("a", "b")]).ways[0]

    assert way.corners == ((1, 1), (5, 1))


def test_edges_to_one_box_share_a_lane() -> None:
    cells = {"a": (0, 0), "b": (0, 1), "c": (0, 2), "end": (1, 3)}

    layout = lay_out(cells, [Link("a", "end"), Link("b", "end"), Link("c", "end")])

    assert {lane for way in layout.ways for lane in way.lanes} == {0}


def test_edges_to_different_boxes_never_share_a_lane_of_a_channel() -> None:
    cells = {name: (index // 4, index % 4) for index, name in enumerate("abcdefgh")}
    links = [Link(source, target) for source in "abcd" for target in "efgh"]

    layout = lay_out(cells, links)

    parts = [
        (link.target, lane, stretch)
        for link, way in zip(links, layout.ways, strict=True)
        for lane, stretch in zip(way.lanes, stretches_of(way.corners), strict=True)
    ]
    beside = [
        (one[1], other[1])
        for one, other in combinations(parts, 2)
        if one[0] != other[0] and one[2][:2] == other[2][:2]
        and max(one[2].start, other[2].start) < min(one[2].end, other[2].end)
    ]  # fmt: skip
    assert beside
    assert all(one != other for one, other in beside)
    assert max(layout.channels.values()) > 1


def test_free_neighbour_takes_the_preferred_side_then_the_next_then_farther() -> None:
    left, up = (-1, 0), (0, -1)

    assert free_neighbour((5, 5), [], (left, up)) == (4, 5)
    assert free_neighbour((5, 5), [(4, 5)], (left, up)) == (5, 4)
    assert free_neighbour((5, 5), [(4, 5), (5, 4)], (left, up)) == (3, 5)
