"""Geometry of charts: where boxes stand and how edges run."""

from restmachine.layout import Link, free_neighbour, lay_out, without_gaps


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


def test_edges_to_different_boxes_that_share_a_channel_get_lanes_of_their_own() -> None:
    cells = {name: (index // 4, index % 4) for index, name in enumerate("abcdefgh")}

    layout = lay_out(cells, [Link("a", "g"), Link("b", "h")])

    first, second = layout.ways
    assert (first.corners, second.corners) == (
        ((1, 1), (2, 1), (2, 5), (3, 5)),
        ((1, 3), (2, 3), (2, 7), (3, 7)),
    )
    assert first.lanes[1] != second.lanes[1]
    assert layout.channels[True, 2] > 1


def test_free_neighbour_takes_the_preferred_side_then_the_next_then_farther() -> None:
    left, up = (-1, 0), (0, -1)

    assert free_neighbour((5, 5), [], (left, up)) == (4, 5)
    assert free_neighbour((5, 5), [(4, 5)], (left, up)) == (5, 4)
    assert free_neighbour((5, 5), [(4, 5), (5, 4)], (left, up)) == (3, 5)
