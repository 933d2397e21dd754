"""The ASGI side: scopes, messages, clients that leave, and any bytes at all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restmachine import ASGIAdapter, Observer, Request, RestApplication, create_asgi_app
from restmachine.exchange import Exchange
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]
Message = dict[str, Any]


def scope(method: str = "GET", path: str = "/x", **more: Any) -> Message:
    """Return the scope of a request."""
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": b"", "query_string": b"", "headers": [], "scheme": "http", **more,
    }  # fmt: skip


async def conversed(
    app: RestApplication, scope: Message, *received: Message, patient: bool = True
) -> list[Message]:
    """Serve one scope, hand over messages, then wait for ever, and return what was sent."""
    waiting, sent = list(received), []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        assert patient, "asked for more than there is"
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)
        await asyncio.sleep(0)

    await ASGIAdapter(app)(scope, receive, send)
    return sent


def statuses(sent: list[Message]) -> list[int]:
    """Return the status of each start among the messages."""
    return [message["status"] for message in sent if message["type"] == "http.response.start"]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level(logging.CRITICAL, logger="restmachine")


class TestRequests:
    def test_content_that_nobody_asks_for_is_not_read(self, app: RestApplication) -> None:
        app.post("/x", blocking=False)(lambda: {"a": 1})

        sent = asyncio.run(conversed(app, scope("POST"), patient=False))

        assert statuses(sent) == [200]

    def test_content_is_read_before_the_handler_only(self, app: RestApplication) -> None:
        app.default_authorized(lambda request_headers: False)
        app.post("/x")(lambda json_body: {})

        sent = asyncio.run(conversed(app, scope("POST"), patient=False))

        assert statuses(sent) == [401]

    def test_a_callback_on_the_loop_may_take_fields_before_the_content_came(
        self, serve: Serve
    ) -> None:
        app = RestApplication()

        @app.default_authorized
        async def authorized(request_headers: Any, query_params: Any) -> bool:
            return "Authorization" in request_headers and query_params["key"] == "1"

        @app.post("/x")
        async def handler(json_body: Any, request: Request) -> dict[str, Any]:
            return {"parsed": json_body, "raw": request.body.decode()}

        response = serve(app).post("/x?key=1", headers={"Authorization": "me"}, json=[1])

        assert response.json() == {"parsed": [1], "raw": "[1]"}

    @pytest.mark.parametrize("first", ["request_headers", "request"])
    def test_header_fields_are_those_of_the_request(self, serve: Serve, first: str) -> None:
        app = RestApplication()

        @app.dependency(name="early")
        async def fields(request_headers: Any) -> Any:
            return request_headers

        @app.dependency(name="late")
        async def fields_of_it(request: Request) -> Any:
            return request.headers

        @app.get("/request_headers")
        async def headers_first(early: Any, late: Any) -> dict[str, Any]:
            return {"one": early is late, "of": early["User-Agent"]}

        @app.get("/request")
        async def request_first(late: Any, early: Any) -> dict[str, Any]:
            return {"one": early is late, "of": late["User-Agent"]}

        response = serve(app).get(f"/{first}", headers={"User-Agent": "test"})

        assert response.json() == {"one": True, "of": "test"}

    def test_header_fields_alone_are_refused_if_they_are_too_large(self, serve: Serve) -> None:
        app = RestApplication(max_headers=300)

        @app.get("/x")
        async def handler(request_headers: Any) -> dict[str, str]:
            return dict(request_headers)

        client = serve(app)

        assert client.get("/x", headers={"X-Long": "a" * 100}).status == 200
        assert client.get("/x", headers={"X-Long": "a" * 300}).status == 431

    def test_http_2_content_needs_no_length(self, app: RestApplication) -> None:
        app.post("/x")(lambda json_body: {"got": json_body})
        fields = [(b"content-type", b"application/json")]

        sent = asyncio.run(
            conversed(
                app,
                scope("POST", http_version="2", headers=fields),
                {"type": "http.request", "body": b"[1]"},
            )
        )

        assert sent[1]["body"] == b'{"got":[1]}'

    def test_the_certificate_of_the_client_is_handed_on(self, app: RestApplication) -> None:
        app.get("/x")(lambda request: {"tls": request.tls, "cert": request.client_cert})
        extensions = {"tls": {"client_cert": {"subject": "me"}}}

        sent = asyncio.run(conversed(app, scope(scheme="https", extensions=extensions)))

        assert sent[1]["body"] == b'{"tls":true,"cert":{"subject":"me"}}'

    def test_two_applications_share_a_loop(self) -> None:
        one, two = RestApplication(), RestApplication()
        one.get("/x")(lambda: {"app": 1})
        two.get("/x")(lambda: {"app": 2})

        async def both() -> list[list[Message]]:
            return list(await asyncio.gather(conversed(one, scope()), conversed(two, scope())))

        assert [sent[1]["body"] for sent in asyncio.run(both())] == [b'{"app":1}', b'{"app":2}']


class Finished(Observer):
    """Keeps how requests ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, int]] = []

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        self.ends.append((status, sent_bytes))


