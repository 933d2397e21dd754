"""Spans reach a collector as OpenTelemetry's protocol has them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from perfkit import otlp
from perfkit.spans import Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def span(name: str, span_id: str, parent_id: str = "", **facts: Any) -> Span:
    return Span(
        name, facts.pop("kind", "server"), TRACE, span_id, parent_id, 1_000, 2_500, **facts
    )  # fmt: skip


class Collector(HTTPServer):
    """Takes what is sent to ``/v1/traces``, and answers with a status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.status = 200
        self.taken: list[ExportTraceServiceRequest] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(ExportTraceServiceRequest.FromString(content))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_collector_gets_every_span_with_its_parent_kind_and_attributes(
    collector: Collector,
) -> None:
    exporter = otlp.exporter(collector.endpoint, service="shop")
    exporter.put(
        [
            span("GET /x", "00f067aa0ba902b7", attributes={"http.route": "/x"}, error="500"),
            span("SELECT ?", "00f067aa0ba902b8", "00f067aa0ba902b7", kind="client"),
        ]
    )
    exporter.close(10)

    (request,) = collector.taken
    (resource,) = request.resource_spans
    server, client = resource.scope_spans[0].spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "shop"
    assert (server.name, server.kind, server.status.code) == ("GET /x", 2, 2)
    assert (client.name, client.kind, client.status.code) == ("SELECT ?", 3, 0)
    assert server.trace_id.hex() == TRACE
    assert client.parent_span_id == server.span_id == bytes.fromhex("00f067aa0ba902b7")
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (1_000, 2_500)
    assert server.attributes[0].key == "http.route"
    assert exporter.exported == 2


def test_spans_that_a_collector_refuses_are_counted_and_told_once(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    exporter = otlp.exporter(collector.endpoint)

    with caplog.at_level(logging.ERROR, "perfkit"):
        exporter.put([span("GET /x", "00f067aa0ba902b7")])
        exporter.close(10)

    assert (exporter.exported, exporter.failed) == (0, 1)
    assert [entry.name for entry in caplog.records].count("perfkit") == 1
