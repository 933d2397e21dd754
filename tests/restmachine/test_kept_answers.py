"""Kept responses answer conditions, ranges and HEAD, beside what each request states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restmachine import NotFound, Request, RestApplication
from restmachine.decorators import cache_response
from restmachine.testing import ClientResponse, TestClient

from .keeping import Clock, Serve, kept


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


def test_field_of_a_check_replaces_the_routes_own_on_a_kept_answer_too(
    app: RestApplication, serve: Serve
) -> None:
    @app.service_available
    def available(request: Request, response_headers: Any) -> bool:
        if "X-Private" in request.headers:
            response_headers["Cache-Control"] = "private"
            response_headers["Link"] = "</mine>"
        return True

    counting = kept(app)
    client = serve(app)

    client.get("/x")
    private = client.get("/x", headers={"X-Private": "1"})
    public = client.get("/x")

    assert counting.calls == 1
    assert (private.headers["Cache-Control"], private.headers["Link"]) == ("private", "</mine>")
    assert (public.headers["Cache-Control"], public.headers.get("Link")) == ("max-age=60", None)


def test_field_of_the_handler_is_kept_although_a_check_stated_the_same(
    app: RestApplication, serve: Serve
) -> None:
    @app.service_available
    def available(request: Request, response_headers: Any) -> bool:
        if "X-First" in request.headers:
            response_headers["X-Tier"] = "gold"
        return True

    kept(app, headers={"X_Tier": "gold"})
    client = serve(app)

    client.get("/x", headers={"X-First": "1"})
    second = client.get("/x")

    assert second.headers.get_all("X-Tier") == ["gold"]
    assert "Age" in second.headers


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


def test_answer_without_content_varies_as_others_of_its_route_do(
    app: RestApplication, serve: Serve
) -> None:
    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler(request: Request) -> Any:
        return None if request.headers["Accept"] == "text/html" else {"type": "other"}, 200

    client = serve(app)

    nothing = client.get("/x", headers={"Accept": "text/html"})
    data = client.get("/x", headers={"Accept": "application/json"})

    assert (nothing.status, nothing.content, nothing.headers["Vary"]) == (200, b"", "Accept")
    assert data.json() == {"type": "other"}


def test_first_of_contradicting_directives_counts(
    app: RestApplication, serve: Serve, clock: Clock
) -> None:
    counting = kept(app, headers={"Cache_Control": "max-age=1, max-age=100"})
    client = serve(app)

    client.get("/x")
    clock.now += 2
    client.get("/x")

    assert counting.calls == 2


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
