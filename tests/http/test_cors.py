"""Answers to pages of other origins (Fetch standard, "CORS protocol"), whatever the answer is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from answers import JSON, declare_answers, declare_checks

from restmachine import HTTPStatus, RestApplication, Router
from restmachine.decorators import cache_response, skip_auth_check
from restmachine.testing import ClientResponse, TestClient

Serve = Callable[[RestApplication], TestClient]

SERVER = "h11"  # httptools refuses methods that it does not know

FRIEND, STRANGER = "https://app.example.org", "https://evil.example"
EXPOSED = "Content-Length, Content-Type, ETag, Location, X-Request-ID"
HEADERS = "Accept, Accept-Language, Content-Type, Content-Language, Authorization, X-Requested-With"
ALLOWED = "Access-Control-Allow-Origin"
OF_CORS = [
    *(ALLOWED, "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"),
    *("Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"),
]
VARY = re.compile(r"(.*, )?Origin(, .*)?")
NOTHING = dict.fromkeys(OF_CORS, None) | {"Vary": VARY}
READABLE = NOTHING | {
    ALLOWED: FRIEND,
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Expose-Headers": EXPOSED,
}
PREFLIGHT = NOTHING | {
    ALLOWED: FRIEND,
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Headers": HEADERS,
    "Access-Control-Max-Age": "0",
}


def preflight(method: str, origin: str = FRIEND, **fields: str) -> dict[str, str]:
    """Return the fields by which a browser asks whether it may send a request."""
    return {"Origin": origin, "Access-Control-Request-Method": method, **fields}


def application() -> RestApplication:
    """Return an application of which one origin may read everything, and its routers others."""
    app = RestApplication(max_uri=200, max_content=20, clock=lambda: 1000.0)  # nothing ages
    app.cors(FRIEND, credentials=True, max_age=0)
    declare_checks(app)
    declare_answers(app)
    declare_others(app)
    inner, outer = Router(), Router()
    outer.cors(["https://outer.example"], expose_headers=[])
    inner.cors("*", methods=["GET", "PURGE"], allow_headers=["X-Own"], expose_headers=["X-Shown"])

    @inner.get("/things/{thing}")
    async def read(thing: int) -> dict[str, int]:
        return {"thing": thing}

    @outer.get("/beside")
    async def beside() -> None:
        return None

    @inner.get("/closed")
    @app.cors("https://route.example", expose_headers=())
    async def closed() -> str:
        return "closed"

    @inner.put("/closed")
    async def close() -> None:
        return None

    outer.mount("/inner", inner)
    app.mount("/outer", outer)
    return app


def declare_others(app: RestApplication) -> None:
    """Declare what is kept, what answers OPTIONS itself, and what speaks of origins itself."""

    @app.get("/kept")
    @cache_response(max_age=60, server=True, public=True)
    async def kept() -> dict[str, int]:
        return {"a": 1}

    @app.options("/own")
    async def own() -> Any:
        return None, 204, {"Allow": "OPTIONS", "X-Own": "1"}

    @app.put("/own")
    async def put_own() -> None:
        return None

    @app.options("/wide/**")
    async def wide(path: str) -> dict[str, str]:
        return {"path": path}

    @app.put("/wide/x/{number}")
    async def number(number: int) -> None:
        return None

    @app.options("/bypassed", bypass_state_machine=True)
    @skip_auth_check
    async def bypassed() -> dict[str, int]:
        return {"a": 1}

    @app.get("/stated")
    async def stated() -> Any:
        return {}, 200, {ALLOWED: "https://stated.example", "Vary": "Origin, Cookie"}


def from_friend(**fields: str) -> dict[str, str]:
    """Return the fields of a request of a page that may read the answer."""
    return {"Origin": FRIEND, **fields}


CASES = [
    ("cors-200", "GET /data", from_friend(), 200, READABLE),
    ("cors-200-to-a-stranger", "GET /data", {"Origin": STRANGER}, 200, NOTHING),
    ("cors-200-to-a-longer-name", "GET /data", {"Origin": FRIEND + ".evil"}, 200, NOTHING),
    ("cors-200-to-two", "GET /data", {"Origin": f"{FRIEND}, {FRIEND}"}, 200, NOTHING),
    ("cors-200-to-nobody-else", "GET /data", {}, 200, NOTHING),
    ("cors-head", "HEAD /data", from_friend(), 200, READABLE),
    ("cors-201", "POST /data", from_friend(**JSON), 201, READABLE | {"Location": "/data/1"}, b"{}"),
    ("cors-204", "PUT /data", from_friend(), 204, READABLE),
    ("cors-200-tagged", "GET /tagged", from_friend(), 200, READABLE | {"ETag": '"1"'}),
    ("cors-304", "GET /tagged", from_friend(**{"If-None-Match": '"1"'}), 304, READABLE),
    ("cors-304-to-nobody-else", "GET /tagged", {"If-None-Match": '"1"'}, 304, NOTHING),
    ("cors-412", "GET /tagged", from_friend(**{"If-Match": '"2"'}), 412, READABLE),
    ("cors-file", "GET /file", from_friend(), 200, READABLE),
    ("cors-206", "GET /file", from_friend(Range="bytes=0-3"), 206, READABLE),
    ("cors-416", "GET /file", from_friend(Range="bytes=9999999-"), 416, READABLE),
    ("cors-stream", "GET /stream", from_friend(), 200, READABLE),
    ("cors-stream-that-fails", "GET /late", from_friend(), 500, READABLE),
    ("cors-400", "POST /data", from_friend(**JSON), 400, READABLE, b"{"),
    ("cors-401", "GET /data", from_friend(**{"X-Nobody": "1"}), 401, READABLE),
    ("cors-404-without-a-route", "GET /nowhere", from_friend(), 404, READABLE),
    ("cors-404-settled", "GET /nowhere", {}, 404, NOTHING),
    ("cors-404-to-a-stranger", "GET /nowhere", {"Origin": STRANGER}, 404, NOTHING),
    ("cors-404-of-a-handler", "GET /absent", from_friend(), 404, READABLE),
    ("cors-405", "DELETE /data", from_friend(), 405, READABLE),
    ("cors-406", "GET /data", from_friend(Accept="image/png"), 406, READABLE),
    ("cors-413", "POST /data", from_friend(**JSON), 413, READABLE, b'"' + b"a" * 30 + b'"'),
    ("cors-414", f"GET /data?{'a' * 300}", from_friend(), 414, READABLE),
    ("cors-500", "GET /broken", from_friend(), 500, READABLE),
    ("cors-501", "BREW /data", from_friend(), 501, READABLE),
    ("cors-bypass", "GET /bypass", from_friend(), 202, READABLE),
    ("cors-kept", "GET /kept", from_friend(), 200, READABLE),
    ("cors-kept-to-a-stranger", "GET /kept", {"Origin": STRANGER}, 200, NOTHING | {"Age": "0"}),
    ("cors-kept-to-nobody-else", "GET /kept", {}, 200, NOTHING | {"Age": "0"}),
    # What a handler states of origins stays alone: nothing is granted to another one beside it.
    ("cors-stated", "GET /stated", from_friend(), 200,
        NOTHING | {ALLOWED: "https://stated.example", "Vary": "Origin, Cookie, Accept"}),
    ("A2-preflight", "OPTIONS /data", preflight("PUT"), 204, PREFLIGHT | {
        "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS, POST, PUT",
        "Allow": "GET, HEAD, OPTIONS, POST, PUT"}),
    ("A2-preflight-asks-no-authorization", "OPTIONS /data",
        preflight("PUT", **{"X-Nobody": "1"}), 204, PREFLIGHT | {
        "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS, POST, PUT"}),
    ("A2-preflight-for-another-method", "OPTIONS /tagged", preflight("DELETE"), 204,
        PREFLIGHT | {"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS"}),
    ("A2-preflight-of-a-stranger", "OPTIONS /data", preflight("PUT", STRANGER), 204,
        NOTHING | {"Allow": "GET, HEAD, OPTIONS, POST, PUT"}),
    ("A2-options-with-origin-alone", "OPTIONS /data", from_friend(), 204, READABLE),
    ("A2-options-asks-authorization", "OPTIONS /data", from_friend(**{"X-Nobody": "1"}), 401,
        READABLE),
    ("A2-options-without-origin", "OPTIONS /data", {"Access-Control-Request-Method": "PUT"}, 204,
        NOTHING | {"Allow": "GET, HEAD, OPTIONS, POST, PUT"}),
    ("A2-preflight-for-no-path", "OPTIONS /nowhere", preflight("PUT"), 404, READABLE),
    ("A2-options-of-its-own", "OPTIONS /own", from_friend(), 204, READABLE | {"X-Own": "1"}),
    ("A2-options-of-its-own-are-no-preflight", "OPTIONS /own", preflight("OPTIONS"), 204,
        PREFLIGHT | {"Access-Control-Allow-Methods": "OPTIONS, PUT", "X-Own": None,
        "Allow": "OPTIONS, PUT"}),
    ("A2-options-of-all-below", "OPTIONS /wide/x/1", from_friend(), 200, READABLE),
    ("A2-preflight-below-options-of-all", "OPTIONS /wide/x/1", preflight("PUT"), 204,
        PREFLIGHT | {"Access-Control-Allow-Methods": "OPTIONS, PUT", "Allow": "OPTIONS, PUT"}),
    ("A2-preflight-for-options-of-all", "OPTIONS /wide/nowhere", preflight("PUT"), 204,
        PREFLIGHT | {"Access-Control-Allow-Methods": "OPTIONS"}),
    ("A2-options-bypass", "OPTIONS /bypassed", preflight("OPTIONS"), 200, READABLE),
    ("cors-options-of-everything", "OPTIONS *", from_friend(), 204, READABLE),
    ("cors-outer", "GET /outer/beside", {"Origin": "https://outer.example"}, 204,
        NOTHING | {ALLOWED: "https://outer.example"}),
    ("cors-outer-goes-before-the-application", "GET /outer/beside", from_friend(), 204, NOTHING),
    ("cors-404-of-a-level", "GET /outer/lost", {"Origin": "https://outer.example"}, 404,
        NOTHING | {ALLOWED: "https://outer.example"}),
    ("cors-405-of-a-level", "PUT /outer/beside", {"Origin": "https://outer.example"}, 405,
        NOTHING | {ALLOWED: "https://outer.example"}),
    ("cors-segments-bound-a-level", "GET /outerx", {"Origin": "https://outer.example"}, 404,
        NOTHING),
    ("cors-any-origin-is-echoed", "GET /outer/inner/things/1", {"Origin": STRANGER}, 200,
        NOTHING | {ALLOWED: STRANGER, "Access-Control-Expose-Headers": "X-Shown"}),
    ("cors-any-origin-is-one", "GET /outer/inner/things/1", {"Origin": "a, b"}, 200, NOTHING),
    ("cors-any-origin-may-be-null", "GET /outer/inner/things/1", {"Origin": "null"}, 200,
        NOTHING | {ALLOWED: "null", "Access-Control-Expose-Headers": "X-Shown"}),
    ("cors-404-of-a-value", "GET /outer/inner/things/x", {"Origin": STRANGER}, 404,
        NOTHING | {ALLOWED: STRANGER, "Access-Control-Expose-Headers": "X-Shown"}),
    ("A2-preflight-of-an-inner-router", "OPTIONS /outer/inner/things/1",
        preflight("GET", STRANGER), 204, NOTHING | {ALLOWED: STRANGER,
        "Access-Control-Allow-Methods": "GET, PURGE", "Access-Control-Allow-Headers": "X-Own",
        "Access-Control-Max-Age": "86400"}),
    ("cors-of-a-route", "GET /outer/inner/closed", {"Origin": "https://route.example"}, 200,
        NOTHING | {ALLOWED: "https://route.example"}),
    ("cors-of-a-route-head", "HEAD /outer/inner/closed", {"Origin": "https://route.example"}, 200,
        NOTHING | {ALLOWED: "https://route.example"}),
    ("cors-of-a-route-goes-before-the-router", "GET /outer/inner/closed", {"Origin": STRANGER},
        200, NOTHING),
    ("cors-405-beside-a-route", "DELETE /outer/inner/closed", {"Origin": STRANGER}, 405,
        NOTHING | {ALLOWED: STRANGER, "Access-Control-Expose-Headers": "X-Shown"}),
    ("A2-preflight-of-a-route", "OPTIONS /outer/inner/closed",
        preflight("GET", "https://route.example"), 204, NOTHING | {
        ALLOWED: "https://route.example", "Access-Control-Allow-Methods": "GET, HEAD",
        "Access-Control-Allow-Headers": HEADERS, "Access-Control-Max-Age": "86400"}),
    ("A2-preflight-beside-a-route", "OPTIONS /outer/inner/closed",
        preflight("PUT", "https://route.example"), 204, NOTHING | {
        ALLOWED: "https://route.example", "Access-Control-Allow-Methods": "GET, PURGE",
        "Access-Control-Allow-Headers": "X-Own", "Access-Control-Max-Age": "86400"}),
    ("A2-preflight-of-a-route-to-a-stranger", "OPTIONS /outer/inner/closed",
        preflight("GET", STRANGER), 204, NOTHING),
]  # fmt: skip


def test_cors(case: Any, client: TestClient) -> None:
    client.get("/kept", headers={"Origin": FRIEND})  # kept for an origin, sent to others

    response: ClientResponse = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


@pytest.fixture
def app(alone_or_observed: RestApplication) -> RestApplication:
    """Give an application of its own, which somebody may observe."""
    return alone_or_observed


def origin_of(response: ClientResponse) -> tuple[str | None, str | None]:
    """Return for which origin an answer is, and by what it varies."""
    return response.headers.get(ALLOWED), response.headers.joined("Vary")


@pytest.mark.parametrize("blocking", [True, False])
def test_a_handler_on_a_worker_thread_has_the_policy(app: RestApplication, blocking: bool) -> None:
    app.cors(FRIEND)
    app.get("/x", blocking=blocking)(lambda: {"a": 1})
    client = TestClient(app)

    answers = [client.get("/x", headers={"Origin": each}) for each in (FRIEND, STRANGER)]

    assert [*map(origin_of, answers)] == [(FRIEND, "Accept, Origin"), (None, "Accept, Origin")]
    assert origin_of(client.get("/x")) == (None, "Accept, Origin")


def test_requests_that_overlap_get_their_own_origin_each(app: RestApplication) -> None:
    app.cors("*", credentials=True, reflect_any_origin=True)

    @app.dependency()
    async def turn() -> None:
        await asyncio.sleep(0)

    @app.get("/{kind}")
    @cache_response(max_age=60, server=True)
    async def read(kind: str, turn: None) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"kind": kind}

    client = TestClient(app)
    origins = [f"https://{number}.example" for number in range(100)]

    async def ask() -> list[ClientResponse]:
        asking = [
            client.request_async("GET", f"/{number % 3}", headers={"Origin": origin})
            for number, origin in enumerate(origins)
        ]
        return await asyncio.gather(*asking)

    answers = client.run(ask())

    assert [answer.headers[ALLOWED] for answer in answers] == origins


def test_a_kept_answer_that_names_an_origin_is_for_that_one(app: RestApplication) -> None:
    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def read(request_headers: Any) -> Any:
        return {}, 200, {ALLOWED: request_headers["Origin"]}

    client = TestClient(app)

    answers = [client.get("/x", headers={"Origin": each}) for each in (FRIEND, STRANGER, FRIEND)]

    assert [answer.headers[ALLOWED] for answer in answers] == [FRIEND, STRANGER, FRIEND]
    assert [answer.headers.get("Age") for answer in answers] == [None, None, "0"]


def test_an_error_handler_and_default_fields_stand_beside_the_policy(app: RestApplication) -> None:
    app.cors(FRIEND)

    @app.handles_error(404)
    async def lost() -> Any:
        return {"lost": True}, 404, {"X-Lost": "1", "Vary": "Cookie"}

    @app.default_headers
    async def defaults() -> dict[str, str]:
        return {ALLOWED: "*", "X-Default": "1", "Vary": "X-Version"}

    answer = TestClient(app).get("/nowhere", headers={"Origin": FRIEND})

    assert (answer.status, answer.json()) == (404, {"lost": True})
    assert (answer.headers["X-Lost"], answer.headers["X-Default"]) == ("1", "1")
    assert answer.headers.get_all(ALLOWED) == [FRIEND]
    assert {*answer.headers["Vary"].split(", ")} == {"Accept", "Cookie", "Origin", "X-Version"}


def test_a_teardown_that_fails_leaves_the_policy(app: RestApplication) -> None:
    app.cors(FRIEND)

    @app.dependency()
    async def transaction() -> AsyncIterator[None]:
        yield
        raise RuntimeError("the commit failed")

    @app.get("/x")
    async def read(transaction: None) -> dict[str, int]:
        return {"a": 1}

    answer = TestClient(app).get("/x", headers={"Origin": FRIEND})

    assert answer.status == 500
    assert origin_of(answer) == (FRIEND, "Accept, Origin")


async def absent_file() -> Path:
    return Path("/no/such/file")


@pytest.mark.parametrize("content", [absent_file, lambda: Path("/no/such/file"), lambda: iter([1])])
def test_an_error_handler_whose_answer_cannot_be_sent_leaves_the_policy(
    app: RestApplication, content: Callable[[], Any]
) -> None:
    app.cors(FRIEND)
    app.handles_error(404)(content)

    answer = TestClient(app).get("/nowhere", headers={"Origin": FRIEND})

    assert answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR)
    assert origin_of(answer)[0] == FRIEND


def test_a_second_stream_that_fails_leaves_the_policy(app: RestApplication) -> None:
    app.cors(FRIEND)
    app.get("/late")(lambda: iter([1]))
    app.handles_error(500)(lambda: iter([2]))

    answer = TestClient(app).get("/late", headers={"Origin": FRIEND})

    assert answer.status == 500
    assert origin_of(answer) == (FRIEND, "Accept, Origin")


def test_a_route_without_a_policy_says_nothing_of_origins(app: RestApplication) -> None:
    router = Router()
    router.cors("*")
    app.mount("/open", router)
    app.get("/x")(lambda: {"a": 1})

    answer = TestClient(app).get("/x", headers={"Origin": FRIEND})

    assert origin_of(answer) == (None, "Accept")
    assert not any(name in answer.headers for name in OF_CORS)


@pytest.mark.parametrize("blocking", [True, False])
def test_an_origin_that_a_teardown_names_gets_no_credentials_of_the_policy(
    app: RestApplication, blocking: bool
) -> None:
    app.cors(FRIEND, credentials=True)

    @app.dependency(blocking=blocking)
    def embedded() -> Any:
        yield
        return {ALLOWED.lower(): STRANGER}

    app.get("/x", blocking=blocking)(lambda embedded: {"a": 1})

    answer = TestClient(app).get("/x", headers={"Origin": FRIEND})

    assert answer.headers.get_all(ALLOWED) == [STRANGER]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Expose-Headers" not in answer.headers
    assert origin_of(answer)[1] == "Accept, Origin"
