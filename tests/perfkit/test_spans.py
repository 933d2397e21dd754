"""Spans tell what happened and nothing that a client sent, and an exporter holds nobody up."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from perfkit import timing, tracefiles
from perfkit.errors import PerfkitError
from perfkit.record import Entry, Operation, Record
from perfkit.spans import Exporter, Span, spans_of
from perfkit.tracing import Tracer
from restmachine import RestApplication
from restmachine.testing import TestClient


def record(*timeline: Entry, **facts: Any) -> Record:
    made = Record("GET", "/items/{id}", 10.0, facts.pop("timeline", list(timeline)))
    made.finished, made.status, made.sent_bytes, made.decision = 20.0, 200, 5, "O18"
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def spans(made: Record) -> list[Span]:
    return list(spans_of(made, "trace", "0", "caller", (f"{i}" for i in count(1))))


def test_the_first_span_is_the_request_in_the_words_of_opentelemetry() -> None:
    (server,) = spans(record())

    assert (server.name, server.kind, server.error) == ("GET /items/{id}", "server", "")
    assert (server.trace_id, server.span_id, server.parent_id) == ("trace", "0", "caller")
    assert server.ended - server.started == 10_000_000_000
    assert server.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "http.route": "/items/{id}",
        "restmachine.decision": "O18",
    }


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"status": 404}, ""),
        ({"status": 499}, ""),
        ({"status": 500}, "500"),
        ({"status": 500, "timeline": [("failure", KeyError("secret"), 11.0, 12.0)]}, "KeyError"),
    ],
)
def test_the_servers_own_errors_are_named_by_their_type(facts: dict[str, Any], error: str) -> None:
    server = spans(record(**facts))[0]

    assert server.error == error
    assert server.attributes.get("error.type", "") == error


def test_a_path_without_a_route_and_an_odd_method_are_not_told() -> None:
    server = spans(record(method="BREW", route=None))[0]

    assert server.name == "_OTHER"
    assert "http.route" not in server.attributes


def test_each_part_is_a_span_below_the_one_that_contains_it() -> None:
    made = record(
        ("content", 7, 12.0, 13.0),
        ("dependency", "user", 11.0, 14.0),
        ("decision", ("B8", True), 10.5, 14.5),
        ("handler", "read", 15.0, 18.0),
    )
    made.operations.append(Operation("postgresql", "SELECT ?", 16.0, 1.0, "Timeout"))
    made.operations.append(Operation("http", "GET example.org", 17.5, 0.25))

    told = [(span.name, span.kind, span.span_id, span.parent_id) for span in spans(made)]

    assert told == [
        ("GET /items/{id}", "server", "0", "caller"),
        ("decision B8", "internal", "1", "0"),
        ("dependency user", "internal", "2", "1"),
        ("content", "internal", "3", "2"),
        ("handler read", "internal", "4", "0"),
        ("SELECT ?", "client", "5", "4"),
        ("GET example.org", "client", "6", "4"),
    ]


def test_calls_to_other_systems_have_the_attributes_of_their_kind() -> None:
    made = record()
    made.operations.append(Operation("postgresql", "SELECT ?", 16.0, 1.0, "Timeout"))
    made.operations.append(Operation("http", "GET example.org", 17.5, 0.25))

    _, query, call = spans(made)

    assert query.attributes == {
        "db.system.name": "postgresql", "db.query.summary": "SELECT ?", "error.type": "Timeout",
    }  # fmt: skip
    assert query.error == "Timeout"
    assert call.attributes == {"http.request.method": "GET", "server.address": "example.org"}


def test_nothing_that_a_client_sent_is_in_a_span() -> None:
    found: list[Span] = []
    tracer = Tracer(found.extend)
    app = RestApplication()
    timing.attach(app, begun=[tracer.begin], finished=[tracer.finish], decisions=True)
    app.resource_exists(fails)
    app.post("/items/{id}")(takes)

    with TestClient(app) as client:
        client.post(
            "/items/secret-id?key=secret-query",
            json={"name": "secret-content"},
            headers={"Authorization": "secret-token", "tracestate": "secret=1"},
        )

    assert len(found) > 5
    assert "secret" not in repr(found)


def fails(id: str) -> None:
    raise ValueError(id)


def takes(fails: Any, json_body: Any) -> Any:
    return json_body


class Collected:
    """Takes batches as an exporter's `write`, and waits where that is asked for."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Span]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.ended = 0

    def write(self, batch: Sequence[Span]) -> None:
        assert self.go_on.wait(10)
        self.batches.append(batch)

    def end(self) -> None:
        self.ended += 1

    @property
    def names(self) -> list[str]:
        return [span.name for batch in self.batches for span in batch]


def span(name: str = "one", **facts: Any) -> Span:
    known = {"kind": "server", "trace_id": "a", "span_id": "b", "parent_id": ""}
    return Span(name, **{**known, "started": 1_000, "ended": 2_000, **facts})


