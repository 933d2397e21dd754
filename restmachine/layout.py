"""Finds places for the boxes of a chart and ways for its edges: geometry, no HTTP.

A chart's boxes stand in the cells of a grid, with a channel on each side of every column
and row. Edges run at right angles, through channels and empty cells, by the cheapest way;
where several share a stretch each gets a lane of its own, unless they lead to the same box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import NamedTuple

Cell = tuple[int, int]
"""Column and row, both counted from 0."""

Point = tuple[int, int]
"""A crossing of ways: odd is the middle of a column or row, even the channel before it."""

_SIDES: tuple[Point, ...] = ((0, -1), (1, 0), (0, 1), (-1, 0))

# What a way costs beside its length in steps: it should be straight and leave others alone.
_BEND = 2.5
_CROSSING = 2.0
_SHARED_STRETCH = 1.0
_MERGED_STRETCH = -0.6
_TAKEN_SIDE = 12.0


class Link(NamedTuple):
    """An edge to be laid: the names of two boxes."""

    source: str
    target: str


class Stretch(NamedTuple):
    """A straight part of a way, on one line of the grid."""

    vertical: bool
    line: int
    start: int
    end: int


class Way(NamedTuple):
    """A laid edge: its corners in the grid, and the lane of each straight part."""

    corners: tuple[Point, ...]
    lanes: tuple[int, ...]


class Layout(NamedTuple):
    """Where everything of a chart is.

    Attributes:
        cells: The cell of each box.
        ways: The way of each link, in the order in which the links were given.
        channels: How many lanes each channel needs: by (vertical, its even coordinate).
    """

    cells: Mapping[str, Cell]
    ways: Sequence[Way]
    channels: Mapping[tuple[bool, int], int]

    @property
    def size(self) -> Cell:
        """How many columns and rows there are."""
        columns, rows = zip(*self.cells.values(), strict=True)
        return max(columns) + 1, max(rows) + 1


def lay_out(cells: Mapping[str, Cell], links: Sequence[Link]) -> Layout:
    """Lay every link between boxes whose cells are known; no two boxes share a cell."""
    compact = without_gaps(cells)
    router = _Router(compact)
    paths: dict[int, list[Point]] = {}

    def distance(index: int) -> int:
        (x, y), (u, v) = (compact[name] for name in links[index])
        return abs(x - u) + abs(y - v)

    # Neighbours first: their straight line is what others must go around.
    for index in sorted(range(len(links)), key=distance):
        paths[index] = router.lay(links[index])
    stretches = [stretches_of(paths[index]) for index in range(len(links))]
    lanes = _lanes(stretches, [link.target for link in links], compact)
    ways = [
        Way(corners_of(paths[index]), tuple(lanes[index, part] for part in stretches[index]))
        for index in range(len(links))
    ]
    return Layout(compact, ways, _widths(stretches, lanes))


def without_gaps(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return the cells with empty columns and rows left out."""
    columns = sorted({column for column, _ in cells.values()})
    rows = sorted({row for _, row in cells.values()})
    return {name: (columns.index(x), rows.index(y)) for name, (x, y) in cells.items()}


def free_neighbour(cell: Cell, taken: Iterable[Cell], sides: Iterable[Point]) -> Cell:
    """Return the nearest free cell beside one, the first of *sides* preferred."""
    occupied = set(taken)
    order = tuple(sides)
    for far in count(1):
        for x, y in order:
            found = (cell[0] + far * x, cell[1] + far * y)
            if found not in occupied:
                return found
    raise AssertionError("unreachable")


