import pytest

from perfkit.arrivals import Arrivals


def test_arrivals_come_at_the_demanded_rate() -> None:
    arrivals = Arrivals(rate=100, start=50.0)

    due = [arrivals.draw() for _ in range(10_000)]

    assert due == sorted(due)
    assert due[0] > 50.0
    assert due[-1] - 50.0 == pytest.approx(100, rel=0.05)


def test_the_same_seed_repeats_the_schedule_and_another_does_not() -> None:
    first, same, other = (Arrivals(10, 0.0, seed) for seed in (1, 1, 2))

    assert [first.draw() for _ in range(5)] == [same.draw() for _ in range(5)]
    assert first.draw() != other.draw()


def test_lag_is_how_long_the_next_arrival_has_been_due() -> None:
    arrivals = Arrivals(rate=1, start=0.0)
    due = Arrivals(rate=1, start=0.0).draw()

    assert arrivals.lag(due + 3) == pytest.approx(3)
    assert arrivals.lag(due - 0.001) == 0.0
