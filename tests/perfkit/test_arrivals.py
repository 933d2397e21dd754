import math
from itertools import pairwise
from statistics import mean, stdev

import pytest

from perfkit.arrivals import Arrivals


@pytest.mark.parametrize("rate", [100.0, 2.5, 0.2])
def test_arrivals_keep_to_the_demanded_rate_window_by_window(rate: float) -> None:
    arrivals = Arrivals(rate, start=50.0)

    due = [arrivals.draw() for _ in range(1000)]

    # A window is as long as the demanded number takes: about a second, or one arrival.
    window = math.ceil(rate) / rate
    windows = [int((moment - 50.0) / window) for moment in due]
    assert due == sorted(due)
    assert windows == [number // math.ceil(rate) for number in range(1000)]


def test_arrivals_come_in_bursts_as_those_of_independent_users_do() -> None:
    arrivals = Arrivals(rate=1000, start=0.0)
    due = [arrivals.draw() for _ in range(10_000)]

    gaps = [later - earlier for earlier, later in pairwise(due)]

    # Exponential gaps deviate by as much as their mean; a regular beat would not at all.
    assert stdev(gaps) == pytest.approx(mean(gaps), rel=0.1)


def test_the_same_seed_repeats_the_schedule_and_another_does_not() -> None:
    first, same, other = (Arrivals(10, 0.0, seed) for seed in (1, 1, 2))

    assert [first.draw() for _ in range(5)] == [same.draw() for _ in range(5)]
    assert first.draw() != other.draw()


def test_lag_is_how_long_the_next_arrival_has_been_due() -> None:
    arrivals = Arrivals(rate=1, start=0.0)
    due = Arrivals(rate=1, start=0.0).draw()

    assert arrivals.lag(due + 3) == pytest.approx(3)
    assert arrivals.lag(due - 0.001) == 0.0
