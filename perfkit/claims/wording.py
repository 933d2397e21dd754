"""Figures and values in words: short, with their units, and never rounded in a claim's favour."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NARROW = "\N{NARROW NO-BREAK SPACE}"
TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "\N{MICRO SIGN}s"), (1e-9, "ns"))
SIZES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def gain_text(low: float, high: float) -> str:
    """Return a range of gains in words: ``3.1 to 3.4 times``."""
    first, last = cut(low), cut(high)
    return f"{first} times" if first == last else f"{first} to {last} times"


def cut(gain: float) -> str:
    """Return a gain to three digits, never rounded up: 1.999 is ``1.99``."""
    if math.isinf(gain):
        return "infinitely many"
    if gain <= 0:
        return "0"
    digits = 2 - math.floor(math.log10(gain))
    scale = 10.0**digits
    # A hair more, as 0.29 * 100 is 28.999...
    value = math.floor(gain * scale * (1 + 1e-12)) / scale
    return grouped(f"{value:.{max(0, digits)}f}")


def amount(value: float, unit: str) -> str:
    """Return a value of a metric to three digits, in a handy unit."""
    if unit == "s":
        size, name = next((row for row in TIMES if value >= row[0]), TIMES[-1])
        return f"{three(value / size)}{NARROW}{name}"
    if unit == "B":
        size, name = next((row for row in SIZES if value >= row[0]), SIZES[-1])
        return f"{three(value / size)}{NARROW}{name}"
    if unit in {"", "1/s"}:
        return f"{three(value)}{unit and ' per second'}"
    return f"{three(value)} {singular(unit) if value == 1 else unit}"


def singular(unit: str) -> str:
    """Return the name of one of what *unit* counts."""
    return f"{unit[:-3]}y" if unit.endswith("ies") else unit.removesuffix("s")


def three(value: float) -> str:
    """Return a number to three digits, whole ones in full."""
    if value == round(value) and abs(value) < 1e9:
        return grouped(str(round(value)))
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return grouped(f"{value:.{digits}f}")


def two(value: float) -> str:
    """Return a number that is an estimate, to two digits."""
    return grouped(f"{float(f'{value:.2g}'):g}")


def grouped(number: str) -> str:
    """Return the digits of *number* in groups of three, from ten thousand on."""
    whole, dot, rest = number.partition(".")
    if len(whole.lstrip("-")) > 4:
        whole = f"{int(whole):,}".replace(",", NARROW)
    return f"{whole}{dot}{rest}"


def point_text(point: Mapping[str, Any]) -> str:
    """Return a combination of values in words: ``depth 1000, rows 20``; "" for none."""
    return ", ".join(f"{name.replace('_', ' ')} {text_of(value)}" for name, value in point.items())


def text_of(value: Any) -> str:
    """Return one value of a parameter as a reader wants it: 100 000, not 1e5."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return grouped(f"{value:g}") if isinstance(value, float) else grouped(str(value))
