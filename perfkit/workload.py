"""One request that applications are compared by, and what each must answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

FIELDS = (("host", "127.0.0.1:8000"), ("user-agent", "perfkit"), ("accept", "*/*"))


class Answer(NamedTuple):
    """What an application sent; names of fields are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Workload:
    """A request and its answer.

    Attributes:
        name: By which it is chosen.
        title: What a table calls it.
        headers: Fields beyond those that every client sends.
        content: The JSON that must come back; None where only the status counts.
        etag: The entity tag that must come with it.
        unconditional: What the same request without *headers* must be answered with, and 200.
        routes: How many routes the application has, None for a handful.
        depth: How many dependencies the handler needs, each of which needs the next.
        callers: How many requests are under way at the same time.
    """

    name: str
    title: str
    path: str
    method: str = "GET"
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    status: int = 200
    content: Any = None
    etag: str | None = None
    unconditional: Any = None
    routes: int | None = None
    depth: int | None = None
    callers: int = 1

    @property
    def fields(self) -> list[tuple[str, str]]:
        """All header fields of the request, names in lower case."""
        length = [("content-length", str(len(self.body)))] if self.body else []
        return [*FIELDS, *self.headers, *length]

    @property
    def requests(self) -> list[Workload]:
        """What is checked: this, and the same without its conditions where those are stated."""
        if self.unconditional is None:
            return [self]
        plain = Workload(
            self.name, self.title, self.path, content=self.unconditional, etag=self.etag
        )
        return [self, plain]


@dataclass(frozen=True)
class Curve:
    """How a cost grows: what is counted, the counts to measure, and the request for each."""

    name: str
    title: str
    points: Sequence[int]
    workload: Callable[[int], Workload]


def fault(workload: Workload, answer: Answer) -> str | None:
    """Return what is wrong with an answer, or None."""
    if answer.status != workload.status:
        return f"status {answer.status} instead of {workload.status}"
    if workload.etag is not None and answer.headers.get("etag") != workload.etag:
        return f"ETag {answer.headers.get('etag')} instead of {workload.etag}"
    if workload.status == 304 and answer.body:
        return f"a 304 with a body: {_short(answer.body)}"
    if workload.content is None:
        return None
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if media_type != "application/json":
        return f"Content-Type {media_type!r} instead of application/json"
    try:
        content = json.loads(answer.body)
    except ValueError:
        return f"a body that is no JSON: {_short(answer.body)}"
    if content != workload.content:
        return f"body {_short(answer.body)} instead of {_short(json.dumps(workload.content))}"
    return None


def _short(text: bytes | str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
