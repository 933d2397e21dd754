"""Content and the fields that describe it (RFC 9110 sections 6.4 and 8, RFC 8259)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from restmachine import (
    Conflict,
    Request,
    Response,
    RestApplication,
    Unauthorized,
    UnprocessableContent,
)
from restmachine.testing import TestClient

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}


def returning(value: Any) -> Any:
    """Return a handler that returns a value."""
    return lambda: value


def application() -> RestApplication:
    """Return routes that echo content, and routes that answer in every form."""
    app = RestApplication(max_content=1000)

    @app.post("/json")
    def as_json(json_body: Any) -> Any:
        return {"got": json_body}

    @app.post("/form")
    def as_form(form_body: Any) -> Any:
        return {"got": form_body}

    @app.post("/text")
    async def as_text(text_body: str | None) -> Any:
        return {"got": text_body}

    @app.post("/body")
    def as_body(body: str | None) -> Any:
        return {"got": body}

    @app.post("/raw")
    def as_raw(request: Request) -> Any:
        return {"got": list(request.body or b"")}

    @app.post("/small", max_content=4)
    def small(json_body: Any) -> Any:
        return {"got": json_body}

    for name, value in RESULTS.items():
        app.get(f"/{name}")(returning(value))
    declare_streams(app)
    declare_errors(app)
    return app


RESULTS: dict[str, Any] = {
    "dict": {"ü": 1},
    "list": [1, 2.5, None, True],
    "none": None,
    "number": 5,
    "false": False,
    "string": '{"already": "json"}',
    "bytes": b"\x00\xff",
    "tuple": (1, 2.5, "three"),
    "status": ({"a": 1}, 203),
    "headers": ({"a": 1}, 200, {"X-A": "1", "Cache-Control": "no-store"}),
    "no-headers": ({"a": 1}, 200, None),
    "empty-status": (None, 204),
    "moved": (None, 302, {"Location": "/dict"}),
    "not-modified": ("", 304, {"ETag": '"x"'}),
    "reset": ({"lost": 1}, 205),
    "length-of-204": (None, 204, {"Content-Length": "0"}),
    "wrong-length": ({"a": 1}, 200, {"Content-Length": "999", "Transfer-Encoding": "chunked"}),
    "response": Response(404, '{"error": "Not found"}'),
    "plain-response": Response(200, "hello"),
    "response-bytes": Response(200, b"GIF89a", content_type="image/gif"),
    "response-data": Response(201, {"a": 1}, {"Location": "/dict"}),
    "cookies": ({}, 200, {"Set-Cookie": ["a=1", "b=2"]}),
    "status-of-nothing": ({}, 42),
    "informational": ({}, 103),
    "circle": [],
    "surrogate": ["\ud800"],
    "unknown": object(),
    "unauthorized": ({"error": "who?"}, 401),
    "split": ({}, 200, {"X-A": "a\r\nX-B: b"}),
}
RESULTS["circle"].append(RESULTS["circle"])


def declare_streams(app: RestApplication) -> None:
    """Declare what is sent piece by piece."""

    @app.get("/generator")
    def generator() -> Iterator[str]:
        yield "one"
        yield "two"

    @app.get("/async-generator")
    async def async_generator() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    @app.get("/file")
    def file() -> io.BytesIO:
        return io.BytesIO(b"x" * 200_000)

    @app.get("/typed-stream")
    def typed_stream() -> Response:
        return Response(200, iter([b"a,", b"b"]), content_type="text/csv")


def declare_errors(app: RestApplication) -> None:
    """Declare what raises."""

    def raising(error: Exception) -> Any:
        def handler() -> None:
            raise error

        return handler

    app.get("/key-error")(raising(KeyError("secret")))
    app.get("/value-error")(raising(ValueError("secret")))
    app.get("/permission-error")(raising(PermissionError("secret")))
    app.get("/conflict")(raising(Conflict("The name is taken.")))
    app.get("/challenge")(raising(Unauthorized(headers={"WWW-Authenticate": "Digest"})))
    app.get("/unprocessable")(raising(UnprocessableContent([{"field": "name"}])))
    app.get("/unsendable")(raising(Conflict(object())))


def sized(length: int, media_type: str = "application/json") -> dict[str, str]:
    """Expect a length and a media type."""
    return {"Content-Length": str(length), "Content-Type": media_type}


NOTHING = {"Content-Length": None, "Content-Type": None}
# fmt: off
CASES = [
    ("8.6-length-counts-bytes", "GET /dict", {}, 200, sized(8)),
    ("8.3-list", "GET /list", {}, 200, sized(17)),
    ("15.3.5-none", "GET /none", {}, 204, NOTHING),
    ("8.3-number", "GET /number", {}, 200, sized(1)),
    ("8.3-false", "GET /false", {}, 200, sized(5)),
    ("8.3-string-is-json-already", "GET /string", {}, 200, sized(19)),
    ("8.3-bytes", "GET /bytes", {}, 200, sized(2, "application/octet-stream")),
    ("8.3-any-other-tuple-is-data", "GET /tuple", {}, 200, sized(15)),
    ("15-stated-status", "GET /status", {}, 203, sized(7)),
    ("15-stated-fields", "GET /headers", {}, 200, {"X-A": "1", "Cache-Control": "no-store"}),
    ("15-stated-fields-may-be-none", "GET /no-headers", {}, 200, sized(7)),
    ("15.3.5-stated", "GET /empty-status", {}, 204, NOTHING),
    ("15.4.3-stated", "GET /moved", {}, 302, {"Location": "/dict", "Content-Length": "0"}),
    ("15.4.5-stated", "GET /not-modified", {}, 304, {"ETag": '"x"', "Content-Type": None}),
    ("15.3.6-never-has-content", "GET /reset", {}, 205, {"Content-Type": None}),
    ("8.6-no-length-with-204", "GET /length-of-204", {}, 204, NOTHING),
    ("8.6-a-stated-length-is-the-true-one", "GET /wrong-length", {}, 200,
        {"Content-Length": "7", "Transfer-Encoding": None}),
    ("8.3-text-that-looks-like-json", "GET /response", {}, 404, sized(22)),
    ("8.3-text-that-does-not", "GET /plain-response", {}, 200,
        sized(5, "text/plain; charset=utf-8")),
    ("8.3-response-of-bytes-keeps-its-type", "GET /response-bytes", {}, 200,
        {"Content-Length": "6"}),
    ("8.3-response-of-data", "GET /response-data", {}, 201, {"Location": "/dict"}),
    ("RFC6265-3-cookies-are-not-folded", "GET /cookies", {}, 200, {"Set-Cookie": "a=1, b=2"}),
    ("15-no-such-status-is-a-bug", "GET /status-of-nothing", {}, 500),
    ("15.2-no-final-status-is-a-bug", "GET /informational", {}, 500),
    ("RFC8259-circles-are-a-bug", "GET /circle", {}, 500),
    ("RFC8259-8.1-half-a-surrogate-pair-is-a-bug", "GET /surrogate", {}, 500),
    ("RFC8259-unknown-types-are-a-bug", "GET /unknown", {}, 500),
    ("11.6.1-401-always-challenges", "GET /unauthorized", {}, 401, {"WWW-Authenticate": "Bearer"}),
    ("5.5-fields-cannot-be-split", "GET /split", {}, 500, {"X-B": None}),

    ("8.6-generator-states-no-length", "GET /generator", {}, 200, {"Content-Length": None}),
    ("8.6-async-generator", "GET /async-generator", {}, 200, {"Content-Length": None}),
    ("8.6-file", "GET /file", {}, 200, {"Content-Type": "application/octet-stream"}),
    ("8.3-typed-stream", "GET /typed-stream", {}, 200, {"Content-Type": "text/csv"}),

    ("15.6.1-bugs", "GET /key-error", {}, 500),
    ("15.5.1-value-errors", "GET /value-error", {}, 400),
    ("15.5.4-permission-errors", "GET /permission-error", {}, 403),
    ("15.5.10-raised", "GET /conflict", {}, 409),
    ("11.6.1-a-challenge-of-its-own", "GET /challenge", {}, 401, {"WWW-Authenticate": "Digest"}),
    ("15.5.21-raised", "GET /unprocessable", {}, 422),
    ("15.6.1-details-that-cannot-be-sent", "GET /unsendable", {}, 500),

    ("8.3-B5-json", "POST /json", JSON, 200, {}, b'{"a": [1]}'),
    ("15.5.1-B5-truncated-json", "POST /json", JSON, 400, {}, b'{"a": [1'),
    ("RFC8259-8.1-json-is-utf-8", "POST /json", JSON, 400, {}, '"ü"'.encode("latin-1")),
    ("RFC8259-8.1-json-is-not-utf-16", "POST /json", JSON, 400, {}, '{"a": 1}'.encode("utf-16")),
    ("RFC8259-6-nan-is-no-number", "POST /json", JSON, 400, {}, b"[NaN]"),
    ("RFC8259-9-deep-nesting", "POST /json", JSON, 400, {}, b"[" * 900),
    ("RFC8259-2-a-nul-is-no-json", "POST /json", JSON, 400, {}, b'{"a": 1}\0'),
    ("RFC8259-2-white-space-only", "POST /json", JSON, 400, {}, b"  "),
    ("15.5.14-B4-of-the-route", "POST /small", JSON, 413, {}, b"[1,2]"),
    ("15.5.14-B4-just-fits-the-route", "POST /small", JSON, 200, {}, b"[12]"),
    ("15.5.14-B4-of-the-application", "POST /json", JSON, 413, {}, b" " * 1001),
    ("15.5.16-B5-form-is-not-json", "POST /form", JSON, 415, {}, b"{}"),
    ("15.5.16-B5-unreadable-type", "POST /json", {"Content-Type": "json"}, 415, {}, b"{}"),
    ("6.4-no-content-is-none", "POST /json", {}, 200),
]
# fmt: on


def test_content(case: Any, client: TestClient) -> None:
    response = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


@pytest.mark.parametrize(
    ("path", "fields", "content", "got"),
    [
        ("/json", JSON, b'{"a": [1]}', {"a": [1]}),
        ("/json", JSON, b'{"a": 1, "a": 2}', {"a": 2}),
        ("/json", JSON, b"", None),
        ("/form", FORM, b"a=1&b=&a=2&c=%C3%BC+x&a=3", {"a": ["1", "2", "3"], "b": "", "c": "ü x"}),
        ("/form", FORM, b"", None),
        ("/text", TEXT, "ü".encode(), "ü"),
        ("/text", TEXT, b"\xfc", "ü"),
        ("/text", {"Content-Type": 'text/plain; charset="ISO-8859-1"'}, b"\xfc", "ü"),
        ("/text", {"Content-Type": "text/plain; charset=nonsense"}, "ü".encode(), "ü"),
        ("/text", TEXT, b"", None),
        ("/body", {}, b"any", "any"),
        ("/raw", {"Content-Type": "image/png"}, b"\x00\xff", [0, 255]),
    ],
)
def test_content_reaches_the_handler(
    client: TestClient, path: str, fields: dict[str, str], content: bytes, got: Any
) -> None:
    response = client.post(path, headers=fields, content=content)

    assert response.json() == {"got": got}


def test_content_in_pieces_is_put_together(client: TestClient) -> None:
    response = client.post("/json", headers=JSON, content=[b'{"a"', b"", b": 1}"])

    assert response.json() == {"got": {"a": 1}}


def test_b4_content_of_unknown_length_is_measured_as_it_comes(client: TestClient) -> None:
    response = client.post("/json", headers=JSON, content=[b" " * 600, b" " * 600])

    assert response.status == 413


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/generator", b"onetwo"),
        ("/async-generator", b"onetwo"),
        ("/file", b"x" * 200_000),
        ("/typed-stream", b"a,b"),
    ],
)
def test_streams_arrive_whole(client: TestClient, path: str, content: bytes) -> None:
    response = client.get(path)

    assert response.content == content


@pytest.mark.parametrize("path", ["/key-error", "/value-error", "/permission-error", "/unknown"])
def test_what_an_exception_says_stays_here(client: TestClient, path: str) -> None:
    response = client.get(path)

    assert "secret" not in response.text
    assert "details" not in response.json()


def test_what_an_http_error_says_is_sent(client: TestClient) -> None:
    response = client.get("/conflict")

    assert response.json() == {"error": "Conflict", "details": "The name is taken."}


def test_what_an_http_error_says_is_the_detail_of_a_problem(client: TestClient) -> None:
    wish = "application/problem+json, application/json;q=0.5"

    response = client.get("/conflict", headers={"Accept": wish})

    assert response.json() == {"title": "Conflict", "status": 409, "detail": "The name is taken."}


def test_json_is_compact_utf_8(client: TestClient) -> None:
    assert client.get("/dict").content == '{"ü":1}'.encode()
