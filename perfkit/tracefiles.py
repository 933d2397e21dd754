"""Spans in files: a line of JSON for each, or a trace that Chrome and Perfetto show.

Open a trace at https://ui.perfetto.dev, or in Chrome at ``chrome://tracing``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from perfkit.errors import PerfkitError
from perfkit.spans import Exporter, Span


def json_lines(path: str | Path) -> Exporter:
    """Return an exporter that appends a line of JSON for each span to a file.

    Raises:
        PerfkitError: The file cannot be written.
    """
    file = _opened(path, "a")

    def write(spans: Sequence[Span]) -> None:
        file.writelines(f"{json.dumps(told(span))}\n" for span in spans)
        file.flush()

    return Exporter(write, file.close)


def told(span: Span) -> dict[str, Any]:
    """Return what a line says of a span."""
    return {
        "name": span.name,
        "kind": span.kind,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id or None,
        "start": _time_of(span.started),
        "end": _time_of(span.ended),
        "duration_seconds": (span.ended - span.started) / 1e9,
        "attributes": span.attributes,
        "error": span.error or None,
    }


def _time_of(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def chrome_trace(path: str | Path) -> Exporter:
    """Return an exporter that writes a trace file; requests that overlap lie on lanes of their own.

    Raises:
        PerfkitError: The file cannot be written.
    """
    file = _opened(path, "w")
    file.write("[\n")
    lanes = _Lanes()

    def write(spans: Sequence[Span]) -> None:
        for span in spans:
            file.write(f"{json.dumps(_event(span, lanes.lane_of(span)))},\n")
        file.flush()

    def end() -> None:
        # What began with a bracket needs none at its end, but other readers want whole JSON.
        name = {"name": "process_name", "ph": "M", "pid": os.getpid(), "args": {"name": "requests"}}
        file.write(f"{json.dumps(name)}\n]\n")
        file.close()

    return Exporter(write, end)


class _Lanes:
    """Gives each request a lane on which no other is at that time."""

    def __init__(self) -> None:
        self._free_from: list[int] = []
        self._lane = 0

    def lane_of(self, span: Span) -> int:
        """Return the lane of a span; the parts of a request follow it and share its lane."""
        if span.kind == "server":
            free = (i for i, end in enumerate(self._free_from) if end <= span.started)
            self._lane = next(free, len(self._free_from))
            self._free_from[self._lane : self._lane + 1] = [span.ended]
        return self._lane


def _event(span: Span, lane: int) -> dict[str, Any]:
    arguments = {**span.attributes, "trace_id": span.trace_id, "span_id": span.span_id}
    if span.error:
        arguments["error"] = span.error
    return {
        "name": span.name,
        "cat": span.kind,
        "ph": "X",
        "ts": span.started / 1000,
        "dur": (span.ended - span.started) / 1000,
        "pid": os.getpid(),
        "tid": lane,
        "args": arguments,
    }


def _opened(path: str | Path, mode: Literal["a", "w"]) -> TextIO:
    try:
        return Path(path).open(mode, encoding="utf-8")
    except OSError as error:
        raise PerfkitError(f"cannot write spans to {path}: {error.strerror}") from error