class _Router:
    """Lays one way after another; each goes around the boxes and minds those before it."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self._middles = {name: (2 * x + 1, 2 * y + 1) for name, (x, y) in cells.items()}
        self._boxes = set(self._middles.values())
        self._width = max(x for x, _ in self._boxes) + 1
        self._height = max(y for _, y in self._boxes) + 1
        self._steps: dict[frozenset[Point], set[str]] = defaultdict(set)
        self._points: dict[Point, set[tuple[str, bool]]] = defaultdict(set)
        self._sides: dict[tuple[Point, Point], set[str]] = defaultdict(set)

    def lay(self, link: Link) -> list[Point]:
        """Return the cheapest way of a link, point by point."""
        start, goal = self._middles[link.source], self._middles[link.target]
        best: dict[tuple[Point, Point], float] = {}
        order = count()  # equal costs are taken in the order found, so drawings are stable
        waiting: list[tuple[float, float, int, Point, Point, list[Point]]] = [
            (0.0, 0.0, next(order), start, (0, 0), [start])
        ]
        while waiting:
            _, cost, _, point, heading, path = heappop(waiting)
            if point == goal:
                self._remember(path, link)
                return path
            if best.get((point, heading), cost + 1) <= cost:
                continue
            best[point, heading] = cost
            for side in _SIDES:
                after = (point[0] + side[0], point[1] + side[1])
                if not self._is_open(after, goal) or side == (-heading[0], -heading[1]):
                    continue
                paid = cost + self._cost(point, after, side, heading, link)
                left = abs(after[0] - goal[0]) + abs(after[1] - goal[1])
                estimate = paid + left * (1 + _MERGED_STRETCH)
                heappush(waiting, (estimate, paid, next(order), after, side, [*path, after]))
        raise AssertionError(f"no way for {link}")

    def _is_open(self, point: Point, goal: Point) -> bool:
        inside = 0 <= point[0] <= self._width and 0 <= point[1] <= self._height
        return inside and (point == goal or point not in self._boxes)

    def _cost(self, point: Point, after: Point, side: Point, heading: Point, link: Link) -> float:
        cost = 1.0
        if heading not in ((0, 0), side):
            cost += _BEND
        users = self._steps[frozenset((point, after))]
        if users:
            cost += _MERGED_STRETCH if users == {link.target} else _SHARED_STRETCH
        vertical = side[0] == 0
        cost += _CROSSING * sum(
            user != link.target and across != vertical for user, across in self._points[after]
        )
        if point in self._boxes and self._sides[point, side]:
            cost += _TAKEN_SIDE
        if after in self._boxes and self._sides[after, (-side[0], -side[1])] - {link.target}:
            cost += _TAKEN_SIDE
        return cost

    def _remember(self, path: list[Point], link: Link) -> None:
        for one, other in pairwise(path):
            vertical = one[0] == other[0]
            self._steps[frozenset((one, other))].add(link.target)
            self._points[one].add((link.target, vertical))
            self._points[other].add((link.target, vertical))
        (x, y), (u, v) = path[0], path[1]
        self._sides[path[0], (u - x, v - y)].add(f"out of {link.source}")
        (x, y), (u, v) = path[-1], path[-2]
        self._sides[path[-1], (u - x, v - y)].add(link.target)


def corners_of(path: Sequence[Point]) -> tuple[Point, ...]:
    """Return the ends of a path and the points where it turns."""
    inner = [
        here
        for before, here, after in zip(path, path[1:], path[2:], strict=False)
        if (before[0] == here[0]) != (here[0] == after[0])
    ]
    return (path[0], *inner, path[-1])


def stretches_of(path: Sequence[Point]) -> list[Stretch]:
    """Return the straight parts of a path."""
    found = []
    for (x, y), (u, v) in pairwise(corners_of(path)):
        if x == u:
            found.append(Stretch(True, x, min(y, v), max(y, v)))
        else:
            found.append(Stretch(False, y, min(x, u), max(x, u)))
    return found


def _lanes(
    stretches: Sequence[Sequence[Stretch]], targets: Sequence[str], cells: Mapping[str, Cell]
) -> dict[tuple[int, Stretch], int]:
    """Return the lane of each stretch: 0 is the middle, the others lie beside it.

    Stretches on one line that touch get different lanes, unless they lead to one target.
    """
    middles = {(2 * x + 1, 2 * y + 1) for x, y in cells.values()}
    lines: dict[tuple[bool, int], dict[str, list[tuple[int, Stretch]]]] = defaultdict(dict)
    for index, parts in enumerate(stretches):
        for part in parts:
            groups = lines[part.vertical, part.line]
            groups.setdefault(targets[index], []).append((index, part))
    lanes: dict[tuple[int, Stretch], int] = {}
    for (vertical, line), groups in lines.items():
        boxes = {y if vertical else x for x, y in middles if (x if vertical else y) == line}
        placed: list[tuple[int, list[Stretch]]] = []
        for group in sorted(groups.values(), key=_reach, reverse=True):
            parts = [part for _, part in group]
            taken = {lane for lane, others in placed if _touch(parts, others, boxes)}
            lane = next(lane for lane in _outward() if lane not in taken)
            placed.append((lane, parts))
            lanes.update(dict.fromkeys(group, lane))
    return lanes


def _reach(group: Sequence[tuple[int, Stretch]]) -> int:
    """Return the length of a group: one that ends at a box keeps the middle before others."""
    return max(part.end - part.start for _, part in group)


def _touch(ones: Sequence[Stretch], others: Sequence[Stretch], boxes: set[int]) -> bool:
    """Return whether stretches on one line meet anywhere but at the two sides of a box."""
    return any(
        max(one.start, other.start) < min(one.end, other.end)
        or (
            max(one.start, other.start) == min(one.end, other.end)
            and max(one.start, other.start) not in boxes
        )
        for one in ones
        for other in others
    )


def _outward() -> Iterable[int]:
    """Yield 0, 1, -1, 2, -2 and so on."""
    yield 0
    for lane in count(1):
        yield from (lane, -lane)


def _widths(
    stretches: Sequence[Sequence[Stretch]], lanes: Mapping[tuple[int, Stretch], int]
) -> dict[tuple[bool, int], int]:
    """Return how many lanes each channel needs, counted to both sides of its middle."""
    farthest: dict[tuple[bool, int], int] = defaultdict(int)
    for index, parts in enumerate(stretches):
        for part in parts:
            line = (part.vertical, part.line)
            farthest[line] = max(farthest[line], abs(lanes[index, part]))
    return {key: 2 * lane + 1 for key, lane in farthest.items()}
