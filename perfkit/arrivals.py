"""When requests of an open-loop load are due: a schedule that no answer can delay."""

from __future__ import annotations

import math
import random


class Arrivals:
    """Random arrivals at *rate* per second from *start* on, in seconds of the caller's clock.

    Each window of about a second holds exactly as many as the rate demands, at independent
    uniform moments: Poisson arrivals, given their number.

    Users draw the next due time whenever they become free. A due time in the past means
    that every user was busy: the request starts at once, and its latency counts from the
    due time, so a server that stalls is charged for all it kept waiting.
    The memory needed does not depend on how far the load has fallen behind.
    """

    __slots__ = ("_count", "_random", "_start", "_waiting", "_width")

    def __init__(self, rate: float, start: float, seed: int = 0) -> None:
        self._count = math.ceil(rate)
        self._width = self._count / rate
        self._start = start
        self._random = random.Random(seed)
        self._waiting = self._window()

    def draw(self) -> float:
        """Return the earliest due time that nobody has drawn yet, and move on."""
        due = self._waiting.pop()
        if not self._waiting:
            self._waiting = self._window()
        return due

    def lag(self, now: float) -> float:
        """Return for how many seconds the next arrival has been waiting for a free user."""
        return max(0.0, now - self._waiting[-1])

    def _window(self) -> list[float]:
        """Return the due times of the next window, the latest first."""
        begin, self._start = self._start, self._start + self._width
        moments = (begin + self._width * self._random.random() for _ in range(self._count))
        return sorted(moments, reverse=True)