class TestExporter:
    def test_writes_all_that_was_put_before_it_closes(self) -> None:
        collected = Collected()
        exporter = Exporter(collected.write, collected.end)

        for number in range(2000):
            exporter.put([span(f"{number}")])
        exporter.close()
        exporter.close()

        assert collected.names == [f"{number}" for number in range(2000)]
        assert (exporter.exported, exporter.dropped, exporter.failed) == (2000, 0, 0)
        assert collected.ended == 1

    def test_that_was_never_used_is_closed_as_well(self) -> None:
        collected = Collected()

        Exporter(collected.write, collected.end).close()

        assert collected.ended == 1

    def test_that_blocks_drops_what_finds_no_place_and_says_so_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        collected = Collected()
        collected.go_on.clear()
        exporter = Exporter(collected.write, limit=600)

        with caplog.at_level(logging.WARNING, "perfkit"):
            for _ in range(3000):
                exporter.put([span()])
        collected.go_on.set()
        exporter.close()

        assert exporter.dropped > 0
        assert exporter.exported + exporter.dropped == 3000
        assert [entry.levelname for entry in caplog.records] == ["WARNING"]

    def test_that_fails_says_so_once_and_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        def write(batch: Sequence[Span]) -> None:
            raise OSError("no space left")

        exporter = Exporter(write)
        with caplog.at_level(logging.ERROR, "perfkit"):
            for _ in range(1500):
                exporter.put([span()])
            exporter.close()

        assert (exporter.exported, exporter.failed) == (0, 1500)
        assert len(caplog.records) == 1

    def test_that_is_still_busy_at_shutdown_is_left_behind(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        collected = Collected()
        collected.go_on.clear()
        exporter = Exporter(collected.write)
        exporter.put([span()])

        with caplog.at_level(logging.WARNING, "perfkit"):
            exporter.close(seconds=0.5)
        collected.go_on.set()

        assert "busy at shutdown" in caplog.text

    def test_that_is_closed_drops_what_comes_later(self) -> None:
        exporter = Exporter(Collected().write)
        exporter.close()

        exporter.put([span()])

        assert exporter.dropped == 1


class TestJSONLines:
    def test_a_span_is_a_line(self, tmp_path: Path) -> None:
        exporter = tracefiles.json_lines(tmp_path / "spans.jsonl")
        exporter.put([span(attributes={"http.route": "/x"}, ended=1_500_001_000, error="KeyError")])
        exporter.close()

        (line,) = (tmp_path / "spans.jsonl").read_text().splitlines()
        assert json.loads(line) == {
            "name": "one", "kind": "server", "trace_id": "a", "span_id": "b", "parent_id": None,
            "start": "1970-01-01T00:00:00.000001000Z", "end": "1970-01-01T00:00:01.500001000Z",
            "duration_seconds": 1.5, "attributes": {"http.route": "/x"}, "error": "KeyError",
        }  # fmt: skip

    def test_lines_of_a_former_run_stay(self, tmp_path: Path) -> None:
        (tmp_path / "spans.jsonl").write_text("{}\n")

        exporter = tracefiles.json_lines(tmp_path / "spans.jsonl")
        exporter.put([span()])
        exporter.close()

        assert len((tmp_path / "spans.jsonl").read_text().splitlines()) == 2

    def test_a_folder_that_is_not_there_is_told_in_a_line(self, tmp_path: Path) -> None:
        with pytest.raises(PerfkitError, match=r"cannot write spans to .*: No such file"):
            tracefiles.json_lines(tmp_path / "absent" / "spans.jsonl")


class TestChromeTrace:
    def written(self, path: Path, *batches: list[Span]) -> list[dict[str, Any]]:
        exporter = tracefiles.chrome_trace(path)
        for batch in batches:
            exporter.put(batch)
        exporter.close()
        events: list[dict[str, Any]] = json.loads(path.read_text())
        return [event for event in events if event["ph"] == "X"]

    def test_a_span_is_a_complete_event_in_microseconds(self, tmp_path: Path) -> None:
        (event,) = self.written(tmp_path / "t.json", [span(attributes={"http.route": "/x"})])

        assert (event["name"], event["cat"], event["ts"], event["dur"]) == ("one", "server", 1, 1)
        assert event["args"] == {"http.route": "/x", "trace_id": "a", "span_id": "b"}

    def test_requests_that_overlap_lie_on_lanes_of_their_own(self, tmp_path: Path) -> None:
        first = [span("a", started=0, ended=20), span("part", kind="internal")]
        second = [span("b", started=10, ended=30)]
        third = [span("c", started=20, ended=40)]

        events = self.written(tmp_path / "t.json", first, second, third)

        lanes = {event["name"]: event["tid"] for event in events}
        assert lanes == {"a": 0, "part": 0, "b": 1, "c": 0}

    def test_what_is_not_closed_is_read_by_those_who_need_no_end(self, tmp_path: Path) -> None:
        exporter = tracefiles.chrome_trace(tmp_path / "t.json")
        exporter._write([span()])

        begun = (tmp_path / "t.json").read_text()
        exporter.close()

        assert json.loads(begun.rstrip().rstrip(",") + "]")[0]["name"] == "one"
