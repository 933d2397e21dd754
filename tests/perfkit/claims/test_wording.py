"""Figures in words are short and never rounded in a claim's favour."""

import math

import pytest

from perfkit.claims.wording import NARROW, amount, cut, gain_text, point_text


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (1.9999, "1.99"),
        (20.0, "20.0"),
        (0.29, "0.290"),
        (127.96, "127"),
        (12_345.0, f"12{NARROW}300"),
        (math.inf, "infinitely many"),
        (0.0, "0"),
    ],
)
def test_a_gain_is_cut_never_rounded_up(gain: float, text: str) -> None:
    assert cut(gain) == text


def test_a_range_of_one_value_is_told_once() -> None:
    assert gain_text(2.0, 2.0) == "2.00 times"
    assert gain_text(2.0, 3.0) == "2.00 to 3.00 times"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", f"12.3{NARROW}ms"),
        (2.5e-7, "s", f"250{NARROW}ns"),
        (0.0, "s", f"0{NARROW}ns"),
        (2048, "B", f"2{NARROW}KiB"),
        (1, "queries", "1 query"),
        (21, "calls", "21 calls"),
        (1, "calls", "1 call"),
        (15.55, "1/s", "15.6 per second"),
        (0.5, "", "0.500"),
    ],
)
def test_an_amount_has_a_handy_unit(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def test_a_point_reads_as_words() -> None:
    point = {"round_trip_ms": 0.5, "rows": 100_000, "content": "base64"}

    assert point_text(point) == f"round trip ms 0.5, rows 100{NARROW}000, content base64"
