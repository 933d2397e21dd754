"""Collections are timed by generation, and objects that become more are counted."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from perfkit.garbage import GCPauses, object_counts, object_growth


class Ticking:
    """A clock that goes on by a quarter of a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


@pytest.fixture
def told() -> Iterator[list[tuple[int, float]]]:
    gc.disable()
    yield []
    gc.enable()


def test_every_collection_counts_with_its_generation_and_its_time(
    told: list[tuple[int, float]],
) -> None:
    pauses = GCPauses(lambda generation, seconds: told.append((generation, seconds)), Ticking())

    pauses.start()
    gc.collect(0)
    gc.collect(2)
    gc.collect(2)
    pauses.stop()

    assert told == [(0, 0.25), (2, 0.25), (2, 0.25)]
    assert pauses.seconds == [0.25, 0.0, 0.5]
    assert pauses.collections == [1, 0, 2]


def test_nothing_is_timed_once_it_has_stopped(told: list[tuple[int, float]]) -> None:
    pauses = GCPauses(lambda generation, seconds: told.append((generation, seconds)))
    pauses.start()
    pauses.start()

    pauses.stop()
    gc.collect()

    assert told == []
    assert not [each for each in gc.callbacks if getattr(each, "__self__", None) is pauses]


def test_a_listener_that_fails_stops_no_collection(
    told: list[tuple[int, float]], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(generation: int, seconds: float) -> None:
        raise RuntimeError("broken on purpose")

    pauses = GCPauses(fail)
    pauses.start()
    gc.collect()
    gc.collect()
    pauses.stop()

    assert pauses.collections[2] == 2
    assert len(caplog.records) == 1


class Kept:
    """Something of which there are more and more."""


def test_objects_that_became_more_are_told_by_type() -> None:
    before = object_counts()

    kept = [Kept() for _ in range(500)]
    grown = object_growth(before, object_counts())

    assert dict(grown)[f"{__name__}.Kept"] == len(kept)


def test_growth_is_bounded_and_what_became_fewer_is_left_out() -> None:
    before = {"a": 5, "b": 1, "c": 1}
    after = {"a": 1, "b": 3, "c": 9, "d": 4}

    assert object_growth(before, after) == [("c", 8), ("d", 4), ("b", 2)]
    assert object_growth(before, after, top=1) == [("c", 8)]
