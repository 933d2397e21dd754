"""What a row of requests that ended alike stands for."""

from __future__ import annotations

from perfkit import metrics, tally
from perfkit.store import Series
from perfkit.tally import TALLY, told

LABELS = ("GET", "/items", "200", "P11", "session")


def row(*, begun: float, ended: int, alive: bool = True) -> Series:
    """Return a row of requests that took a millisecond and sent ten bytes each."""
    numbers = [0.0] * tally.length(1)
    numbers[tally.SECONDS], numbers[tally.SECONDS + 3] = 0.001 * ended, ended
    numbers[tally.BYTES], numbers[tally.BYTES + 1] = 10 * ended, ended
    numbers[tally.BEGUN] = begun
    numbers[tally.MADE], numbers[tally.DEPENDENCIES] = ended, 0.0001 * ended
    return Series(TALLY, LABELS, numbers, alive)


def values(*rows: Series) -> dict[tuple[str, bool], list[float]]:
    return {(each.metric, each.alive): list(each.numbers) for each in told(rows)}


def test_what_has_begun_and_not_ended_is_in_flight() -> None:
    assert values(row(begun=5, ended=3))[metrics.ACTIVE_REQUESTS.name, True] == [2]


def test_a_request_in_flight_has_no_duration_yet() -> None:
    assert values(row(begun=1, ended=0)) == {(metrics.ACTIVE_REQUESTS.name, True): [1]}


def test_a_row_tells_durations_sizes_decisions_and_dependencies() -> None:
    found = values(row(begun=4, ended=4))

    assert found[metrics.REQUEST_DURATION.name, True][:4] == [0.004, 0, 0, 4]
    assert found[metrics.RESPONSE_SIZE.name, True][:2] == [40, 4]
    assert found[metrics.DECISIONS_ENDED.name, True] == [4]
    assert found[metrics.DEPENDENCY_DURATION.name, True][:3] == [0.0004, 4, 0]


def test_a_quick_request_is_in_the_first_bucket_of_durations_and_in_one_of_bytes() -> None:
    both = row(begun=5, ended=3)
    both.numbers[tally.QUICK + 1] = 2  # type: ignore[index]  # a list

    found = values(both)

    assert found[metrics.REQUEST_DURATION.name, True][:4] == [0.003, 2, 0, 3]
    assert found[metrics.RESPONSE_SIZE.name, True][:4] == [30, 3, 2, 0]
    assert found[metrics.ACTIVE_REQUESTS.name, True] == [0]
    assert found[metrics.DECISIONS_ENDED.name, True] == [5]
    assert found[metrics.DEPENDENCY_DURATION.name, True][1] == 5


def test_rows_of_living_and_of_dead_workers_stay_apart() -> None:
    rows = [row(begun=3, ended=2), row(begun=5, ended=2), row(begun=9, ended=1, alive=False)]

    found = values(*rows)

    assert found[metrics.ACTIVE_REQUESTS.name, True] == [4]
    assert found[metrics.ACTIVE_REQUESTS.name, False] == [8]
    assert sum(found[metrics.REQUEST_DURATION.name, True][1:]) == 4
    assert sum(found[metrics.REQUEST_DURATION.name, False][1:]) == 1


def test_what_is_no_such_row_stays_as_it_is() -> None:
    other = Series(metrics.CACHE_LOOKUPS.name, ("users", "hit"), [3.0], True)

    assert list(told([other])) == [other]
