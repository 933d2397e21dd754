"""The diagram as data: whole, without dead ends, and asking each thing once on a path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from restmachine.decisions import DIAGRAM, START, Effect, Target
from restmachine.problems import phrase


def targets(id: str) -> tuple[Target, ...]:
    """Return where the edges of a row lead."""
    row = DIAGRAM[id]
    return (row.then,) if isinstance(row, Effect) else (row.yes, row.no)


def paths(target: Target, passed: tuple[str, ...] = ()) -> Iterator[tuple[Target, ...]]:
    """Yield every path from a row to a status."""
    if isinstance(target, int):
        yield (*passed, target)
        return
    assert target not in passed, f"{target} leads back to itself"
    for following in targets(target):
        yield from paths(following, (*passed, target))


def test_every_edge_leads_to_a_row_or_a_status() -> None:
    ends = {target for id in DIAGRAM for target in targets(id)}

    rows = {end for end in ends if isinstance(end, str)}
    statuses = {end for end in ends if isinstance(end, int)}
    assert rows == DIAGRAM.keys() - {START}
    assert {phrase(status) for status in statuses}.isdisjoint({"Error"})


@pytest.mark.parametrize("start", ["G7", "I12", "I7", "M16", "O16"])
def test_every_path_ends(start: str) -> None:
    assert all(isinstance(path[-1], int) for path in paths(start))


def test_the_handler_runs_at_most_once() -> None:
    def effects(path: tuple[Any, ...]) -> int:
        return sum(isinstance(DIAGRAM[id], Effect) for id in path[:-1])

    assert {effects(path) for path in paths("G7")} == {0, 1}


def test_nothing_but_an_effect_precedes_a_success() -> None:
    successes = [path for path in paths("G7") if isinstance(path[-1], int) and path[-1] < 300]

    assert all(any(isinstance(DIAGRAM[str(id)], Effect) for id in path[:-1]) for path in successes)


def test_every_row_reads_as_words() -> None:
    texts = [row.text if isinstance(row, Effect) else row.question.text for row in DIAGRAM.values()]

    assert all(text[0].isupper() for text in texts)
    assert all("_" not in text for text in texts)
