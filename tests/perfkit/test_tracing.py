"""Traces go on where a caller says so, and begin anew where it says nothing that can be read."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from perfkit import timing, tracing
from perfkit.errors import PerfkitError
from perfkit.record import Record
from perfkit.spans import Span
from perfkit.tracing import Tracer, outgoing_headers, parse_traceparent, parse_tracestate
from restmachine import RestApplication
from restmachine.testing import TestClient

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STATED = f"00-{TRACE}-{SPAN}-01"

Serve = Callable[[RestApplication], TestClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(TestClient(app))


class Traced:
    """An application that answers with what it would state in a call, and what was exported."""

    def __init__(self, **options: Any) -> None:
        self.spans: list[Span] = []
        self.records: list[Record] = []
        tracer = Tracer(self.export, **options)
        self.app = RestApplication()
        ends = [tracer.finish, self.records.append]
        timing.attach(self.app, begun=[tracer.begin], finished=ends)
        self.app.get("/sync")(lambda: outgoing_headers())

        @self.app.get("/async")
        async def asynchronous() -> dict[str, str]:
            await asyncio.sleep(0)
            return outgoing_headers()

    def export(self, spans: Sequence[Span]) -> None:
        self.spans += spans


@pytest.mark.parametrize(
    ("value", "parent"),
    [
        (STATED, (TRACE, SPAN, True)),
        (f" {STATED}\t", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", (TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-02", (TRACE, SPAN, False)),
        (f"cc-{TRACE}-{SPAN}-01", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01.what", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00_{TRACE}_{SPAN}_01", None),
        (f"{STATED}, {STATED}", None),
        (f"{STATED}\n", None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_as_the_recommendation_says(
    value: str | None, parent: tuple[str, str, bool] | None
) -> None:
    assert parse_traceparent(value) == parent


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1 , b=2\t,,", "a=1,b=2"),
        ("fw529a3039@dt=FfffffA;7", "fw529a3039@dt=FfffffA;7"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a", ""),
        ("a=", ""),
        ("a=b=c", ""),
        (",".join(f"k{i}=1" for i in range(33)), ""),
        (f"a={'x' * 256}", f"a={'x' * 256}"),
        (f"a={'x' * 257}", ""),
        (f"a={'x' * 200},b={'x' * 200},c={'x' * 200}", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_tracestate_is_passed_on_or_left_out(value: str | None, state: str) -> None:
    assert parse_tracestate(value) == state


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_a_call_belongs_to_the_request_that_makes_it(serve: Serve, path: str) -> None:
    traced = Traced()

    stated = {"traceparent": STATED, "tracestate": "rojo=1"}
    passed_on = serve(traced.app).get(path, headers=stated).json()

    (server, *_) = traced.spans
    assert passed_on == {
        "traceparent": f"00-{TRACE}-{server.span_id}-01", "tracestate": "rojo=1",
    }  # fmt: skip
    assert (server.trace_id, server.parent_id) == (TRACE, SPAN)
    assert server.span_id != SPAN


def test_a_request_without_a_caller_begins_a_trace(serve: Serve) -> None:
    traced = Traced()
    client = serve(traced.app)

    first, second = [client.get("/async").json() for _ in range(2)]

    assert first.keys() == {"traceparent"}
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", first["traceparent"])
    assert first["traceparent"][3:35] != second["traceparent"][3:35]
    assert traced.spans[0].parent_id == ""


def test_a_state_without_a_trace_is_not_passed_on(serve: Serve) -> None:
    passed_on = serve(Traced().app).get("/async", headers={"tracestate": "rojo=1"}).json()

    assert passed_on.keys() == {"traceparent"}


def test_an_edge_begins_its_own_traces(serve: Serve) -> None:
    traced = Traced(trust=False)

    passed_on = serve(traced.app).get("/async", headers={"traceparent": STATED}).json()

    assert TRACE not in passed_on["traceparent"]


@pytest.mark.parametrize(("sample", "flags", "sampled"), [(0.0, "01", True), (1.0, "00", False)])
def test_the_decision_of_a_caller_stands(
    serve: Serve, sample: float, flags: str, sampled: bool
) -> None:
    traced = Traced(sample=sample)

    stated = {"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}
    passed_on = serve(traced.app).get("/async", headers=stated).json()

    assert passed_on["traceparent"].endswith(flags)
    assert bool(traced.spans) is sampled


def test_a_share_of_new_traces_is_sampled_and_all_are_passed_on(serve: Serve) -> None:
    traced = Traced(sample=0.5)
    client = serve(traced.app)
    for _ in range(200):
        client.get("/async")

    sampled = [record.trace.sampled for record in traced.records if record.trace is not None]

    assert len(sampled) == 200
    assert 60 < sum(sampled) < 140
    assert sum(span.kind == "server" for span in traced.spans) == sum(sampled)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(PerfkitError, match=r"sample= takes a share from 0 to 1, and got"):
        Tracer(sample=share)


def test_outside_of_a_request_nothing_is_stated() -> None:
    assert outgoing_headers() == {}


def test_a_request_that_nothing_traces_states_nothing(serve: Serve) -> None:
    app = RestApplication()
    timing.attach(app)
    app.get("/")(lambda: outgoing_headers())

    assert serve(app).get("/").json() == {}


def test_forked_processes_give_other_ids() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the child leaves at once
        os.write(writing, tracing.new_span_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    theirs = os.read(reading, 16).decode()
    os.close(reading)

    assert len(theirs) == 16
    assert tracing.new_span_id() != theirs
