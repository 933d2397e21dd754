"""The parts of a request add up to the whole, whatever lies inside of what."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.record import Entry, Operation, Record
from perfkit.split import Split, own_seconds, split


def record(*timeline: Entry, finished: float = 100.0, **facts: Any) -> Record:
    """Return a record that began at 10 s; `finished` is when it was over."""
    made = Record("GET", "/x", 10.0, list(timeline))
    made.finished = finished
    for name, value in facts.items():
        setattr(made, name, value)
    return made


BUFFERED = [
    ("content", 5, 10.5, 11.0),
    ("dependency", "session", 11.5, 13.5),
    ("worker", "", 14.0, 17.0),
    ("dependency", "user", 17.0, 18.0),
    ("handler", "read", 18.0, 22.0),
    ("rendering", "", 22.5, 23.5),
    ("ending", "", 23.5, 24.0),
    ("teardown", "session", 24.0, 24.25),
    ("sending", 9, 25.25, 25.75),
]


def test_every_entry_is_a_part_and_the_rest_of_the_decisions_is_theirs() -> None:
    parts = split(record(*BUFFERED, finished=25.75, queued=2.0))

    assert parts.parts == {
        "queue": 2.0,
        "content": 0.5,
        "worker": 3.0,
        "decisions": 0.5 + 0.5 + 0.5 + 0.5,
        "dependency.session": 2.0,
        "dependency.user": 1.0,
        "handler": 4.0,
        "rendering": 1.0,
        "ending": 0.5,
        "sending": 0.5,
        "teardown.session": 0.25,
        "other": 1.0,
    }
    assert parts.total == 17.75 == sum(parts.parts.values())


def test_bytes_are_timed_from_the_start_of_the_whole() -> None:
    parts = split(record(*BUFFERED, finished=25.75, queued=2.0))

    assert (parts.first_byte, parts.last_byte) == (17.25, 17.75)


def test_the_pieces_of_a_stream_are_made_and_sent_and_what_follows_is_background() -> None:
    parts = split(
        record(
            ("handler", "read", 10.0, 11.0),
            ("rendering", "", 11.0, 11.5),
            ("streaming", "", 12.0, 14.0),
            ("sending", 0, 14.0, 14.25),
            ("sending", 4, 14.25, 14.5),
            ("streaming", "", 14.5, 16.5),
            ("sending", 4, 16.5, 18.5),
            ("sending", 0, 18.5, 18.5),
            ("teardown", "session", 19.0, 20.0),
            finished=21.0,
        )
    )

    assert parts.parts == {
        "handler": 1.0,
        "rendering": 0.5,
        "streaming": 2.0 + 2.0,
        "sending": 0.25 + 0.25 + 2.0,
        "teardown.session": 1.0,
        "background": 0.5 + 1.0,
        "other": 0.5,
    }
    assert (parts.first_byte, parts.last_byte) == (4.0, 8.5)


def test_what_lies_inside_of_an_entry_is_no_part_of_it() -> None:
    parts = split(
        record(
            ("content", 1, 11.0, 15.0),
            ("handler", "read", 10.0, 20.0),
            ("dependency", "tag", 20.5, 21.0),
            ("rendering", "", 20.0, 22.0),
            finished=22.0,
        )
    )

    assert (parts.handler, parts.content) == (6.0, 4.0)
    assert (parts.rendering, parts.dependencies) == (1.5, {"tag": 0.5})


def test_a_failure_ends_the_decisions() -> None:
    parts = split(
        record(
            ("dependency", "session", 10.0, 12.0),
            ("handler", "read", 12.0, 13.0),
            ("failure", KeyError("x"), 13.5, 14.0),
            ("sending", 5, 14.0, 15.0),
            finished=15.0,
        )
    )

    assert parts.parts == {
        "decisions": 0.5, "dependency.session": 2.0, "handler": 1.0, "failure": 0.5, "sending": 1.0,
    }  # fmt: skip


def test_a_request_whose_client_left_has_no_bytes() -> None:
    parts = split(record(("handler", "read", 11.0, 13.0), finished=13.5))

    assert (parts.first_byte, parts.last_byte) == (None, None)
    assert parts.parts == {"decisions": 1.0, "handler": 2.0, "other": 0.5}


def test_decisions_told_one_by_one_are_the_same_part() -> None:
    parts = split(
        record(
            ("dependency", "user", 11.0, 12.0),
            ("decision", ("B8", True), 10.5, 12.5),
            ("decision", ("C3", False), 12.5, 13.0),
            ("rendering", "", 13.0, 14.0),
            finished=14.0,
        )
    )

    assert parts.parts == {"decisions": 2.0, "dependency.user": 1.0, "rendering": 1.0}


def test_a_request_that_runs_is_split_until_now() -> None:
    parts = split(record(("handler", "read", 10.0, 11.0), finished=0.0), until=12.0)

    assert (parts.total, parts.handler, parts.other) == (2.0, 1.0, 1.0)


def test_calls_to_other_systems_are_counted_beside_the_parts() -> None:
    made = record(finished=20.0)
    made.operations += [
        Operation("postgresql", "SELECT ?", 11.0, 0.25),
        Operation("redis", "GET", 12.0, 0.5),
    ]

    parts = split(made)

    assert (parts.operations, parts.operations_seconds) == (2, 0.75)


@st.composite
def nested(draw: st.DrawFn, first: int = 0, last: int = 4096, depth: int = 3) -> list[Entry]:
    """Draw entries of which none overlaps another but may contain it."""
    cuts = sorted(draw(st.lists(st.integers(first, last), max_size=6)))
    entries: list[Entry] = []
    for started, ended in zip(cuts[::2], cuts[1::2], strict=False):
        if depth:
            entries += draw(nested(started, ended, depth - 1))
        entries.append((draw(st.sampled_from(["handler", "content"])), "", started, ended))
    return entries


def covered(entries: list[Entry]) -> set[int]:
    spans = [range(int(started), int(ended)) for _, _, started, ended in entries]
    return set(chain.from_iterable(spans))


@given(entries=nested())
def test_own_seconds_add_up_to_what_entries_cover(entries: list[Entry]) -> None:
    owned = list(own_seconds(entries))

    assert sum(seconds for _, seconds in owned) == len(covered(entries))
    assert min((seconds for _, seconds in owned), default=0) >= 0


@given(entries=nested(10))
def test_the_parts_add_up_to_the_whole(entries: list[Entry]) -> None:
    parts = split(record(*entries, finished=5000.0))

    assert sum(parts.parts.values()) == pytest.approx(parts.total)


def test_a_split_of_nothing_has_no_parts() -> None:
    assert Split(total=0.0, queue=0.0).parts == {}
