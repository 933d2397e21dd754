"""When requests of an open-loop load are due: a schedule that no answer can delay."""

from __future__ import annotations

import random


class Arrivals:
    """Poisson arrivals at *rate* per second from *start* on, in seconds of the caller's clock.

    Users draw the next due time whenever they become free. A due time in the past means
    that every user was busy: the request starts at once, and its latency counts from the
    due time, so a server that stalls is charged for all it kept waiting.
    The memory needed does not depend on how far the load has fallen behind.
    """

    __slots__ = ("_due", "_random", "_rate")

    def __init__(self, rate: float, start: float, seed: int = 0) -> None:
        self._rate = rate
        self._random = random.Random(seed)
        self._due = start + self._random.expovariate(rate)

    def draw(self) -> float:
        """Return the earliest due time that nobody has drawn yet, and move on."""
        due = self._due
        self._due += self._random.expovariate(self._rate)
        return due

    def lag(self, now: float) -> float:
        """Return for how many seconds the next arrival has been waiting for a free user."""
        return max(0.0, now - self._due)