class TestClientsThatLeave:
    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_in_the_middle_of_their_content(self, app: RestApplication, kind: str) -> None:
        ran, finished = [], Finished()
        app.observe(finished)

        def sync(json_body: Any) -> None:
            ran.append(json_body)

        async def asynchronous(json_body: Any) -> None:
            ran.append(json_body)

        app.post("/x")(sync if kind == "sync" else asynchronous)
        fields = [(b"content-type", b"application/json"), (b"content-length", b"9")]

        sent = asyncio.run(
            conversed(
                app,
                scope("POST", headers=fields),
                {"type": "http.request", "body": b"[1", "more_body": True},
                {"type": "http.disconnect"},
            )
        )

        assert (sent, ran, finished.ends) == ([], [], [(499, 0)])

    def test_in_the_middle_of_a_stream(self, app: RestApplication) -> None:
        log, finished = [], Finished()
        app.observe(finished)

        @app.dependency()
        async def cursor() -> AsyncIterator[str]:
            try:
                yield "cursor"
            except Exception as error:
                log.append(type(error).__name__)
                raise

        @app.get("/x")
        async def endless(cursor: str) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"piece"
                    await asyncio.sleep(0)
            finally:
                log.append("stream closed")

        sent = asyncio.run(
            conversed(app, scope(), {"type": "http.request"}, {"type": "http.disconnect"})
        )

        assert statuses(sent) == [200]
        assert log == ["stream closed", "ClientDisconnected"]
        assert finished.ends[0][0] == 200


class TestScopes:
    def test_websockets_are_refused(self, app: RestApplication) -> None:
        sent = asyncio.run(conversed(app, {"type": "websocket"}, {"type": "websocket.connect"}))

        assert sent == [{"type": "websocket.close", "code": 1000}]

    def test_what_is_unknown_is_named(self, app: RestApplication) -> None:
        with pytest.raises(RuntimeError, match="carrier-pigeon"):
            asyncio.run(conversed(app, {"type": "carrier-pigeon"}))

    def test_the_function_makes_the_same_as_the_class(self, app: RestApplication) -> None:
        adapter = create_asgi_app(app)

        assert isinstance(adapter, ASGIAdapter)
        assert adapter.app is app


class TestObservation:
    @pytest.mark.parametrize(
        ("path", "end"), [("/x", (200, 7)), ("/nowhere", (404, 21)), ("/stream", (200, 6))]
    )
    def test_every_request_finishes_once(
        self, serve: Serve, path: str, end: tuple[int, int]
    ) -> None:
        app, finished = RestApplication(), Finished()
        app.observe(finished)
        app.get("/x")(lambda: {"a": 1})
        app.get("/stream")(lambda: iter(["one", "two"]))

        serve(app).get(path)

        assert finished.ends == [end]


def anything() -> RestApplication:
    """Return an application that reads whatever it can."""
    app = RestApplication(max_content=100)

    @app.generate_etag
    async def tag() -> str:
        return "v1"

    @app.route("POST", "/{a}", languages=("en", "de"), encodings=("gzip", "identity"))
    async def post(a: str, json_body: Any, query_params: Any, tag: str) -> Any:
        return {"a": a, "json": json_body, "query": dict(query_params)}

    @app.put("/{a}/**", creates=True)
    async def put(form_body: Any, text_body: Any, request: Request, path: str) -> Any:
        request.get_if_modified_since()
        request.get_if_match()
        return form_body or text_body or path

    @app.get("/{a}/{number}", blocking=False)
    def get(number: int, request_headers: Any, tag: str) -> Any:
        return {"fields": request_headers.to_multidict(), "number": number}

    return app


TOKENS = st.sampled_from(
    [b"accept", b"accept-language", b"accept-encoding", b"if-match", b"if-none-match", b"range",
     b"if-modified-since", b"if-unmodified-since", b"content-type", b"content-length",
     b"transfer-encoding", b"authorization", b"host", b"x-other"]
)  # fmt: skip
VALUES = st.one_of(
    st.binary(max_size=30),
    st.text('*/;=q01.,"W- \\abc', max_size=30).map(str.encode),
    st.sampled_from([b"application/json", b"text/html", b"*", b'"v1"', b"1", b"chunked"]),
)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"])
    | st.text("GET\0 ", max_size=4),
    path=st.lists(st.text(max_size=6) | st.sampled_from(["1", "..", "%", "a"]), max_size=4),
    query=st.binary(max_size=20),
    fields=st.lists(st.tuples(TOKENS, VALUES), max_size=6),
    pieces=st.lists(st.binary(max_size=60) | st.sampled_from([b'{"a":', b"1}"]), max_size=3),
)
def test_whatever_comes_is_answered_once_and_never_by_500(
    method: str,
    path: list[str],
    query: bytes,
    fields: list[tuple[bytes, bytes]],
    pieces: list[bytes],
) -> None:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    asked = scope(method, "/" + "/".join(path), query_string=query, headers=fields)

    sent = asyncio.run(
        conversed(anything(), asked, *messages, {"type": "http.request", "body": b""})
    )

    assert len(statuses(sent)) == 1
    assert statuses(sent)[0] < 500 or statuses(sent) == [501]


@pytest.mark.parametrize("shown", [b"", b"?a=1&b=%2F"], ids=["path-alone", "with-query"])
@pytest.mark.parametrize(
    ("path", "raw", "name"), [("/n/x", b"/n/x", "x"), ("/n/x/y", b"/n/x%2Fy", "x/y")]
)
def test_a_raw_path_may_have_the_query_in_it(
    app: RestApplication, shown: bytes, path: str, raw: bytes, name: str
) -> None:
    app.get("/n/{name}")(lambda name, query_params: {"name": name, **query_params})
    asked = scope(path=path, raw_path=raw + shown, query_string=b"a=1&b=%2F")

    sent = asyncio.run(conversed(app, asked))

    assert json.loads(sent[1]["body"]) == {"name": name, "a": "1", "b": "/"}


def test_a_query_counts_against_a_short_limit() -> None:
    app = RestApplication(max_uri=10)
    app.get("/")(lambda: "x")

    sent = asyncio.run(conversed(app, scope(path="/", raw_path=b"/", query_string=b"a" * 10)))

    assert statuses(sent) == [414]
