"""Where the time of one request went: parts that add up to the whole.

The parts come from the entries of a timeline. One entry may contain others, such as a handler
that waits for the request's content; then its own part is what they leave over. What no entry
covers is `other`: the framework between two of them, and waiting for one's turn on the event
loop after an await or a worker thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from perfkit.record import Entry, Record

DECISIONS = "decisions"
BACKGROUND = "background"


@dataclass(slots=True)
class Split:
    """The parts of one request, in seconds of wall time.

    Attributes:
        total: The whole, from the proxy's taking the request if that is known.
        queue: From there until the application knew the route.
        content: Waiting for the client to send the request's content.
        worker: Waiting for a worker thread.
        loop: Waiting on one, or after it, for the event loop.
        decisions: Answering the questions of the diagram.
        dependencies: Making each dependency, without those that it asked for, by name.
        handler: Running the handler.
        rendering: Turning its result, or a status without one, into the response.
        failure: Turning an exception into the response.
        ending: Error handlers and functions for default header fields.
        streaming: Making the pieces of a stream.
        sending: Handing the response to the server, which may hold back.
        teardown: Finishing each generator dependency, by name.
        background: What else ran after the last byte.
        other: What none of these covers.
        first_byte: From the start of `total` until the response was handed over, None if it
            never was.
        last_byte: From there until the server had taken all of it.
        operations: How many calls to other systems there were.
        operations_seconds: How long they took; that is part of what called them.
        cpu: For how long threads computed for the request, None where nobody measured that.
    """

    total: float
    queue: float
    content: float = 0.0
    worker: float = 0.0
    loop: float = 0.0
    decisions: float = 0.0
    dependencies: dict[str, float] = field(default_factory=dict)
    handler: float = 0.0
    rendering: float = 0.0
    failure: float = 0.0
    ending: float = 0.0
    streaming: float = 0.0
    sending: float = 0.0
    teardown: dict[str, float] = field(default_factory=dict)
    background: float = 0.0
    other: float = 0.0
    first_byte: float | None = None
    last_byte: float | None = None
    operations: int = 0
    operations_seconds: float = 0.0
    cpu: float | None = None

    @property
    def parts(self) -> dict[str, float]:
        """Every part that is not nothing, which add up to `total`; dependencies one by one."""
        parts = {
            "queue": self.queue,
            "content": self.content,
            "worker": self.worker,
            "loop": self.loop,
            DECISIONS: self.decisions,
            **{f"dependency.{name}": seconds for name, seconds in self.dependencies.items()},
            "handler": self.handler,
            "rendering": self.rendering,
            "failure": self.failure,
            "ending": self.ending,
            "streaming": self.streaming,
            "sending": self.sending,
            **{f"teardown.{name}": seconds for name, seconds in self.teardown.items()},
            BACKGROUND: self.background,
            "other": self.other,
        }
        return {name: seconds for name, seconds in parts.items() if seconds}


def split(record: Record, until: float | None = None) -> Split:
    """Return the parts of a request that is over, or of one that runs *until* now."""
    ended = record.finished if until is None else until
    result = Split(record.queued + ended - record.started, record.queued)
    _note_bytes(result, record)
    covered = 0.0
    entries = [*record.timeline, *_stages(record, ended)]
    for (kind, subject, _, _), seconds in own_seconds(entries):
        covered += seconds
        if kind == "dependency":
            _add(result.dependencies, str(subject), seconds)
        elif kind == "teardown":
            _add(result.teardown, str(subject), seconds)
        else:
            part = DECISIONS if kind == "decision" else kind
            setattr(result, part, getattr(result, part) + seconds)
    result.other = max(0.0, result.total - result.queue - covered)
    result.operations = len(record.operations)
    result.operations_seconds = sum(operation.seconds for operation in record.operations)
    result.cpu = record.cpu
    return result


def _add(parts: dict[str, float], name: str, seconds: float) -> None:
    parts[name] = parts.get(name, 0.0) + seconds


def _note_bytes(result: Split, record: Record) -> None:
    sent = [entry for entry in record.timeline if entry[0] == "sending"]
    if sent:
        begun = record.started - record.queued
        result.first_byte = sent[0][2] - begun
        result.last_byte = sent[-1][3] - begun


def _stages(record: Record, ended: float) -> Iterator[Entry]:
    """Yield what no entry tells of, since it lies around others."""
    timeline = record.timeline
    handled = [entry for entry in timeline if entry[0] == "handler"]
    concluded = [entry[2] for entry in timeline if entry[0] in ("rendering", "failure")]
    responded = [entry[2] for entry in timeline if entry[0] == "sending"]
    # A request that failed before had no time for anything but decisions.
    decided = min([*concluded[:1], *responded[:1]], default=handled[-1][3] if handled else ended)
    yield DECISIONS, "", record.started, decided
    sent = [entry for entry in timeline if entry[0] == "sending"]
    if sent:
        yield BACKGROUND, "", sent[-1][3], ended


def own_seconds(entries: Sequence[Entry]) -> Iterator[tuple[Entry, float]]:
    """Yield each entry with the seconds that no entry inside of it covers.

    Args:
        entries: Each after those which lie inside of it.
    """
    inside: list[tuple[Entry, list[float]]] = []
    # The sort is stable, so of two with the same times the outer one still comes first.
    outer_first = entries[::-1]
    for entry in sorted(outer_first, key=lambda entry: (entry[2], -entry[3])):
        _, _, started, ended = entry
        while inside and inside[-1][0][3] <= started:
            yield _own(*inside.pop())
        if inside:
            outer, covered = inside[-1]
            covered.append(min(ended, outer[3]) - started)
        inside.append((entry, []))
    while inside:
        yield _own(*inside.pop())


def _own(entry: Entry, covered: list[float]) -> tuple[Entry, float]:
    return entry, entry[3] - entry[2] - sum(covered)
