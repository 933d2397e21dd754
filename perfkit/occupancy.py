"""How full a connection pool is, and how long its callers wait."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Reading:
    """One pool at one moment.

    Attributes:
        name: What the application calls it.
        system: The library: "psycopg_pool", "psycopg2", "asyncpg", "sqlalchemy" or "redis".
        limit: Connections it may have, None for any number.
        size: Connections it has, idle or in use.
        in_use: Connections that somebody has.
        waiting: Callers that wait for one now.
        waits: How often a caller had to wait since the pool is watched.
        wait_seconds: The sum of those waits.
    """

    name: str
    system: str
    limit: int | None
    size: int
    in_use: int
    waiting: int
    waits: int
    wait_seconds: float


class Waits:
    """Counts and times those who wait for a connection, on any thread; each wait is a `Wait`."""

    def __init__(self) -> None:
        self.waiting = 0
        self.count = 0
        self.seconds = 0.0
        self.lock = Lock()


def waits_of(pool: object) -> Waits:
    """Return the waits that are counted for a pool; those of one that lets nobody wait are none."""
    waits = getattr(pool, "waits", None)
    return waits if isinstance(waits, Waits) else Waits()


class Wait:
    """One caller's wait, as long as the block."""

    __slots__ = ("_began", "_waits")

    def __init__(self, waits: Waits) -> None:
        self._waits = waits

    def __enter__(self) -> None:
        self._began = perf_counter()
        with self._waits.lock:
            self._waits.waiting += 1

    def __exit__(self, *error: object) -> None:
        with self._waits.lock:
            self._waits.waiting -= 1
            self._waits.count += 1
            self._waits.seconds += perf_counter() - self._began
