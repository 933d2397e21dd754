"""Responses that the server keeps: who gets them, for how long, and who makes them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restmachine import (
    ASGIAdapter,
    ConfigurationError,
    FileResponse,
    NotFound,
    Request,
    Response,
    RestApplication,
    Router,
)
from restmachine.decorators import cache_response, skip_auth_check
from restmachine.testing import ClientResponse, TestClient

Serve = Callable[[RestApplication], TestClient]
MANY = 100


class Clock:
    """Tells a time that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """Answers with how often it was asked."""

    def __init__(self, **headers: str) -> None:
        self.calls = 0
        self.headers = headers

    def answer(self) -> Any:
        self.calls += 1
        fields = {name.replace("_", "-"): value for name, value in self.headers.items()}
        return {"call": self.calls}, 200, fields


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> RestApplication:
    return RestApplication(clock=clock)


def kept(app: RestApplication, path: str = "/x", max_age: int = 60, **options: Any) -> Counting:
    """Declare a route whose answers are kept, and return what counts its calls."""
    headers = options.pop("headers", {})
    counting = Counting(**headers)

    def handler() -> Any:
        return counting.answer()

    app.get(path)(cache_response(max_age=max_age, server=True, **options)(handler))
    return counting


def at_once(
    client: TestClient, count: int, url: str = "/x", **message: Any
) -> list[ClientResponse]:
    """Send requests together and return their responses."""

    async def send() -> list[ClientResponse]:
        sending = [client.request_async("GET", url, **message) for _ in range(count)]
        return await asyncio.gather(*sending)

    return client.run(send())


