"""Reads what nobody tells of, once a second: how full pools are, and worker threads.

One thread of each process does it. It begins with the first request, so that a process which
forks before has none, and it holds nothing alive that it reads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from weakref import WeakSet

from perfkit import pools
from perfkit.meter import Meter
from perfkit.metrics import (
    POOL_CONNECTIONS,
    POOL_MAX,
    POOL_PENDING,
    POOL_WAIT_SECONDS,
    POOL_WAITS,
    SPANS_DROPPED,
    WORKERS_BUSY,
    WORKERS_WAITING,
)
from perfkit.occupancy import Reading
from perfkit.spans import Exporter
from perfkit.store import after_fork
from restmachine.workers import WorkerPool

SECONDS = 1.0

logger = logging.getLogger("perfkit")


class Gauges:
    """What is read of one application: its worker threads, its spans, and the process's pools."""

    def __init__(
        self, meter: Meter, workers: WorkerPool | None = None, spans: Exporter | None = None
    ) -> None:
        self._meter = meter
        self._workers = workers
        self._spans = spans

    def start(self) -> None:
        """Read from now on, as long as somebody keeps this."""
        _reader.add(self)

    def read(self) -> None:
        """Read everything now."""
        for reading in pools.readings():
            self._show(reading)
        if self._workers is not None:
            usage = self._workers.usage()
            self._meter.set(WORKERS_BUSY, to=usage.busy)
            self._meter.set(WORKERS_WAITING, to=usage.waiting)
        if self._spans is not None:
            self._meter.set(SPANS_DROPPED, to=self._spans.dropped + self._spans.failed)

    def _show(self, reading: Reading) -> None:
        pool, put = reading.name, self._meter.set
        put(POOL_CONNECTIONS, pool, "used", to=reading.in_use)
        put(POOL_CONNECTIONS, pool, "idle", to=reading.size - reading.in_use)
        put(POOL_PENDING, pool, to=reading.waiting)
        put(POOL_WAITS, pool, to=reading.waits)
        put(POOL_WAIT_SECONDS, pool, to=reading.wait_seconds)
        if reading.limit is not None:
            put(POOL_MAX, pool, to=reading.limit)


class _Reader:
    """The thread that reads, while there is anything to read."""

    def __init__(self) -> None:
        self._start()
        after_fork(self._start)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._gauges: WeakSet[Gauges] = WeakSet()
        self._running = False

    def add(self, gauges: Gauges) -> None:
        with self._lock:
            self._gauges.add(gauges)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="perfkit-gauges", daemon=True).start()

    def _run(self) -> None:
        pause: Callable[[float], bool] = threading.Event().wait
        failed = False
        while True:
            with self._lock:
                everyone = list(self._gauges)
                if not everyone:
                    self._running = False
                    return
            for gauges in everyone:
                try:
                    gauges.read()
                except Exception:
                    if not failed:
                        failed = True
                        logger.exception("Gauges failed; further failures are not logged")
            del everyone, gauges
            pause(SECONDS)


_reader = _Reader()
