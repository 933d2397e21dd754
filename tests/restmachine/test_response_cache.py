"""Responses that the server keeps: which, for whom, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

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
from restmachine.decorators import cache_response
from restmachine.testing import ClientResponse

from .keeping import MANY, Clock, Counting, Serve, call_asgi, kept


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


def test_names_of_what_is_kept_count_as_bytes(app: RestApplication, serve: Serve) -> None:
    counting = kept(app, max_bytes=10_000)
    client = serve(app)
    queries = [f"/x?{number}{'q' * 4000}" for number in range(5)]

    calls = [client.get(query).json()["call"] for query in [*queries, queries[0]]]

    assert calls == [1, 2, 3, 4, 5, 6]
    assert counting.calls == 6


def test_route_with_several_choices_cannot_keep_answers(app: RestApplication) -> None:
    @app.multiple_choices
    def choices() -> list[str]:
        return ["/a", "/b"]

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(choices: list[str]) -> str:
        return "made"

    with pytest.raises(ConfigurationError, match="several choices"):
        assert app.compiled
