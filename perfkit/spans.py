"""The spans of one request, and how they get to where they are kept without holding it up.

Names and attributes follow OpenTelemetry's semantic conventions for HTTP servers. A span has the
route's template and never the path or its query, and nothing else that a client sent.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal
from weakref import WeakSet

from perfkit.metrics import METHODS, OTHER
from perfkit.record import Entry, Operation, Record

logger = logging.getLogger("perfkit")

Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work of a trace; *started* and *ended* are nanoseconds of the Unix epoch.

    Attributes:
        error: The type of the exception in which it ended, or the status; empty for none.
    """

    name: str
    kind: Literal["server", "client", "internal"]
    trace_id: str
    span_id: str
    parent_id: str
    started: int
    ended: int
    attributes: dict[str, Attribute] = field(default_factory=dict)
    error: str = ""


def spans_of(
    record: Record, trace_id: str, span_id: str, parent_id: str, ids: Iterator[str]
) -> Iterator[Span]:
    """Yield the span of a request that is over, then those of its parts in order of their start.

    Args:
        ids: Gives each part its own span id.
    """
    # One difference for all, so that an adjusted clock moves no part of a request.
    offset = time.time_ns() - int(perf_counter() * 1e9)

    def at(reading: float) -> int:
        return offset + int(reading * 1e9)

    begun = at(record.started - record.queued)
    yield _server_span(record, trace_id, span_id, parent_id, begun, at(record.finished))
    around: list[tuple[float, str]] = []
    # As they ended, an inner part comes before the outer one; of two with the same times, too.
    parts: list[Entry | Operation] = [*reversed(record.timeline), *record.operations]
    for part in sorted(parts, key=lambda part: (_started(part), -_ended(part))):
        while around and around[-1][0] < _ended(part):
            around.pop()
        outer = around[-1][1] if around else span_id
        own = next(ids)
        around.append((_ended(part), own))
        times = (at(_started(part)), at(_ended(part)))
        if isinstance(part, Operation):
            yield _client_span(part, trace_id, own, outer, *times)
        else:
            yield _internal_span(part, trace_id, own, outer, *times)


def _started(part: Entry | Operation) -> float:
    return part.started if isinstance(part, Operation) else part[2]


def _ended(part: Entry | Operation) -> float:
    return part.started + part.seconds if isinstance(part, Operation) else part[3]


def _server_span(
    record: Record, trace_id: str, span_id: str, parent_id: str, started: int, ended: int
) -> Span:
    method = record.method if record.method in METHODS else OTHER
    attributes: dict[str, Attribute] = {
        "http.request.method": method,
        "http.response.status_code": record.status,
        "http.response.body.size": record.sent_bytes,
    }
    if record.route is not None:
        attributes["http.route"] = record.route
    if record.decision:
        attributes["restmachine.decision"] = record.decision
    failures = [subject for kind, subject, _, _ in record.timeline if kind == "failure"]
    error = ""
    if record.status >= 500 or record.status == 0:
        error = type(failures[-1]).__name__ if failures else f"{record.status}"
        attributes["error.type"] = error
    name = method if record.route is None else f"{method} {record.route}"
    return Span(name, "server", trace_id, span_id, parent_id, started, ended, attributes, error)


def _client_span(
    operation: Operation, trace_id: str, span_id: str, parent_id: str, started: int, ended: int
) -> Span:
    attributes: dict[str, Attribute] = {}
    if operation.system == "http":
        method, _, host = operation.name.partition(" ")
        attributes = {"http.request.method": method, "server.address": host}
    else:
        attributes = {"db.system.name": operation.system, "db.query.summary": operation.name}
    if operation.error:
        attributes["error.type"] = operation.error
    return Span(
        operation.name, "client", trace_id, span_id, parent_id, started, ended, attributes,
        operation.error,
    )  # fmt: skip


def _internal_span(
    entry: Entry, trace_id: str, span_id: str, parent_id: str, started: int, ended: int
) -> Span:
    kind, subject, _, _ = entry
    name, error = kind, ""
    attributes: dict[str, Attribute] = {}
    if kind == "decision" and isinstance(subject, tuple):
        decision, answer = subject
        name, attributes = f"decision {decision}", {"restmachine.answer": bool(answer)}
    elif kind in ("content", "sending"):
        attributes = {"restmachine.bytes": int(str(subject))}
    elif kind == "failure":
        error = type(subject).__name__
        attributes = {"error.type": error}
    elif subject:
        name = f"{kind} {subject}"
    return Span(
        name, "internal", trace_id, span_id, parent_id, started, ended, attributes, error
    )  # fmt: skip


Write = Callable[[Sequence[Span]], None]

QUEUED_SPANS = 10_000
BATCH_SPANS = 512
_BATCH_SECONDS = 0.2
_CLOSE_SECONDS = 5.0


class Exporter:
    """Writes spans on a thread of its own; a request never waits for it.

    Args:
        write: Takes a batch of spans, and may block or fail: then they are lost and counted,
            and the first failure is logged.
        end: Is called once, when everything has been written.
        limit: How many spans may wait; more are dropped and counted, and the first is logged.

    Attributes:
        exported, dropped, failed: How many spans were written, found no place, and were lost.
    """

    def __init__(
        self, write: Write, end: Callable[[], None] | None = None, *, limit: int = QUEUED_SPANS
    ) -> None:
        self.exported = self.dropped = self.failed = 0
        self._write = write
        self._end = end
        self._limit = limit
        self._closed = False
        self._start()
        _exporters.add(self)

    def _start(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Span] = []
        self._thread: threading.Thread | None = None

    def put(self, spans: Sequence[Span]) -> None:
        """Take the spans of one request."""
        with self._changed:
            if self._closed or len(self._waiting) + len(spans) > self._limit:
                if not self.dropped:
                    logger.warning(
                        "Spans come faster than they are exported: those that find no place are "
                        "dropped, and not logged again"
                    )
                self.dropped += len(spans)
                return
            self._waiting += spans
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="perfkit-spans", daemon=True)
                self._thread.start()
            elif len(self._waiting) >= BATCH_SPANS:
                self._changed.notify()

    def close(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Write what waits and stop; what is not written within so many seconds is dropped."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is None:
            self._finish()
            return
        thread.join(seconds)
        if thread.is_alive():
            with self._changed:
                self.dropped += len(self._waiting)
                self._waiting.clear()
            logger.warning("The exporter of spans was still busy at shutdown")

    def _run(self) -> None:
        while True:
            with self._changed:
                if len(self._waiting) < BATCH_SPANS and not self._closed:
                    self._changed.wait(_BATCH_SECONDS)
                batch, self._waiting = self._waiting[:BATCH_SPANS], self._waiting[BATCH_SPANS:]
                if not batch and self._closed:
                    break
            if batch:
                self._try(batch)
        self._finish()

    def _try(self, batch: Sequence[Span]) -> None:
        try:
            self._write(batch)
        except Exception:
            if not self.failed:
                logger.exception("Spans could not be exported; further failures are not logged")
            self.failed += len(batch)
        else:
            self.exported += len(batch)

    def _finish(self) -> None:
        if self._end is None:
            return
        try:
            self._end()
        except Exception:
            logger.exception("The exporter of spans could not be closed")


_exporters: WeakSet[Exporter] = WeakSet()


def _start_anew() -> None:
    """Let exporters go on in a forked child, where no thread runs, with nothing that waits."""
    for exporter in list(_exporters):
        exporter._start()


os.register_at_fork(after_in_child=_start_anew)


@atexit.register
def _close_all() -> None:
    for exporter in list(_exporters):
        exporter.close()
