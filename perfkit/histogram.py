"""Latencies in an HDR histogram: bounded memory, three significant digits, 1 us to 120 s."""

from __future__ import annotations

from dataclasses import dataclass

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # ships no types

LOWEST_US = 1
HIGHEST_US = 120_000_000
SIGNIFICANT_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Digest:
    """What is kept of a histogram once it is complete: percentiles in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class Latencies:
    """Durations in seconds, recorded to the microsecond and clamped to the range."""

    __slots__ = ("_histogram",)

    def __init__(self, encoded: str | None = None) -> None:
        self._histogram = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)
        if encoded is not None:
            self._histogram.decode_and_add(encoded)

    def record(self, seconds: float) -> None:
        """Count one duration."""
        microseconds = round(seconds * 1e6)
        self._histogram.record_value(min(max(microseconds, LOWEST_US), HIGHEST_US))

    def add(self, other: Latencies) -> None:
        """Count everything that *other* counted."""
        self._histogram.add(other._histogram)

    def encode(self) -> str:
        """Return the compressed HDR log form, base64, which the constructor reads."""
        encoded: bytes = self._histogram.encode()
        return encoded.decode("ascii")

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        return int(self._histogram.get_total_count())

    def digest(self) -> Digest | None:
        """Return the percentiles, or None when nothing was recorded."""
        if not self.count:
            return None
        at = self._histogram.get_percentile_to_value_dict([50.0, 95.0, 99.0, 99.9])
        return Digest(
            p50_ms=at[50.0] / 1000,
            p95_ms=at[95.0] / 1000,
            p99_ms=at[99.0] / 1000,
            p999_ms=at[99.9] / 1000,
            max_ms=self._histogram.get_max_value() / 1000,
        )
