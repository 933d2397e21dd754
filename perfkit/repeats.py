"""Operations that one request repeats: the mark of a query in a loop (N+1)."""

from __future__ import annotations

import logging
from collections import Counter
from threading import Lock

from perfkit.record import Operation, Record

logger = logging.getLogger("perfkit")

THRESHOLD = 10
REMEMBERED = 1_000
"""Warnings given; after as many different ones there are no more."""


def repeated(record: Record, at_least: int = 2) -> dict[tuple[str, str], int]:
    """Return how often a request did what it did *at_least* times, by system and name."""
    counts = Counter((each.system, each.name) for each in tuple(record.operations))
    return {key: count for key, count in counts.most_common() if count >= at_least}


class Warner:
    """A listener for `perfkit.record.listen`: warns once per route and repeated operation."""

    def __init__(self, threshold: int = THRESHOLD) -> None:
        self._threshold = threshold
        self._warned: set[tuple[str | None, str, str]] = set()
        self._lock = Lock()

    def __call__(self, operation: Operation, record: Record | None) -> None:
        """Warn when a request has done the same as often as the threshold says."""
        # Hot path: most requests do not ask so often that they could repeat themselves.
        if record is None or len(record.operations) < self._threshold:
            return
        key = (record.route, operation.system, operation.name)
        if key in self._warned or len(self._warned) >= REMEMBERED:
            return
        count = sum(
            each.name == operation.name and each.system == operation.system
            for each in tuple(record.operations)
        )
        if count >= self._threshold and self._is_first(key):
            logger.warning(
                "%s %s asks %s %d times or more in one request: %s",
                *(record.method, record.route, operation.system, count, operation.name),
            )

    def _is_first(self, key: tuple[str | None, str, str]) -> bool:
        with self._lock:
            is_first = key not in self._warned
            self._warned.add(key)
            return is_first