async def call_asgi(app: Any, path: str = "/x", *headers: tuple[bytes, bytes]) -> list[Any]:
    """Send a request as a server would, and return the messages of the response."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": list(headers),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


def test_second_request_gets_the_first_answer(app: RestApplication, serve: Serve) -> None:
    counting = kept(app)
    client = serve(app)

    first, second = client.get("/x"), client.get("/x")

    assert counting.calls == 1
    assert first.content == second.content == b'{"call":1}'
    assert "Age" not in first.headers
    assert second.headers.to_dict() == {**first.headers.to_dict(), "age": "0"}


def test_plain_asgi_calls_get_it_too(app: RestApplication) -> None:
    counting = kept(app)
    adapter = ASGIAdapter(app)

    async def twice() -> list[list[Any]]:
        return [await call_asgi(adapter), await call_asgi(adapter)]

    (_, body), (start, again) = asyncio.run(twice())

    assert counting.calls == 1
    assert body == again == {"type": "http.response.body", "body": b'{"call":1}'}
    assert start["status"] == 200
    assert (b"age", b"0") in start["headers"]


def test_direct_execution_gets_it_too(app: RestApplication) -> None:
    counting = kept(app)

    responses = [app.execute(Request("GET", "/x")) for _ in range(2)]

    assert counting.calls == 1
    assert [response.headers.get("Age") for response in responses] == [None, "0"]
    app.shutdown_sync()


def test_age_grows_until_the_answer_is_stale(
    app: RestApplication, serve: Serve, clock: Clock
) -> None:
    counting = kept(app, max_age=60)
    client = serve(app)
    client.get("/x")

    clock.now += 59.5
    fresh = client.get("/x")
    clock.now += 0.5
    stale = client.get("/x")

    assert fresh.headers["Age"] == "59"
    assert fresh.json() == {"call": 1}
    assert "Age" not in stale.headers
    assert stale.json() == {"call": 2}
    assert counting.calls == 2


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("max-age=5", 5),
        ("max-age=100, s-maxage=7", 7),
        ("public", 60),
        ('max-age="9"', 9),
    ],
)
def test_time_that_the_handler_states_wins(
    app: RestApplication, serve: Serve, clock: Clock, stated: str, seconds: int
) -> None:
    counting = kept(app, headers={"Cache_Control": stated})
    client = serve(app)
    client.get("/x")

    clock.now += seconds - 1
    client.get("/x")
    still_fresh = counting.calls
    clock.now += 1
    client.get("/x")

    assert still_fresh == 1
    assert counting.calls == 2


def test_age_of_a_forwarded_answer_counts(app: RestApplication, serve: Serve, clock: Clock) -> None:
    counting = kept(app, max_age=60, headers={"Age": "50"})
    client = serve(app)
    client.get("/x")

    clock.now += 9
    fresh = client.get("/x")
    clock.now += 1
    client.get("/x")

    assert fresh.headers.get_all("Age") == ["59"]
    assert counting.calls == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache_Control": "no-store"},
        {"Cache_Control": "private, max-age=60"},
        {"Cache_Control": 'No-Cache="x"'},
        {"Cache_Control": "max-age=0"},
        {"Cache_Control": "max-age=soon"},
        {"Set_Cookie": "session=1"},
        {"Vary": "Accept, *"},
        {"Age": "60"},
    ],
    ids=str,
)
def test_answer_that_is_not_for_others_is_not_kept(
    app: RestApplication, serve: Serve, headers: dict[str, str]
) -> None:
    counting = kept(app, headers=headers)
    client = serve(app)

    responses = [client.get("/x") for _ in range(2)]

    assert counting.calls == 2
    assert [response.json() for response in responses] == [{"call": 1}, {"call": 2}]


@pytest.mark.parametrize("status", [201, 203, 204, 301, 404, 410, 500, 503])
def test_answer_other_than_200_is_not_kept(app: RestApplication, serve: Serve, status: int) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Any:
        calls.append(1)
        return {"a": 1}, status

    client = serve(app)

    responses = [client.get("/x") for _ in range(2)]

    assert [response.status for response in responses] == [status, status]
    assert len(calls) == 2


def test_exception_is_not_kept(app: RestApplication, serve: Serve) -> None:
    outcomes: Iterator[Any] = iter([NotFound(), RuntimeError("broken"), None])

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> str:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome
        return "made"

    client = serve(app)

    statuses = [client.get("/x").status for _ in range(4)]

    assert statuses == [404, 500, 200, 200]


def test_stream_is_not_kept(app: RestApplication, serve: Serve) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> AsyncIterator[bytes]:
        calls.append(1)
        yield b"piece"

    client = serve(app)

    responses = [client.get("/x") for _ in range(2)]

    assert [response.content for response in responses] == [b"piece", b"piece"]
    assert len(calls) == 2


def test_file_is_not_kept(app: RestApplication, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "page.txt"
    file.write_text("old")

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Response:
        return FileResponse(file)

    client = serve(app)
    client.get("/x")
    file.write_text("newer")

    response = client.get("/x")

    assert response.text == "newer"


def test_part_that_a_handler_cut_itself_is_not_kept(app: RestApplication, serve: Serve) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Response:
        calls.append(1)
        return Response(200, b"abcdef", range_start=0, range_end=1)

    client = serve(app)

    responses = [client.get("/x") for _ in range(2)]

    assert [(response.status, response.content) for response in responses] == [(206, b"ab")] * 2
    assert len(calls) == 2


@pytest.mark.parametrize(
    "other",
    ["/x?a=2", "/x?a=1&a=1", "/x?", "/y?a=1"],
)
def test_each_path_and_query_has_its_own_answer(
    app: RestApplication, serve: Serve, other: str
) -> None:
    counting = kept(app, "/{name}")
    client = serve(app)

    client.get("/x?a=1")
    client.get(other)

    assert counting.calls == 2


def test_encoded_slash_is_another_path(app: RestApplication, serve: Serve) -> None:
    @app.get("/{name}/y")
    @cache_response(max_age=60, server=True)
    def two(name: str) -> str:
        return f"two: {name}"

    @app.get("/{a}/{b}/y")
    @cache_response(max_age=60, server=True)
    def three(a: str, b: str) -> str:
        return f"three: {a} {b}"

    client = serve(app)

    texts = [client.get(url).text for url in ("/a%2Fb/y", "/a/b/y", "/a%2Fb/y", "/a/b/y")]

    assert texts == ["two: a/b", "three: a b"] * 2


def test_each_host_has_its_own_answer(app: RestApplication, serve: Serve) -> None:
    counting = kept(app)
    client = serve(app)

    for_one = client.get("/x", headers={"Host": "one.test"})
    for_other = client.get("/x", headers={"Host": "other.test"})

    assert for_one.json() != for_other.json()
    assert counting.calls == 2


def test_negotiated_types_are_kept_apart(app: RestApplication, serve: Serve) -> None:
    counting = kept(app)
    client = serve(app)
    kinds = ["application/json", "text/plain", "application/json", "text/plain"]

    responses = [client.get("/x", headers={"Accept": kind}) for kind in kinds]

    assert counting.calls == 2
    assert responses[0].headers["Content-Type"] == responses[2].headers["Content-Type"]
    assert responses[1].headers["Content-Type"].startswith("text/plain")
    assert responses[3].content == responses[1].content


def test_answer_varies_by_a_field_that_the_handler_names(
    app: RestApplication, serve: Serve
) -> None:
    calls: list[str | None] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(request: Request) -> Any:
        tenant = request.headers.get("X-Tenant")
        calls.append(tenant)
        return {"tenant": tenant}, 200, {"Vary": "x-tenant"}

    client = serve(app)
    tenants = ["a", "b", "a", "b"]

    responses = [client.get("/x", headers={"X-Tenant": tenant}) for tenant in tenants]
    nobody = [client.get("/x") for _ in range(2)]

    assert [response.json()["tenant"] for response in responses] == tenants
    assert [response.json()["tenant"] for response in nobody] == [None, None]
    assert calls == ["a", "b", None]


def test_those_who_came_together_get_what_varies_for_each(
    app: RestApplication, serve: Serve
) -> None:
    calls: list[str] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler(request: Request) -> Any:
        tenant = request.headers["X-Tenant"]
        calls.append(tenant)
        await asyncio.sleep(0)
        return {"tenant": tenant}, 200, {"Vary": "X-Tenant"}

    client = serve(app)
    tenants = [str(number % 5) for number in range(MANY)]

    async def send() -> list[ClientResponse]:
        sending = [client.request_async("GET", "/x", headers={"X-Tenant": t}) for t in tenants]
        return await asyncio.gather(*sending)

    responses = client.run(send())

    assert [response.json()["tenant"] for response in responses] == tenants
    assert sorted(calls) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("field", ["Authorization", "Cookie"])
def test_request_with_credentials_goes_past_what_is_kept(
    app: RestApplication, serve: Serve, field: str
) -> None:
    counting = kept(app)
    client = serve(app)
    credentials = {field: "a=b"}

    answers = [
        client.get("/x", headers=credentials).json()["call"],
        client.get("/x").json()["call"],
        client.get("/x", headers=credentials).json()["call"],
        client.get("/x").json()["call"],
    ]

    assert answers == [1, 2, 3, 2]
    assert counting.calls == 3


@pytest.mark.parametrize("field", ["Authorization", "Cookie"])
def test_request_with_credentials_gets_what_is_public(
    app: RestApplication, serve: Serve, field: str
) -> None:
    counting = kept(app, public=True)
    client = serve(app)

    client.get("/x", headers={field: "a=b"})
    client.get("/x")

    assert counting.calls == 1


@pytest.mark.parametrize("kind", ["authorized", "forbidden"])
def test_protected_route_keeps_nothing_unless_it_is_public(app: RestApplication, kind: str) -> None:
    getattr(app, f"default_{kind}")(lambda: kind == "authorized")
    kept(app)

    with pytest.raises(ConfigurationError, match=r"GET /x says .* Add public=True"):
        app.execute(Request("GET", "/x"))


def test_route_that_skips_the_check_may_keep_its_answers(app: RestApplication) -> None:
    app.default_authorized(lambda: False)
    counting = Counting()
    handler = skip_auth_check(cache_response(max_age=60, server=True)(lambda: counting.answer()))
    app.get("/x")(handler)

    statuses = [app.execute(Request("GET", "/x")).status_code for _ in range(2)]

    assert statuses == [200, 200]
    assert counting.calls == 1
    app.shutdown_sync()


def test_authorization_is_asked_for_every_request(app: RestApplication, serve: Serve) -> None:
    asked: list[str | None] = []

    @app.default_authorized
    def authorized(request: Request) -> bool:
        asked.append(request.headers.get("Authorization"))
        return asked[-1] == "Bearer good"

    counting = kept(app, public=True)
    client = serve(app)
    fields: list[dict[str, str]] = [
        {"Authorization": "Bearer good"},
        {},
        {"Authorization": "Bearer bad"},
        {"Authorization": "Bearer good"},
    ]

    statuses = [client.get("/x", headers=each).status for each in fields]

    assert statuses == [200, 401, 401, 200]
    assert asked == ["Bearer good", None, "Bearer bad", "Bearer good"]
    assert counting.calls == 1


def test_availability_and_existence_are_asked_for_every_request(
    app: RestApplication, serve: Serve
) -> None:
    open_now = [True, True, False, True]
    there = iter([object(), object(), None])

    @app.default_service_available
    def available() -> bool:
        return open_now.pop(0)

    @app.resource_exists
    def thing() -> object:
        return next(there)

    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(thing: object) -> str:
        calls.append(1)
        return "made"

    client = serve(app)

    statuses = [client.get("/x").status for _ in range(4)]

    assert statuses == [200, 200, 503, 404]
    assert len(calls) == 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "head"])
def test_only_get_can_keep_answers(app: RestApplication, method: str) -> None:
    getattr(app, method)("/x")(cache_response(max_age=60, server=True)(lambda: "made"))

    with pytest.raises(ConfigurationError, match="only answers to GET"):
        app.execute(Request("GET", "/x"))


@pytest.mark.parametrize("name", ["json_body", "form_body", "body_stream", "parsed_body"])
def test_route_that_asks_for_content_cannot_keep_answers(app: RestApplication, name: str) -> None:
    names: dict[str, Any] = {}
    exec(f"def handler({name}): return {{}}", names)
    app.get("/x")(cache_response(max_age=60, server=True)(names["handler"]))

    with pytest.raises(ConfigurationError, match=r"GET /x .* content of the request"):
        app.execute(Request("GET", "/x"))


@pytest.mark.parametrize(
    "options", [{"max_age": 0}, {"max_age": 5, "entries": 0}, {"max_age": 5, "max_bytes": 1.5}]
)
def test_settings_are_whole_numbers(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="whole number, 1 or more"):
        cache_response(server=True, **options)


def test_request_with_content_goes_past_what_is_kept(app: RestApplication, serve: Serve) -> None:
    calls: list[Any] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(request: Request) -> Any:
        calls.append(request.body)
        return {"body": request.body.decode() if request.body else None}

    client = serve(app)
    client.get("/x")

    response = client.request("GET", "/x", content="other")

    assert response.json() == {"body": "other"}
    assert len(calls) == 2


def test_head_is_answered_by_what_get_left(app: RestApplication, serve: Serve) -> None:
    counting = kept(app)
    client = serve(app)

    before = client.head("/x")
    answer = client.get("/x")
    after = client.head("/x")

    assert before.headers.get("Age") is None
    assert answer.json() == {"call": 2}
    assert counting.calls == 2
    assert after.content == b""
    assert after.headers.to_dict() == {**answer.headers.to_dict(), "age": "0"}


def test_tag_that_the_handler_states_answers_conditions(app: RestApplication, serve: Serve) -> None:
    counting = kept(app, headers={"ETag": '"v1"'})
    client = serve(app)
    client.get("/x")

    same = client.get("/x", headers={"If-None-Match": '"v1"'})
    other = client.get("/x", headers={"If-None-Match": '"v0"'})
    failed = client.get("/x", headers={"If-Match": '"v0"'})

    assert (same.status, same.content) == (304, b"")
    assert same.headers["ETag"] == '"v1"'
    assert same.headers["Age"] == "0"
    assert (other.status, other.json()) == (200, {"call": 1})
    assert failed.status == 412
    assert counting.calls == 1


def test_first_answer_is_kept_whole_although_it_was_a_304(
    app: RestApplication, serve: Serve
) -> None:
    counting = kept(app, headers={"ETag": '"v1"'})
    client = serve(app)

    first = client.get("/x", headers={"If-None-Match": '"v1"'})
    second = client.get("/x")

    assert first.status == 304
    assert (second.status, second.json()) == (200, {"call": 1})
    assert counting.calls == 1


def test_range_is_cut_out_of_what_is_kept(app: RestApplication, serve: Serve) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> bytes:
        calls.append(1)
        return b"0123456789"

    client = serve(app)

    first = client.get("/x", headers={"Range": "bytes=0-3"})
    second = client.get("/x", headers={"Range": "bytes=4-5"})
    beyond = client.get("/x", headers={"Range": "bytes=20-"})
    whole = client.get("/x")

    assert (first.status, first.content) == (206, b"0123")
    assert (second.status, second.content) == (206, b"45")
    assert second.headers["Content-Range"] == "bytes 4-5/10"
    assert beyond.status == 416
    assert (whole.status, whole.content) == (200, b"0123456789")
    assert len(calls) == 1


@pytest.mark.parametrize("blocking", [True, False])
def test_answer_of_another_version_is_not_used(serve: Serve, blocking: bool) -> None:
    app = RestApplication(blocking=blocking)
    versions = iter(["v1", "v1", "v2", "v2"])
    calls: list[int] = []

    @app.generate_etag
    def tag() -> str:
        return next(versions)

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(tag: str) -> Any:
        calls.append(1)
        return {"version": tag}

    client = serve(app)

    first, second, third = (client.get("/x") for _ in range(3))
    fourth = client.get("/x", headers={"If-None-Match": '"v2"'})

    assert [first.json(), second.json()] == [{"version": "v1"}] * 2
    assert (third.json(), third.headers["ETag"]) == ({"version": "v2"}, '"v2"')
    assert fourth.status == 304
    assert len(calls) == 2


def test_fields_that_a_check_states_are_each_request_s_own(
    app: RestApplication, serve: Serve
) -> None:
    @app.default_authorized
    def authorized(request: Request, response_headers: Any) -> bool:
        response_headers["X-Client"] = request.headers["X-Client"]
        response_headers["Set-Cookie"] = f"seen={request.headers['X-Client']}"
        return True

    counting = kept(app, public=True)
    client = serve(app)

    responses = [client.get("/x", headers={"X-Client": name}) for name in ("a", "b")]

    assert counting.calls == 1
    assert [response.headers.get_all("X-Client") for response in responses] == [["a"], ["b"]]
    assert responses[1].headers.get_all("Set-Cookie") == ["seen=b"]


def test_default_fields_and_what_a_generator_returns_are_each_request_s_own(
    app: RestApplication, serve: Serve
) -> None:
    numbers = iter(range(10))

    @app.default_headers
    def numbered() -> dict[str, str]:
        return {"X-Number": str(next(numbers))}

    @app.dependency()
    def timer() -> Iterator[None]:
        yield
        return {"X-Time": "1"}  # type: ignore[return-value]  # a generator returns what it wants

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(timer: None) -> str:
        return "made"

    client = serve(app)

    first, second = client.get("/x"), client.get("/x")

    assert (first.headers["X-Number"], first.headers["X-Time"]) == ("0", "1")
    assert second.headers["X-Number"] == "1"
    assert "X-Time" not in second.headers


def test_dependencies_of_the_handler_are_made_and_finished_only_with_it(
    app: RestApplication, serve: Serve
) -> None:
    events: list[str] = []

    @app.dependency()
    def session() -> Iterator[str]:
        events.append("open")
        yield "session"
        events.append("close")

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(session: str) -> str:
        return session

    client = serve(app)

    texts = [client.get("/x").text for _ in range(3)]

    assert texts == ["session"] * 3
    assert events == ["open", "close"]


@pytest.mark.parametrize("is_async", [True, False])
def test_answer_whose_teardown_fails_is_not_kept(
    app: RestApplication, serve: Serve, is_async: bool
) -> None:
    commits = iter([RuntimeError("lost"), None])

    def commit() -> None:
        error = next(commits)
        if error is not None:
            raise error

    def session() -> Iterator[None]:
        yield
        commit()

    async def async_session() -> AsyncIterator[None]:
        yield
        commit()

    app.dependency("session")(async_session if is_async else session)

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(session: None) -> str:
        return "made"

    client = serve(app)

    responses = [client.get("/x") for _ in range(3)]

    assert [response.status for response in responses] == [500, 200, 200]
    assert [response.headers.get("Age") for response in responses] == [None, None, "0"]


@pytest.mark.parametrize("is_async", [True, False])
def test_hundred_first_requests_run_the_handler_once(
    app: RestApplication, serve: Serve, is_async: bool
) -> None:
    counting = Counting()

    async def async_handler() -> Any:
        await asyncio.sleep(0.05)
        return counting.answer()

    def handler() -> Any:
        time.sleep(0.05)
        return counting.answer()

    chosen: Any = async_handler if is_async else handler
    app.get("/x")(cache_response(max_age=60, server=True)(chosen))
    client = serve(app)

    responses = at_once(client, MANY)

    assert counting.calls == 1
    assert [response.json() for response in responses] == [{"call": 1}] * MANY


def test_hundred_requests_past_a_blocking_check_run_the_handler_once(
    app: RestApplication, serve: Serve
) -> None:
    counting = Counting()
    app.default_service_available(lambda: True)

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> Any:
        await asyncio.sleep(0.05)
        return counting.answer()

    client = serve(app)

    responses = at_once(client, MANY)

    assert counting.calls == 1
    assert {response.status for response in responses} == {200}


def test_threads_and_loops_wait_for_one_handler(app: RestApplication) -> None:
    counting = Counting()
    inside, go_on = threading.Event(), threading.Event()

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Any:
        inside.set()
        go_on.wait(10)
        return counting.answer()

    app.compiled  # noqa: B018 - not while the threads race
    adapter = ASGIAdapter(app)

    def on_a_loop(_: int) -> int:
        start, _body = asyncio.run(call_asgi(adapter))
        return int(start["status"])

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(on_a_loop, 0)
        inside.wait(10)
        others = [pool.submit(on_a_loop, number) for number in range(6)]
        time.sleep(0.1)
        go_on.set()
        statuses = [first.result(10), *(each.result(10) for each in others)]

    assert statuses == [200] * 7
    assert counting.calls == 1
    app.shutdown_sync()


def test_direct_executions_on_many_threads_run_the_handler_once(app: RestApplication) -> None:
    counting = Counting()

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Any:
        time.sleep(0.05)
        return counting.answer()

    with ThreadPoolExecutor(20) as pool:
        answering = [pool.submit(app.execute, Request("GET", "/x")) for _ in range(20)]
        responses = [each.result(10) for each in answering]

    assert {response.status_code for response in responses} == {200}
    assert counting.calls == 1
    app.shutdown_sync()


def test_when_the_first_fails_one_of_the_others_takes_over(
    app: RestApplication, serve: Serve
) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> str:
        calls.append(1)
        await asyncio.sleep(0.01)
        if len(calls) == 1:
            raise RuntimeError("broken")
        return "made"

    client = serve(app)

    responses = at_once(client, MANY)

    assert len(calls) == 2
    assert sorted(response.status for response in responses) == [200] * (MANY - 1) + [500]


@pytest.mark.parametrize("is_async", [True, False])
def test_when_all_fail_none_waits_for_all_the_others(
    app: RestApplication, serve: Serve, is_async: bool
) -> None:
    at_work, most = 0, 0

    def enter() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)

    def leave() -> None:
        nonlocal at_work
        at_work -= 1
        raise RuntimeError("broken")

    async def async_handler() -> None:
        enter()
        await asyncio.sleep(0.01)
        leave()

    def handler() -> None:
        enter()
        time.sleep(0.01)
        leave()

    chosen: Any = async_handler if is_async else handler
    app.get("/x")(cache_response(max_age=60, server=True)(chosen))
    client = serve(app)

    responses = at_once(client, 30)

    assert {response.status for response in responses} == {500}
    assert most > 1


def test_those_who_wait_for_what_is_not_for_them_go_on_together(
    app: RestApplication, serve: Serve
) -> None:
    at_work: list[int] = []
    everybody = asyncio.Event()

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> Any:
        at_work.append(1)
        if len(at_work) == MANY:
            everybody.set()
        if len(at_work) == 1:  # the others come meanwhile
            await asyncio.sleep(0.01)
        else:
            await asyncio.wait_for(everybody.wait(), 10)
        return {}, 200, {"Set-Cookie": "a=b"}

    client = serve(app)

    responses = at_once(client, MANY)

    assert {response.status for response in responses} == {200}
    assert len(at_work) == MANY


def test_nobody_waits_for_the_end_of_a_stream(app: RestApplication) -> None:
    async def answer() -> list[int]:
        more = asyncio.Event()
        calls: list[int] = []

        @app.get("/x")
        @cache_response(max_age=60, server=True)
        async def handler() -> AsyncIterator[bytes]:
            calls.append(1)
            if len(calls) == 1:
                await more.wait()
            yield b"piece"

        adapter = ASGIAdapter(app)
        first = asyncio.create_task(call_asgi(adapter))
        await asyncio.sleep(0)
        await asyncio.wait_for(call_asgi(adapter), 10)
        more.set()
        await first
        return calls

    calls = asyncio.run(answer())

    assert len(calls) == 2


@pytest.mark.parametrize("is_async", [True, False])
def test_when_the_first_is_cancelled_one_of_the_others_takes_over(
    app: RestApplication, is_async: bool
) -> None:
    calls: list[int] = []
    inside = asyncio.Event()

    async def slow() -> None:
        inside.set()
        await asyncio.sleep(30 if len(calls) == 1 else 0)

    app.dependency("slow")(slow)

    @app.dependency()
    async def counted() -> None:
        calls.append(1)

    async def later(counted: None, slow: None) -> str:
        return "made"

    def sooner(counted: None, slow: None) -> str:
        return "made"

    app.get("/x")(cache_response(max_age=60, server=True)(later if is_async else sooner))

    async def answer() -> list[Any]:
        adapter = ASGIAdapter(app)
        first = asyncio.create_task(call_asgi(adapter))
        await inside.wait()
        others = [asyncio.create_task(call_asgi(adapter)) for _ in range(10)]
        await asyncio.sleep(0.01)
        first.cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*others), 10)
        await asyncio.gather(first, return_exceptions=True)
        return outcomes

    outcomes = asyncio.run(answer())

    assert {start["status"] for start, _ in outcomes} == {200}
    assert len(calls) == 2


def test_one_that_is_cancelled_while_it_waits_leaves_the_others_alone(
    app: RestApplication,
) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> str:
        calls.append(1)
        await asyncio.sleep(0.05)
        return "made"

    async def answer() -> list[Any]:
        adapter = ASGIAdapter(app)
        tasks = [asyncio.create_task(call_asgi(adapter)) for _ in range(10)]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(answer())

    assert isinstance(outcomes.pop(1), asyncio.CancelledError)
    assert {start["status"] for start, _ in outcomes} == {200}
    assert len(calls) == 1


def test_client_that_leaves_lets_another_take_over(app: RestApplication) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> str:
        calls.append(1)
        await asyncio.sleep(30 if len(calls) == 1 else 0)
        return "made"

    async def answer() -> Any:
        adapter = ASGIAdapter(app)
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError("nobody is there")

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": "/x", "raw_path": b"/x", "query_string": b"",
            "root_path": "", "headers": [],
        }  # fmt: skip
        first = asyncio.create_task(adapter(scope, receive, send))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(call_asgi(adapter))
        await asyncio.sleep(0.01)
        left.set()
        outcome = await asyncio.wait_for(second, 10)
        await first
        return outcome

    start, body = asyncio.run(answer())

    assert (start["status"], body["body"]) == (200, b"made")
    assert len(calls) == 2


def test_that_used_last_stays_longest(app: RestApplication, serve: Serve) -> None:
    counting = kept(app, entries=2)
    client = serve(app)

    calls = [client.get(f"/x?{name}").json()["call"] for name in "abacab"]

    assert calls == [1, 2, 1, 3, 1, 4]
    assert counting.calls == 4


def test_no_more_bytes_are_kept_than_allowed(app: RestApplication, serve: Serve) -> None:
    sizes: list[int] = []

    @app.get("/{size}")
    @cache_response(max_age=60, server=True, max_bytes=10_000)
    def handler(size: int) -> bytes:
        sizes.append(size)
        return b"x" * size

    client = serve(app)

    lengths = [len(client.get(f"/{size}").content) for size in (4000, 4001, 4000, 4002, 4000, 4001)]
    too_large = [len(client.get("/20000").content) for _ in range(2)]

    assert lengths == [4000, 4001, 4000, 4002, 4000, 4001]
    assert too_large == [20000, 20000]
    assert sizes == [4000, 4001, 4002, 4001, 20000, 20000]


def test_applications_keep_their_own_answers(clock: Clock, serve: Serve) -> None:
    router = Router()
    counting = Counting()
    router.get("/x")(cache_response(max_age=60, server=True)(lambda: counting.answer()))
    one, other = RestApplication(clock=clock), RestApplication(clock=clock)
    one.mount("/", router)
    other.mount("/", router)

    answers = [serve(app).get("/x").json()["call"] for app in (one, other, one, other)]

    assert answers == [1, 2, 1, 2]


def test_changed_application_begins_anew(app: RestApplication) -> None:
    @app.dependency()
    def word() -> str:
        return "real"

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(word: str) -> str:
        return word

    before = app.execute(Request("GET", "/x")).body
    with app.dependency_overrides(word=lambda: "double"):
        during = app.execute(Request("GET", "/x")).body
    after = app.execute(Request("GET", "/x")).body

    assert (before, during, after) == (b"real", b"double", b"real")
    app.shutdown_sync()


def test_bypassing_route_keeps_answers(app: RestApplication, serve: Serve) -> None:
    counting = Counting()
    handler = cache_response(max_age=60, server=True)(lambda: counting.answer())
    app.get("/x", bypass_state_machine=True)(handler)
    client = serve(app)

    answers = [client.get("/x").json() for _ in range(2)]

    assert answers == [{"call": 1}] * 2


def test_other_routes_do_not_know_of_it(app: RestApplication) -> None:
    alone = RestApplication()
    alone.get("/plain")(lambda: "made")
    app.get("/plain")(lambda: "made")
    kept(app)
    never, _ = alone.dispatch("GET", "/plain")

    beside, _ = app.dispatch("GET", "/plain")
    keeping, _ = app.dispatch("GET", "/x")

    assert [step.id for step in beside.steps()] == [step.id for step in never.steps()]
    assert beside.cache is None
    assert beside.hopping is not None
    assert keeping.cache is not None
    assert keeping.hopping is keeping.direct is keeping.checked is None


WORDS = ["", "a", "b"]
requests = st.builds(
    lambda method, path, fields: (method, path, {k: v for k, v in fields.items() if v}),
    st.sampled_from(["GET", "GET", "HEAD"]),
    st.sampled_from(["/data/a", "/data/b", "/data/a?q=1", "/bytes/a", "/none/a", "/gone/a"]),
    st.fixed_dictionaries(
        {
            "Accept": st.sampled_from(["", "application/json", "text/plain", "image/png"]),
            "X-Tenant": st.sampled_from(WORDS),
            "Authorization": st.sampled_from(WORDS),
            "If-None-Match": st.sampled_from(["", '"a"', '"b"', "*"]),
            "If-Match": st.sampled_from(["", "", '"a"']),
            "Range": st.sampled_from(["", "bytes=1-2", "bytes=99-"]),
        }
    ),
)


def answering(server: bool) -> RestApplication:
    """Return an application whose answers are made of the request alone."""
    app = RestApplication(blocking=False)

    @app.get("/{kind}/{name}")
    @cache_response(max_age=60, server=server)
    def handler(kind: str, name: str, request: Request) -> Any:
        if kind == "none":
            return None
        if kind == "gone":
            raise NotFound
        tenant = request.headers.get("X-Tenant") or ""
        text = f"{name} {tenant} {request.get_authorization_header()} {request.query_params}"
        fields = {"Vary": "X-Tenant", "ETag": f'"{name}"', "X-Answer": tenant or "nobody"}
        return (text.encode() if kind == "bytes" else {"text": text}), 200, fields

    return app


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(requests, min_size=2, max_size=8))
def test_kept_answers_are_those_that_the_handler_would_give(
    asked: list[tuple[str, str, dict[str, str]]],
) -> None:
    keeping, making = TestClient(answering(server=True)), TestClient(answering(server=False))

    kept_answers = [keeping.request(m, path, headers=fields) for m, path, fields in asked]
    made_answers = [making.request(m, path, headers=fields) for m, path, fields in asked]

    assert [seen(answer) for answer in kept_answers] == [seen(answer) for answer in made_answers]


def seen(response: ClientResponse) -> tuple[int, dict[str, str], bytes]:
    """Return all that a client sees of an answer but its age."""
    fields = response.headers.to_dict()
    fields.pop("age", None)
    return response.status, fields, response.content
