"""Whatever a client sends, it gets one well-formed answer, and never a 500.

`FUZZ_EXAMPLES` sets how many requests are made up; `make fuzz` makes up many more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from restmachine import ASGIAdapter, FileResponse, Request, Response, RestApplication

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "800"))
HANGS_SECONDS = 20


class Person(BaseModel):
    """What a validated route takes."""

    name: str
    age: int


class Lives:
    """How many dependencies were made and torn down."""

    def __init__(self) -> None:
        self.made = 0
        self.ended = 0


def application(lives: Lives) -> RestApplication:
    """Return an application with every kind of route."""
    app = RestApplication(max_content=2000, max_form_fields=5, max_uri=500, max_headers=1000)

    @app.dependency()
    def counted() -> Iterator[int]:
        lives.made += 1
        try:
            yield lives.made
        finally:
            lives.ended += 1

    @app.dependency()
    async def awaited() -> AsyncIterator[int]:
        lives.made += 1
        try:
            yield lives.made
        finally:
            lives.ended += 1

    declare_readers(app)
    declare_files(app)
    declare_contents(app)
    declare_resources(app)
    return app


def declare_readers(app: RestApplication) -> None:
    """Declare routes that read the URI and the header fields."""

    @app.get("/")
    async def bare() -> Any:
        return {"a": 1}

    @app.get("/sync")
    def sync(counted: int) -> Any:
        return "text"

    @app.get("/echo/{name}")
    async def echo(name: str, query_params: Any, request_headers: Any, awaited: int) -> Any:
        return {"name": name, "query": query_params, "headers": request_headers.to_multidict()}

    @app.get("/rest/**")
    def rest(path: str, request: Request) -> Any:
        return {"path": path, "whole": request.path, "tags": request.get_if_none_match()}

    @app.get("/typed/{number}/{key}")
    async def typed(number: int, key: UUID) -> Any:
        return {"number": number, "key": key}

    @app.get("/bypass", bypass_state_machine=True)
    async def bypass(counted: int) -> Any:
        return {"a": 1}, 203

    @app.get("/choices", languages=("en", "de"), charsets=("utf-8",), encodings=("identity",))
    async def choices(language: str, charset: str, encoding: str) -> Any:
        return [language, charset, encoding]

    @app.get("/stream")
    async def stream(awaited: int) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"piece"

        return pieces()

    @app.get("/bytes")
    def content(counted: int) -> Any:
        return b"0123456789" * 10


def declare_files(app: RestApplication) -> None:
    """Declare routes whose answers alone know their validators, and what else is streamed."""

    @app.get("/file")
    async def file(awaited: int) -> Any:
        return Path(__file__)

    @app.get("/no-file")
    def no_file(counted: int) -> Any:
        return FileResponse(Path(__file__).with_name("nothing"))

    @app.get("/opened")
    def opened(counted: int) -> Any:
        return Path(__file__).open("rb")

    @app.get("/tagging")
    async def tagging() -> Any:
        return Response(200, b"0123456789", {"ETag": '"v1"', "Last-Modified": MODIFIED})

    @app.get("/lines")
    def lines(counted: int) -> Any:
        return iter(["one", b"two"])


def declare_contents(app: RestApplication) -> None:
    """Declare routes that read content."""

    @app.accepts("text/csv")
    def rows(body: str) -> Any:
        return [line.split(",") for line in body.splitlines()]

    @app.validates
    def person(json_body: Any) -> Person:
        return Person.model_validate(json_body)

    @app.post("/json")
    async def as_json(json_body: Any, awaited: int) -> Any:
        return {"data": json_body}

    @app.post("/form")
    def as_form(form_body: Any, counted: int) -> Any:
        return {"data": form_body}

    @app.post("/text")
    async def as_text(text_body: Any) -> Any:
        return {"data": text_body}

    @app.post("/multipart")
    async def as_multipart(multipart_body: Any, counted: int) -> Any:
        return {"names": list(multipart_body or ())}

    @app.post("/any")
    def as_any(parsed_body: Any) -> Any:
        return {"kind": type(parsed_body).__name__}

    @app.post("/person")
    async def as_person(person: Person, awaited: int) -> Any:
        return person

    @app.post("/stream")
    async def as_stream(body_stream: Any, awaited: int) -> Any:
        return {"size": sum([len(piece) async for piece in body_stream])}


def declare_resources(app: RestApplication) -> None:
    """Declare routes with callbacks."""

    @app.resource_exists
    async def item(item_id: str) -> Any:
        return {"id": item_id} if len(item_id) < 4 else None

    @app.generate_etag
    def tag(item: Any) -> str:
        return "v1"

    @app.authorized
    async def user(request_headers: Any) -> bool:
        return "authorization" in request_headers

    @app.get("/items/{item_id}")
    async def read(item: Any, awaited: int) -> Any:
        return item

    @app.put("/items/{item_id}", creates=True)
    def write(item: Any, json_body: Any, counted: int) -> Any:
        return {"stored": json_body}

    @app.delete("/items/{item_id}")
    async def delete(item: Any) -> None:
        return None

    @app.get("/private")
    async def private(user: Any) -> Any:
        return {"user": user}

    @app.handles_error(404)
    def absent(request: Request) -> Any:
        return {"absent": request.path}


# ---- requests ----------------------------------------------------------------------------


@dataclass
class Sent:
    """A request as a server would hand it over."""

    method: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    leaves: bool
    root_path: str
    version: str

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self.version,
            "method": self.method,
            "scheme": "http",
            "path": unquote(self.raw_path.decode("latin-1")),
            "raw_path": self.raw_path,
            "query_string": self.query,
            "root_path": self.root_path,
            "headers": self.headers,
        }


MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
READ = [
    *("/", "/sync", "/echo/x", "/rest/a/b", "/typed/1/12345678-1234-1234-1234-123456789abc"),
    *("/bypass", "/choices", "/stream", "/bytes", "/items/1", "/items/absent", "/private"),
    *("/file", "/no-file", "/opened", "/tagging", "/lines"),
]
SENT_TO = ["/json", "/form", "/text", "/multipart", "/any", "/person", "/stream"]
ROUTES = [
    *(("GET", path) for path in READ),
    *(("POST", path) for path in SENT_TO),
    *(("PUT", "/items/1"), ("PUT", "/items/absent"), ("DELETE", "/items/1"), ("HEAD", "/bytes")),
    *(("HEAD", path) for path in ("/file", "/no-file", "/opened", "/tagging", "/lines")),
]
FIELDS = [
    *("accept", "accept-charset", "accept-encoding", "accept-language", "authorization"),
    *("content-encoding", "content-length", "content-type", "cookie", "expect", "host"),
    *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
    *("range", "te", "transfer-encoding", "upgrade", "x-forwarded-for"),
]
VALUES = [
    *("*/*", "text/html;q=0", "application/json", "a/b;q=9e9", "*;q=", ",,,", "text/*;q=0.5,*/*"),
    *("application/problem+json", "text/plain", "*", '"v1"', 'W/"v1"', '"a", "v1"', '"'),
    *(MODIFIED, "Mon, 99 Foo 0000 99:99:99 GMT", "Sunday, 06-Nov-94"),
    *("bytes=0-1", "bytes=-0", "bytes=0-0,2-3", "bytes=9-1", "bytes=99999999999999999999-", "x"),
    *("text/csv", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"),
    *("text/plain; charset=utf-16", "0", "5, 5", "-1", "99999999999999999999", "chunked"),
]
CONTENTS = [
    *(b"{}", b'{"name": "a", "age": 1}', b'{"name": 1, "age": "x\\ud800"}', b"[" * 300),
    *(b"a=1&b=2", b"&&=&%", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--'),
    *(b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n1', b"\xff\xfe\x00"),
]


def text_of(alphabet: str, most: int = 20) -> st.SearchStrategy[bytes]:
    return st.text(alphabet, max_size=most).map(lambda text: text.encode("latin-1"))


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw what is usual four times of five."""
    return st.integers(0, 4).flatmap(lambda die: usual if die else odd)


