"""Requests of other origins take the fast ways of a plan as well, each with its own fields."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from restmachine import ASGIAdapter, Observer, RestApplication, asgi
from restmachine.hooks import HANDLER, KINDS, RENDERING, SENDING
from tests.restmachine.ways import Messages, messages_of

FRIEND = b"https://app.example.org"
ALLOWED = b"access-control-allow-origin"


def application(origins: str = FRIEND.decode()) -> RestApplication:
    app = RestApplication()
    app.cors(origins)

    @app.generate_etag
    async def tag(document: str) -> str:
        return "1"

    @app.dependency()
    async def document() -> str:
        return "text"

    @app.get("/direct")
    async def direct() -> dict[str, int]:
        return {"a": 1}

    @app.get("/hopping")
    def hopping() -> dict[str, int]:
        return {"a": 1}

    @app.get("/checked")
    async def checked(document: str) -> dict[str, str]:
        return {"document": document}

    @app.post("/read")
    async def read(json_body: Any) -> Any:
        return {"is": json_body}

    return app


def ask(app: RestApplication, path: str, *fields: tuple[bytes, bytes]) -> Messages:
    """Return the answer to a request with these fields."""
    return asyncio.run(messages_of(ASGIAdapter(app), "GET", path, list(fields)))


def allowed(sent: Messages) -> bytes | None:
    """Return for which origin an answer is."""
    return dict(sent[0]["headers"]).get(ALLOWED)


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/direct", [], 200),
        ("/direct", [(b"accept", b"application/json")], 200),
        ("/hopping", [], 200),
        ("/checked", [], 200),
        ("/checked", [(b"if-none-match", b'"1"')], 304),
    ],
)
@pytest.mark.parametrize("origin", [FRIEND, b"https://evil.example"])
def test_the_usual_of_another_origin_is_answered_without_an_exchange(
    exchanges: list[str], path: str, fields: Any, status: int, origin: bytes
) -> None:
    sent = ask(application(), path, (b"origin", origin), *fields)

    assert sent[0]["status"] == status
    assert allowed(sent) == (FRIEND if origin == FRIEND else None)
    assert exchanges == []


def test_content_from_another_origin_is_read_without_an_exchange(exchanges: list[str]) -> None:
    fields = [
        (b"origin", FRIEND),
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
    ]

    sent = asyncio.run(messages_of(ASGIAdapter(application()), "POST", "/read", fields, b"{}"))

    assert (sent[0]["status"], allowed(sent), sent[1]["body"]) == (200, FRIEND, b'{"is":{}}')
    assert exchanges == []


class Listening(Observer):
    """Has all of each request written down, and keeps the kinds of what was."""

    kinds = KINDS

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def request_finished(self, exchange: Any, status: int, sent_bytes: int, now: float) -> None:
        kinds = [entry[0] for entry in exchange.timeline]
        self.heard.append((status, exchange.decision, kinds))


def test_an_observed_request_of_another_origin_takes_the_direct_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, listening = application(), Listening()
    app.observe(listening)
    monkeypatch.setattr(asgi, "respond_on_loop", None)

    sent = ask(app, "/direct", (b"origin", FRIEND))

    assert allowed(sent) == FRIEND
    assert listening.heard == [(200, "O18", [HANDLER, RENDERING, SENDING])]


def test_two_origins_are_none(exchanges: list[str]) -> None:
    sent = ask(application("*"), "/direct", (b"origin", FRIEND), (b"origin", FRIEND))

    assert (sent[0]["status"], allowed(sent)) == (200, None)
    assert exchanges == ["/direct"]


def test_origins_beyond_the_bound_are_answered_and_not_remembered() -> None:
    app = application("*")
    origins = [b"https://%d.example" % number for number in range(200)]

    sent = [ask(app, "/direct", (b"origin", origin)) for origin in origins]
    long = ask(app, "/direct", (b"origin", b"https://" + b"a" * 600))

    plan, _ = app.dispatch("GET", "/direct")
    assert plan.crossings is not None
    assert len(plan.crossings._plans) <= 64
    assert [*map(allowed, sent)] == origins
    assert allowed(long) == b"https://" + b"a" * 600


@pytest.mark.parametrize("origins", [FRIEND.decode(), "*"])
def test_other_origins_leave_the_fast_way_to_one_that_is_allowed(
    exchanges: list[str], origins: str
) -> None:
    app = application(origins)
    for number in range(100):
        ask(app, "/direct", (b"origin", b"https://%d.example" % number))
    exchanges.clear()

    sent = [ask(app, "/direct", (b"origin", FRIEND)) for _ in range(2)]

    assert [*map(allowed, sent)] == [FRIEND, FRIEND]
    assert exchanges == []


def test_all_origins_that_are_not_allowed_are_answered_by_one_plan(exchanges: list[str]) -> None:
    app = application()
    long = b"https://" + b"a" * 600
    plan, _ = app.dispatch("GET", "/direct")
    crossings = plan.crossings
    assert crossings is not None

    sent = [ask(app, "/direct", (b"origin", each)) for each in (b"https://one.example", long)]
    found = [crossings.find([(b"origin", each)]) for each in (b"https://one.example", long)]

    assert [*map(allowed, sent)] == [None, None]
    assert found[0] is found[1] is not plan
    assert exchanges == []


def test_a_request_that_is_refused_is_refused_to_every_origin() -> None:
    app = RestApplication(max_uri=20)
    app.cors(FRIEND.decode())
    app.get("/{name}")(lambda name: {"name": name})

    sent = ask(app, "/" + "a" * 30, (b"origin", FRIEND))

    assert (sent[0]["status"], allowed(sent)) == (414, FRIEND)
