"""A trace for each bucket, as a row of doubles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit import exemplars
from perfkit.exemplars import WIDTH, Exemplar


@given(trace=st.integers(1, 2**128 - 1), value=st.floats(0, 1e6), timestamp=st.floats(1, 2e9))
def test_what_is_kept_is_read_again(trace: int, value: float, timestamp: float) -> None:
    numbers = [0.0] * exemplars.length(2)
    kept = Exemplar(value, timestamp, f"{trace:032x}")

    exemplars.keep(numbers, 1, kept)

    assert list(exemplars.read(numbers)) == [None, kept, None]


@pytest.mark.parametrize("written", range(1, WIDTH - 1))
def test_a_half_written_row_is_none(written: int) -> None:
    before, after = [0.0] * exemplars.length(0), [0.0] * exemplars.length(0)
    exemplars.keep(before, 0, Exemplar(0.5, 1000.0, "1" * 32))
    exemplars.keep(after, 0, Exemplar(0.25, 2000.0, "2" * 32))

    torn = after[: written + 1] + before[written + 1 :]

    assert list(exemplars.read(torn)) == [None]


def test_the_later_exemplar_of_each_bucket_is_the_one_of_all_workers() -> None:
    left, right = [0.0] * exemplars.length(1), [0.0] * exemplars.length(1)
    early, late = Exemplar(0.5, 1000.0, "1" * 32), Exemplar(0.5, 2000.0, "2" * 32)
    exemplars.keep(left, 0, late)
    exemplars.keep(right, 0, early)
    exemplars.keep(right, 1, early)

    assert list(exemplars.read(exemplars.latest(left, right))) == [late, early]
