"""What the middleware records of an ASGI application that knows nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from perfkit import record
from perfkit.asgi import Middleware
from perfkit.errors import PerfkitError
from perfkit.record import Operation
from perfkit.spans import Exporter, Span
from restmachine import ASGIAdapter, RestApplication

Sent = list[dict[str, Any]]

REQUESTS = "http_server_request_duration_seconds_count"


async def item(request: Request) -> PlainTextResponse:
    record.report(Operation("sqlite", "SELECT ?", 0.0, 0.5))
    return PlainTextResponse("x" * 7)


async def broken(request: Request) -> PlainTextResponse:
    raise RuntimeError("broken on purpose")


APP = Starlette(
    routes=[
        Route("/items/{item_id}", item, methods=["GET", "POST"]),
        Route("/broken", broken),
        Mount("/tenants/{tenant}", routes=[Route("/items/{item_id}", item)]),
    ]
)


class Served:
    """An application within the middleware, and what its registry shows."""

    def __init__(self, app: Any = APP, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.app = Middleware(app, registry=self.registry, **options)

    def ask(self, method: str, path: str, *headers: tuple[bytes, bytes]) -> Sent:
        return asyncio.run(self._ask(method, path, headers))

    async def _ask(self, method: str, path: str, headers: Any = ()) -> Sent:
        sent: Sent = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"",
            "headers": list(headers), "raw_path": path.encode(), "root_path": "",
            "http_version": "1.1", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 9),
            "scheme": "http",
        }  # fmt: skip
        await self.app(scope, receive, send)
        return sent

    def requests(self, route: str, status: str = "200", method: str = "GET") -> float | None:
        labels = {
            "http_request_method": method,
            "http_route": route,
            "http_response_status_code": status,
        }
        return self.registry.get_sample_value(REQUESTS, labels)

    def labels(self) -> str:
        return str([each.labels for family in self.registry.collect() for each in family.samples])


def test_a_request_counts_under_the_template_of_its_route() -> None:
    served = Served()

    sent = served.ask("GET", "/items/secret")

    assert sent[0]["status"] == 200
    assert served.requests("/items/{item_id}") == 1
    assert "secret" not in served.labels()


def test_what_is_mounted_counts_under_its_whole_template() -> None:
    served = Served()

    served.ask("GET", "/tenants/secret/items/1")

    assert served.requests("/tenants/{tenant}/items/{item_id}") == 1
    assert "secret" not in served.labels()


def test_layers_of_middleware_hide_no_route() -> None:
    served = Served(Middleware(APP, path=None))

    served.ask("GET", "/tenants/a/items/1")

    assert served.requests("/tenants/{tenant}/items/{item_id}") == 1


def test_paths_without_a_route_share_one_label() -> None:
    served = Served()

    served.ask("GET", "/secret/1")
    served.ask("GET", "/secret/2")

    assert served.requests("_UNMATCHED", "404") == 2
    assert "secret" not in served.labels()


def test_another_framework_says_what_its_route_is() -> None:
    served = Served(route=lambda scope: "/any/{thing}")

    served.ask("GET", "/items/1")

    assert served.requests("/any/{thing}") == 1


def test_sizes_of_content_are_recorded() -> None:
    served = Served()

    served.ask("POST", "/items/1", (b"content-length", b"42"))

    both = {"http_request_method": "POST", "http_route": "/items/{item_id}"}
    value = served.registry.get_sample_value
    assert value("http_server_request_body_size_bytes_sum", both) == 42
    sent = {**both, "http_response_status_code": "200"}
    assert value("http_server_response_body_size_bytes_sum", sent) == 7


def test_a_failure_counts_as_500_and_goes_on_to_the_server() -> None:
    served = Served()

    with pytest.raises(RuntimeError, match="broken on purpose"):
        served.ask("GET", "/broken")

    assert served.requests("/broken", "500") == 1


def test_a_client_that_left_before_its_answer_counts_as_499() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    served = Served(silent)

    served.ask("GET", "/")

    assert served.requests("_UNMATCHED", "499") == 1


def test_a_cancelled_request_is_in_flight_no_longer() -> None:
    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    served = Served(cancelled)

    with pytest.raises(asyncio.CancelledError):
        served.ask("GET", "/")

    active = [
        each.value
        for family in served.registry.collect()
        for each in family.samples
        if each.name == "http_server_active_requests"
    ]
    assert set(active) == {0.0}
    assert served.requests("_UNMATCHED", "499") == 1


def test_an_excluded_route_is_not_measured() -> None:
    served = Served(exclude=["/items/{item_id}"])

    served.ask("GET", "/items/1")

    assert served.requests("/items/{item_id}") is None


def test_queries_count_by_the_route_that_asked() -> None:
    served = Served()

    served.ask("GET", "/items/1")

    asked = {"db_system_name": "sqlite", "http_route": "/items/{item_id}"}
    value = served.registry.get_sample_value
    assert value("db_client_operation_duration_seconds_count", asked) == 1


def test_the_time_so_far_may_be_stated_in_the_response() -> None:
    sent = Served(response_time=True).ask("GET", "/items/1")

    assert 0.0 <= float(dict(sent[0]["headers"])[b"x-response-time"]) < 60.0


def test_a_slow_request_is_logged_with_its_route(caplog: pytest.LogCaptureFixture) -> None:
    Served(slow=0.0).ask("GET", "/items/secret")

    (message,) = caplog.messages
    assert '"route": "/items/{item_id}"' in message
    assert "secret" not in message


def test_the_metrics_are_at_their_path_and_do_not_count() -> None:
    served = Served(path="/internal")

    sent = served.ask("GET", "/internal", (b"accept", b"text/plain"))

    assert sent[0]["status"] == 200
    assert dict(sent[0]["headers"])[b"content-type"].startswith(b"text/plain")
    assert b"http_server_request_duration_seconds" in sent[1]["body"]
    assert "/internal" not in served.labels()


def test_head_of_the_metrics_has_no_content() -> None:
    sent = Served().ask("HEAD", "/metrics")

    assert (sent[0]["status"], sent[1]["body"]) == (200, b"")


def test_what_is_not_http_passes() -> None:
    heard = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append(scope["type"])

    asyncio.run(Middleware(app)({"type": "lifespan"}, _never, _never))

    assert heard == ["lifespan"]


async def _never(*_: Any) -> Any:
    raise AssertionError("nobody asks")


def test_a_restmachine_application_can_be_measured_from_outside() -> None:
    app = RestApplication()
    app.get("/things/{thing}")(lambda thing: thing)
    served = Served(ASGIAdapter(app), route=lambda scope: "/things/{thing}")

    served.ask("GET", "/things/1")

    assert served.requests("/things/{thing}") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "metrics"}, 'a path starts with a slash: "/metrics"'),
        ({"exclude": "/health"}, r'exclude=\["/health"\]'),
    ],
)
def test_a_wrong_option_is_told_with_the_right_one(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PerfkitError, match=message):
        Middleware(APP, **options)


def test_two_overlapping_requests_keep_their_own_route() -> None:
    async def meeting(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Route(scope["path"], item)
        await barrier.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    barrier = asyncio.Barrier(2)
    served = Served(meeting)

    async def ask_both() -> None:
        await asyncio.gather(served._ask("GET", "/a"), served._ask("GET", "/b"))

    asyncio.run(ask_both())

    assert (served.requests("/a"), served.requests("/b")) == (1, 1)


def exported(ask: Callable[[Served], object], **options: Any) -> list[Span]:
    """Return the spans of what is asked of an application."""
    spans: list[Span] = []
    exporter = Exporter(spans.extend)
    ask(Served(spans=exporter, **options))
    exporter.close()
    return spans


def test_each_request_is_a_span_around_what_it_asked_of_others() -> None:
    server, client = exported(lambda served: served.ask("GET", "/items/secret"))

    assert (server.name, server.kind, client.name) == ("GET /items/{item_id}", "server", "SELECT ?")
    assert client.parent_id == server.span_id
    assert "secret" not in str((server, client))


def test_a_span_goes_on_with_the_trace_that_the_client_states() -> None:
    stated = (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")

    server, _ = exported(lambda served: served.ask("GET", "/items/1", stated))

    assert (server.trace_id, server.parent_id) == ("a" * 32, "b" * 16)


@pytest.mark.parametrize("options", [{"exclude": ["/items/{item_id}"]}, {"sample": 0.0}])
def test_what_is_excluded_or_not_sampled_has_no_span(options: dict[str, Any]) -> None:
    assert exported(lambda served: served.ask("GET", "/items/1"), **options) == []


def test_the_trace_of_a_request_is_an_exemplar_of_its_duration() -> None:
    exporter = Exporter(lambda batch: None)
    served = Served(spans=exporter)

    served.ask("GET", "/items/1")
    exporter.close()

    exemplars = [
        each.exemplar
        for family in served.registry.collect()
        for each in family.samples
        if each.exemplar is not None
    ]
    assert len(exemplars) == 1
