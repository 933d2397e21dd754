"""Bad input: one well-formed answer of the right class, whatever a client sends."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import BaseModel, field_validator

from restmachine import ASGIAdapter, HTTPError, NotFound, Request, Response, RestApplication
from restmachine.testing import TestClient

SERVER = "h11"  # httptools refuses methods that it does not know

Listen = Callable[[RestApplication], tuple[str, int]]

JSON = {"Content-Type": "application/json"}
FRAMING = "A server cannot tell where this message ends."


class Person(BaseModel):
    """What a validated route takes."""

    name: str
    age: int

    @field_validator("age")
    @classmethod
    def not_negative(cls, age: int) -> int:
        if age < 0:
            raise ValueError("nobody is that young")
        return age


def application() -> RestApplication:
    """Return routes that read what is bad, and routes that answer badly."""
    app = RestApplication(max_uri=300, max_headers=1000)
    declare_readers(app)
    declare_answers(app)
    return app


def declare_readers(app: RestApplication) -> None:
    """Declare routes that read the URI, the fields and the content."""

    @app.get("/")
    async def bare() -> Any:
        return {"bare": True}

    @app.get("/a/b")
    async def nested() -> Any:
        return {"nested": True}

    @app.get("/a/{name}")
    async def named(name: str) -> Any:
        return {"name": name}

    @app.get("/rest/**")
    def rest(path: str) -> Any:
        return {"path": path}

    @app.get("/query")
    async def query(query_params: Any) -> Any:
        return dict(query_params)

    @app.get("/fields")
    async def fields(request_headers: Any) -> Any:
        return {"odd": request_headers.get_all("X-Odd")}

    @app.post("/json")
    async def as_json(json_body: Any) -> Any:
        return {"got": json_body}

    @app.get("/bytes")
    async def content() -> Any:
        return b"0123456789"

    @app.get("/german", languages=("de",))
    async def german(language: str) -> Any:
        return {"language": language}

    @app.generate_etag
    def tag(versioned: Any) -> str:
        return "v1"

    @app.dependency()
    def versioned() -> Any:
        return {"version": 1}

    @app.get("/versioned")
    def version(versioned: Any) -> Any:
        return versioned

    @app.validates
    def person(json_body: Any) -> Person:
        return Person.model_validate(json_body)

    @app.post("/person")
    async def as_person(person: Person) -> Any:
        return {"name": person.name}

    @app.validates
    def no_model(json_body: Any) -> Any:
        return {"name": "not validated"}

    @app.validates
    async def no_later_model(json_body: Any) -> Any:
        return None

    @app.post("/no-model")
    async def as_no_model(no_model: Any) -> Any:
        return {}

    @app.post("/no-later-model")
    async def as_no_later_model(no_later_model: Any) -> Any:
        return {}


def declare_answers(app: RestApplication) -> None:
    """Declare handlers whose answers would split the message or cannot be sent."""
    split = "a\r\nX-Split: 1\r\n\r\n<script>"

    @app.get("/split/tuple")
    async def in_tuple() -> Any:
        return {}, 200, {"X-A": split}

    @app.get("/split/response")
    def in_response() -> Any:
        return Response(200, "a", {"X-A": split})

    @app.get("/split/type")
    async def in_type() -> Any:
        return Response(200, "a", content_type=split)

    @app.get("/split/name")
    async def in_name() -> Any:
        return {}, 200, {split: "a"}

    @app.get("/split/injected")
    async def injected(response_headers: Any) -> Any:
        response_headers["X-A"] = split

    @app.get("/split/error")
    async def in_error() -> Any:
        raise NotFound(headers={"X-A": split})

    @app.get("/split/wide")
    async def beyond_latin_1() -> Any:
        return {}, 200, {"X-A": "\N{SNOWMAN}"}

    @app.resource_exists
    async def moved() -> Any:
        return None

    @app.previously_existed
    async def once(moved: Any) -> bool:
        return True

    @app.moved_permanently
    async def place(moved: Any) -> str:
        return split

    @app.get("/split/location")
    async def relocated(moved: Any, once: Any, place: Any) -> Any:
        return {}

    @app.generate_etag
    def bad_tag(tagged: Any) -> str:
        return split

    @app.dependency()
    def tagged() -> Any:
        return {}

    @app.get("/split/etag")
    def with_bad_tag(tagged: Any) -> Any:
        return tagged


# fmt: off
CASES = [
    # What a server should have refused, and what no route should ever fail on.
    ("9.1-B12-unknown-method", "BREW /", {}, 501),
    ("9.1-B12-methods-are-case-sensitive", "get /", {}, 501),
    ("9.1-B12-odd-characters", "G!#$%&'*+-.^_`|~ET /", {}, 501),
    ("15.5.6-B10-known-method", "TRACE /", {}, 405, {"Allow": "GET, HEAD, OPTIONS"}),
    ("15.5.15-B11-long-query", "GET /query?a=" + "x" * 300, {}, 414),
    ("15.5.15-B11-long-path", "GET /a/" + "x" * 300, {}, 414),
    ("15.5.15-B11-long-encoded-path", "GET /a/" + "%20" * 100, {}, 414),
    ("15.5.15-B11-wherever-it-leads", "GET /?" + "x" * 300, {}, 414),
    ("15.5.15-B11-just-fits", "GET /query?a=" + "x" * 290, {}, 200),
    ("RFC6585-5-a-list-too-long-to-read", "GET /", {"Accept": "a/b," * 300}, 431),
    ("RFC6585-5-languages", "GET /german", {"Accept-Language": "a," * 600}, 431),
    ("RFC6585-5-tags", "GET /versioned", {"If-None-Match": '"a",' * 300}, 431),
    ("RFC6585-5-ranges", "GET /bytes", {"Range": "bytes=" + "0-1," * 300}, 431),
    ("RFC6585-5-all-together", "GET /fields", {f"X-{n}": "x" * 100 for n in range(10)}, 431),
    ("RFC6585-5-what-nobody-reads-does-no-harm", "GET /", {"Cookie": "x" * 5000}, 200),

    # What cannot be read states no preference.
    ("12.4.2-no-number", "GET /", {"Accept": "application/json;q=x"}, 200),
    ("12.4.2-absurd-weights", "GET /", {"Accept": "application/json;q=99999999999999999"}, 200),
    ("12.5.1-commas-only", "GET /", {"Accept": ",,, ,"}, 200),
    ("12.5.1-bytes", "GET /", {"Accept": "\xff\xfe\x80"}, 200),
    ("12.5.1-open-quote", "GET /", {"Accept": 'application/json;a="'}, 200),
    ("13.1.3-no-date", "GET /versioned", {"If-Modified-Since": "yesterday"}, 200),
    ("13.1.2-no-tag", "GET /versioned", {"If-None-Match": '"'}, 200),
    ("13.1.1-no-tag", "GET /versioned", {"If-Match": "\xff\""}, 412),
    ("14.2-absurd-range", "GET /bytes", {"Range": "bytes=99999999999999999999999-"}, 416),
    ("14.2-backwards", "GET /bytes", {"Range": "bytes=5-2"}, 200),
    ("14.2-no-range", "GET /bytes", {"Range": "bytes=-,--1"}, 200),
    ("14.2-unknown-unit", "GET /bytes", {"Range": "parsecs=0-1"}, 200),

    ("RFC9112-6.3-no-length", "POST /json", {**JSON, "Content-Length": "x"}, 400, {}, b"{}",
        FRAMING),
    ("RFC9112-6.3-two-lengths", "POST /json", {**JSON, "Content-Length": ["2", "3"]}, 400, {},
        b"{}", FRAMING),
    ("RFC9112-6.3-negative-length", "POST /json", {**JSON, "Content-Length": "-1"}, 400, {},
        b"{}", FRAMING),

    # RFC 9110 section 5.5: what would split the message is refused.
    ("5.5-tuple", "GET /split/tuple", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-response", "GET /split/response", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-type", "GET /split/type", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-name", "GET /split/name", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-injected", "GET /split/injected", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-error", "GET /split/error", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-wide", "GET /split/wide", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-location", "GET /split/location", {}, 500, {"X-Split": None, "X-A": None}),
    ("5.5-etag", "GET /split/etag", {}, 500, {"X-Split": None, "X-A": None}),
]
# fmt: on


def test_bad_input(case: Any, client: TestClient) -> None:
    response = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


# ---- paths and queries (RFC 3986 section 2) ----------------------------------------------


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/a/b", {"nested": True}),
        ("/a%2Fb", None),
        ("/a%2fb", None),
        ("/a/x%2Fy", {"name": "x/y"}),
        ("/a/%2F", {"name": "/"}),
        ("/a/%2f%2F..", {"name": "//.."}),
        ("/a/%252F", {"name": "%2F"}),
        ("/a/%25", {"name": "%"}),
        ("/a/%C3%A9%2F%20", {"name": "é/ "}),
        ("/a/%ff%2F", {"name": "\N{REPLACEMENT CHARACTER}/"}),
        ("/a/..", {"name": ".."}),
        ("/a/%2e%2E", {"name": ".."}),
        ("/a/%00%0d%0a", {"name": "\0\r\n"}),
        ("/a/%", {"name": "%"}),
        ("/a/%zz", {"name": "%zz"}),
        ("/rest/x%2Fy/z", {"path": "x/y/z"}),
        ("//a///b//", {"nested": True}),
    ],
)
def test_an_encoded_slash_is_data_and_separates_no_segments(
    client: TestClient, path: str, answer: Any
) -> None:
    response = client.get(path)

    assert (response.json() if response.status == 200 else None) == answer


@pytest.mark.parametrize(
    ("root_path", "path", "raw_path", "answer"),
    [
        ("/api", "/api/a/b", b"/api/a/b", {"nested": True}),
        ("/api/", "/api/a/b", b"/api/a/b", {"nested": True}),
        ("/api", "/a/b", b"/api/a/b", {"nested": True}),
        ("/api", "/a/b", None, {"nested": True}),
        ("/api", "/api", b"/api", {"bare": True}),
        ("/api", "/api/a/x/y", b"/api/a/x%2Fy", {"name": "x/y"}),
        ("/api", "/a/x/y", b"/api/a/x%2Fy", {"name": "x/y"}),
        ("/a", "/ab", b"/ab", None),
        ("", "/a/b", b"/unrelated", {"nested": True}),
        ("", "/a/b", b"/un%2Frelated", {"nested": True}),
        ("", "", b"", {"bare": True}),
    ],
)
def test_below_another_application_the_rest_of_the_path_counts(
    root_path: str, path: str, raw_path: bytes | None, answer: Any
) -> None:
    adapter = ASGIAdapter(application())

    async def rewritten(scope: Any, receive: Any, send: Any) -> None:
        await adapter(
            {**scope, "root_path": root_path, "path": path, "raw_path": raw_path}, receive, send
        )

    response = TestClient(rewritten).get("/")

    assert (response.json() if response.status == 200 else None) == answer


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (b"a=%C3%A9", {"a": "é"}),
        ("a=é".encode(), {"a": "é"}),
        (b"a=\xff%ff", {"a": "\N{REPLACEMENT CHARACTER}" * 2}),
        (b"a=1&a=2&b", {"a": "2", "b": ""}),
        (b"&&==&%", {"": "=", "%": ""}),
        (b"a=%00", {"a": "\0"}),
    ],
)
def test_queries_are_utf_8_whatever_bytes_they_hold(query: bytes, parameters: Any) -> None:
    adapter = ASGIAdapter(application())

    async def rewritten(scope: Any, receive: Any, send: Any) -> None:
        await adapter({**scope, "query_string": query}, receive, send)

    response = TestClient(rewritten).get("/query")

    assert response.json() == parameters


def test_odd_bytes_of_a_field_reach_the_handler_as_latin_1() -> None:
    adapter = ASGIAdapter(application())

    async def rewritten(scope: Any, receive: Any, send: Any) -> None:
        fields = [*scope["headers"], (b"x-odd", b"\xff\x01"), (b"x-odd", b"b")]
        await adapter({**scope, "headers": fields}, receive, send)

    response = TestClient(rewritten).get("/fields")

    assert response.json() == {"odd": ["\xff\x01", "b"]}


# ---- answers that cannot be sent ---------------------------------------------------------


@pytest.mark.parametrize("name", ["tuple", "response", "error", "location", "etag"])
def test_what_would_split_the_message_is_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with caplog.at_level(logging.ERROR, logger="restmachine"):
        response = client.get(f"/split/{name}")

    assert response.json() == {"error": "Internal Server Error"} | identified(response.json())
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert caplog.records[0].exc_info is not None


def identified(body: dict[str, Any]) -> dict[str, Any]:
    """Return the members by which an error can be found in the log."""
    return {name: body[name] for name in ("request_id", "trace_id") if name in body}


# ---- validation (RFC 9110 section 15.5.21) -----------------------------------------------


def test_what_pydantic_refuses_is_told_without_urls_and_values(client: TestClient) -> None:
    response = client.post("/person", json={"age": "a secret"})

    assert response.status == 422
    assert response.json()["error"] == "Validation failed"
    assert response.json()["details"] == [
        {"type": "missing", "loc": ["name"], "msg": "Field required"},
        {
            "type": "int_parsing",
            "loc": ["age"],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
        },
    ]


def test_what_a_validator_raises_is_told_as_text(client: TestClient) -> None:
    response = client.post("/person", json={"name": "a", "age": -1})

    assert response.status == 422
    assert response.json()["details"] == [
        {
            "type": "value_error",
            "loc": ["age"],
            "msg": "Value error, nobody is that young",
            "ctx": {"error": "nobody is that young"},
        }
    ]


@pytest.mark.parametrize("path", ["/no-model", "/no-later-model"])
def test_a_validator_that_returns_no_model_is_a_bug(
    client: TestClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.ERROR, logger="restmachine"):
        response = client.post(path, json={})

    assert response.status == 500
    assert "returned" in caplog.text and "not validated" not in caplog.text


# ---- clients that leave ------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/json", "/person", "/no-model"])
@pytest.mark.parametrize("came", [[], [b"{"], [b"{", b"}"]])
def test_a_client_that_leaves_gets_no_answer(path: str, came: list[bytes]) -> None:
    adapter = ASGIAdapter(application())
    messages: list[Any] = [
        *({"type": "http.request", "body": piece, "more_body": True} for piece in came),
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        async def given() -> Any:
            return messages.pop(0) if len(messages) > 1 else messages[0]

        async def kept(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
        await adapter({**scope, "headers": headers}, given, kept)

    with pytest.raises(AssertionError, match="the response never ended"):
        TestClient(leaving).post(path)

    assert sent == []


# ---- over a socket -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /a/x%2Fy HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /query?" + b"x" * 400 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nAccept: " + b"a/b," * 300 + b"\r\n\r\n", 431),
        (b"GET /split/tuple HTTP/1.1\r\nHost: a\r\n\r\n", 500),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
         b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
         b"Transfer-Encoding: chunked\r\n\r\n2\r\n[[\r\n0\r\n\r\n", 400),
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
def test_a_server_passes_on_bad_input_and_its_answer(
    listen: Listen, sent: bytes, status: int
) -> None:
    with socket.create_connection(listen(application()), timeout=10) as connection:
        connection.sendall(sent)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nX-Split" not in answer and b"Traceback" not in answer


def test_a_path_is_what_the_server_decoded() -> None:
    assert unquote("/a/%2F") == "/a//"  # which is why the raw path is looked at


def test_direct_execution_takes_the_path_as_it_is() -> None:
    app = application()

    response = app.execute(Request("GET", "/a/%2F"))

    assert response.body == b'{"name":"%2F"}'
    app.shutdown_sync()


def test_431_is_an_http_error() -> None:
    from restmachine.errors import RequestHeaderFieldsTooLarge

    assert issubclass(RequestHeaderFieldsTooLarge, HTTPError)
