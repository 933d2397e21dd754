"""Where a request stands in a trace: W3C Trace Context, sampling, and what goes on with calls.

    from perfkit import timing, tracefiles, tracing

    tracer = tracing.Tracer(tracefiles.json_lines("spans.jsonl"), sample=0.1)
    timing.attach(app, begun=[tracer.begin], finished=[tracer.finish])

Source: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from perfkit.errors import PerfkitError
from perfkit.record import Record, running
from perfkit.spans import Span, spans_of

SAMPLED = 0x01

_random = Random(os.urandom(16))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(16)))


@dataclass(frozen=True, slots=True)
class Trace:
    """One request's place in a trace.

    Attributes:
        trace_id: Of the whole trace, 32 hexadecimal digits.
        span_id: Of this request's span, 16 hexadecimal digits.
        parent_id: Of the caller's span, empty if the trace begins here.
        sampled: Whether spans are recorded; a caller decides that for all that follow.
        state: What others want to be passed on (``tracestate``), empty for nothing.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True
    state: str = ""

    @property
    def header(self) -> str:
        """The value of ``traceparent`` for a call that belongs to this request."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


_traceparent = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def parse_traceparent(value: str | None) -> tuple[str, str, bool] | None:
    """Return the trace id, the caller's span id and whether it is sampled; None if malformed.

    A later version than 00 is read as far as its beginning is the same (section 3.2.4).
    """
    found = _traceparent.fullmatch(value.strip(" \t")) if value is not None else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id, bool(int(flags, 16) & SAMPLED)


_KEY = r"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_member = re.compile(rf"({_KEY})=([ -+\--<>-~]{{0,255}}[!-+\--<>-~])")
MOST_MEMBERS = 32
LONGEST_STATE = 512
"""What a vendor should pass on at least (section 3.3.1.5); what is longer is not."""


def parse_tracestate(value: str | None) -> str:
    """Return a ``tracestate`` as it is passed on, empty if it is malformed or too long."""
    if value is None or len(value) > LONGEST_STATE:
        return ""
    members = [member.strip(" \t") for member in value.split(",")]
    members = [member for member in members if member]
    found = [_member.fullmatch(member) for member in members]
    keys = [match[1] for match in found if match is not None]
    if len(keys) < len(members) or len(members) > MOST_MEMBERS or len(set(keys)) < len(keys):
        return ""
    return ",".join(members)


def new_span_id() -> str:
    """Return 16 random hexadecimal digits, not all of them zero."""
    return f"{_random.getrandbits(64) or 1:016x}"


def _new_trace_id() -> str:
    return f"{_random.getrandbits(128) or 1:032x}"


def outgoing_headers() -> dict[str, str]:
    """Return the header fields for a call that belongs to the current request, none outside."""
    record = running()
    trace = None if record is None else record.trace
    if trace is None:
        return {}
    fields = {"traceparent": trace.header}
    return {**fields, "tracestate": trace.state} if trace.state else fields


class Fields(Protocol):
    """The header fields of a request."""

    def field(self, name: bytes) -> str | None:
        """Return a field by its lower-case name, None if it was not sent."""


class Tracer:
    """Gives each request its place in a trace, and exports the spans of those sampled.

    Args:
        export: Takes the spans of one request; must return at once (`spans.Exporter.put`).
            None keeps the place alone, for calls and logs.
        sample: The share of new traces that is sampled; a caller's decision stands.
        trust: Whether to go on with the trace that a request states; a service on the public
            edge may rather begin its own.
    """

    def __init__(
        self,
        export: Callable[[Sequence[Span]], None] | None = None,
        *,
        sample: float = 1.0,
        trust: bool = True,
    ) -> None:
        if not 0.0 <= sample <= 1.0:
            raise PerfkitError(f"sample= takes a share from 0 to 1, and got {sample}")
        self._export = export
        self._sample = sample
        self._trust = trust

    def begin(self, record: Record, fields: Fields) -> None:
        """Place a request that has started."""
        stated = fields.field(b"traceparent") if self._trust else None
        parent = parse_traceparent(stated)
        if parent is None:
            sampled = self._sample >= 1.0 or _random.random() < self._sample
            record.trace = Trace(_new_trace_id(), new_span_id(), sampled=sampled)
        else:
            trace_id, parent_id, sampled = parent
            state = parse_tracestate(fields.field(b"tracestate"))
            record.trace = Trace(trace_id, new_span_id(), parent_id, sampled, state)

    def finish(self, record: Record) -> None:
        """Export the spans of a request that is over."""
        trace = record.trace
        if self._export is not None and trace is not None and trace.sampled:
            own = (trace.trace_id, trace.span_id, trace.parent_id)
            self._export(list(spans_of(record, *own, _span_ids())))


def _span_ids() -> Iterator[str]:
    while True:
        yield new_span_id()