LATIN_1 = "".join(map(chr, range(256)))
FIELD_CHARACTERS = "".join(sorted(set(LATIN_1) - set("\r\n\0")))
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))

methods = st.sampled_from(["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
segments = st.sampled_from(["", ".", "..", "%2F", "%2f..%2F", "%00", "%ff", "%C3%A9", "%", "%zz"])
tails = st.lists(segments | st.text(VISIBLE, max_size=8), min_size=1, max_size=4).map(
    lambda parts: "".join("/" + part.replace("?", "").replace("#", "") for part in parts)
)
targets = mostly(
    st.sampled_from(ROUTES),
    st.tuples(
        mostly(methods, st.text(VISIBLE, min_size=1, max_size=8)),
        st.builds(str.__add__, st.sampled_from(["/nothing", *READ, *SENT_TO]), tails),
    ),
)
queries = mostly(
    text_of(VISIBLE + "\x80\xff") | st.just(b"a=1&a=%ff&%00"),
    st.integers(400, 600).map(lambda size: b"x" * size),
)

names = mostly(st.sampled_from(FIELDS).map(str.encode), text_of("abcxyz-_!#", 8).filter(bool))
values = mostly(
    st.sampled_from(VALUES).map(str.encode) | text_of(FIELD_CHARACTERS, 40),
    st.integers(300, 3000).map(lambda size: b"a," * size),
)
media_types = st.sampled_from(
    [
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"text/csv",
        b"text/plain",
    ]
)
typed = st.builds(
    lambda media_type: [(b"content-type", media_type), (b"transfer-encoding", b"chunked")],
    media_types,
)
headers = st.builds(
    list.__add__,
    mostly(typed, st.just([])),
    st.lists(st.tuples(names, values), max_size=4),
)
contents = mostly(
    st.sampled_from(CONTENTS).map(lambda content: [content])
    | st.lists(st.sampled_from(CONTENTS) | st.binary(max_size=60), max_size=4),
    st.integers(1, 3).map(lambda size: [b"x" * 900] * size),
)
requests = st.builds(
    lambda target, *rest: Sent(target[0], target[1].encode(), *rest),
    targets,
    queries,
    headers,
    contents,
    mostly(st.just(False), st.just(True)),
    mostly(st.just(""), st.sampled_from(["/items", "/json/"])),
    mostly(st.just("1.1"), st.sampled_from(["1.0", "2"])),
)


# ---- answers -----------------------------------------------------------------------------


@dataclass
class Answer:
    """What came back, and how to give what the client sends."""

    sent: Sent
    status: int = 0
    starts: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: bytes = b""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    given: int = 0

    async def receive(self) -> dict[str, Any]:
        last = len(self.sent.pieces) - 1
        if self.given <= max(last, 0) and not (self.sent.leaves and self.given == max(last, 0)):
            piece = self.sent.pieces[self.given] if self.sent.pieces else b""
            self.given += 1
            return {"type": "http.request", "body": piece, "more_body": self.given <= last}
        if not self.sent.leaves:
            await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        assert not self.over.is_set(), "something was sent after the end"
        if message["type"] == "http.response.start":
            self.starts += 1
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            assert message["type"] == "http.response.body"
            assert self.starts == 1
            self.content += message.get("body", b"")
            if not message.get("more_body", False):
                self.over.set()

    def check(self) -> None:
        """Hold the answer to what HTTP and ASGI ask of every answer."""
        assert self.starts == 1
        assert self.over.is_set()
        assert 200 <= self.status < 500 or self.status == 501
        for name, value in self.headers:
            assert name == name.lower() and name.strip()
            assert not set(b"\r\n\0") & set(name + value)
        lengths = [value for name, value in self.headers if name == b"content-length"]
        assert len(lengths) < 2
        if self.sent.method == "HEAD" or self.status in (204, 304):
            assert self.content == b""
        elif lengths:
            assert lengths == [b"%d" % len(self.content)]


async def converse(adapter: ASGIAdapter, sent: Sent) -> Answer:
    """Send a request and return what came back."""
    answer = Answer(sent)
    async with asyncio.timeout(HANGS_SECONDS):
        await adapter(sent.scope(), answer.receive, answer.send)
    return answer


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop that lives as long as the application's workers."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture(scope="module")
def served(
    loop: asyncio.AbstractEventLoop,
) -> Iterator[tuple[ASGIAdapter, Lives]]:
    """Serve the application, and count the lives of its dependencies."""
    lives = Lives()
    app = application(lives)
    loop.run_until_complete(app.startup())
    yield ASGIAdapter(app), lives
    loop.run_until_complete(app.shutdown())


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sent=requests)
def test_every_request_gets_one_well_formed_answer(
    sent: Sent, served: tuple[ASGIAdapter, Lives], loop: asyncio.AbstractEventLoop
) -> None:
    adapter, lives = served

    answer = loop.run_until_complete(converse(adapter, sent))

    assert lives.ended == lives.made
    if not sent.leaves:
        answer.check()
    assert answer.starts < 2
    assert answer.status < 500 or answer.status == 501


@settings(
    max_examples=max(10, EXAMPLES // 20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sent=st.lists(requests, min_size=2, max_size=12))
def test_overlapping_requests_each_get_their_own_answer(
    sent: list[Sent], served: tuple[ASGIAdapter, Lives], loop: asyncio.AbstractEventLoop
) -> None:
    adapter, lives = served

    async def together() -> list[Answer]:
        return await asyncio.gather(*(converse(adapter, one) for one in sent))

    answers = loop.run_until_complete(together())

    assert lives.ended == lives.made
    assert [answer.sent for answer in answers] == sent
    for answer in (answer for answer in answers if not answer.sent.leaves):
        answer.check()
