"""The direct way answers as the plan does step by step, and no request goes it that must not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from restmachine import (
    ASGIAdapter,
    CSPPreset,
    Request,
    Response,
    RestApplication,
    Router,
)
from restmachine.errors import NotFound
from restmachine.representations import encode_data, encode_json
from tests.restmachine.ways import Messages, messages_of, step_by_step

UNWRITABLE = object()  # one, as its address is written into HTML

RESULTS: dict[str, Callable[[], Any]] = {
    "dict": lambda: {"a": 1},
    "list": lambda: [1, "ä"],
    "empty": list,
    "none": lambda: None,
    "text": lambda: "text",
    "bytes": lambda: b"bytes",
    "tuple": lambda: ({"a": 1}, 202, {"X-Own": "1"}),
    "response": lambda: Response(404, '{"error": "none"}'),
    "stream": lambda: iter([b"one", b"two"]),
    "odd-keys": lambda: {1: 2},
    "decimal": lambda: {"price": Decimal("1.50")},
    "unwritable": lambda: {"a": UNWRITABLE},
    "large-integer": lambda: {"a": 2**70},
}


def failing(kind: type[Exception], *words: str) -> Callable[[], Any]:
    def fail() -> Any:
        raise kind(*words)

    return fail


FAILURES: dict[str, Callable[[], Any]] = {
    "value-error": failing(ValueError, "secret"),
    "bug": failing(RuntimeError, "secret"),
    "not-found": failing(NotFound, "no such thing"),
    "forbidden": failing(PermissionError),
}
FRIEND = b"https://app.example.org"
PATHS = [*RESULTS, *FAILURES, "items/7", "items/x", "shared", "pool", "checked", "nowhere/at/all"]


def application() -> RestApplication:
    app = RestApplication()
    for name, give in {**RESULTS, **FAILURES}.items():

        @app.get(f"/{name}")
        async def get(give: Callable[[], Any] = give) -> Any:
            return give()

        @app.post(f"/{name}", blocking=False)
        def post(give: Callable[[], Any] = give) -> Any:
            return give()

    @app.dependency()
    async def limit() -> int:
        return 20

    @app.dependency(blocking=False)
    def page(limit: int) -> dict[str, int]:
        return {"limit": limit}

    @app.on_startup
    async def pool() -> str:
        return "a pool"

    @app.resource_exists
    async def checked() -> None:
        return None

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"id": item_id}

    @app.get("/shared")
    async def shared(page: dict[str, int], limit: int) -> list[Any]:
        return [page, limit]

    @app.get("/pool")
    async def pooled(pool: str) -> dict[str, str]:
        return {"pool": pool}

    @app.get("/checked")
    async def check(checked: Any) -> dict[str, Any]:
        return {"is": checked}

    add_checked_routes(app)
    return app


def add_checked_routes(app: RestApplication) -> None:
    @app.authorized
    async def user(request_headers: Any) -> str | None:
        return request_headers.get("Authorization")

    @app.forbidden
    async def banned(user: str) -> bool:
        return user == "mallory"

    @app.resource_exists
    async def article(article_id: str) -> dict[str, str] | None:
        return None if article_id == "none" else {"id": article_id}

    @app.generate_etag
    async def tag(article: dict[str, str]) -> Any:
        if article["id"] == "failing":
            raise KeyError("tag")
        return {"tagless": None, "broken": "a b"}.get(article["id"], article["id"])

    @app.conflict
    async def taken(article: dict[str, str]) -> bool:
        return article["id"] == "taken"

    @app.get("/articles/{article_id}")
    async def read(article: dict[str, str], user: str, banned: bool) -> dict[str, str]:
        return {**article, "user": user}

    @app.put("/articles/{article_id}")
    async def write(article: dict[str, str], json_body: Any, taken: bool) -> Any:
        return {"was": article, "is": json_body}

    @app.delete("/articles/{article_id}")
    async def remove(article: dict[str, str]) -> None:
        return None

    @app.post("/articles")
    async def create(json_body: Any, request: Request) -> Any:
        return {"is": json_body, "path": request.path}, 201

    @app.dependency()
    async def missing(article_id: str) -> str:
        if article_id in ("lost", "failing"):
            raise NotFound
        return article_id

    @app.get("/late/{article_id}")
    async def late(article: dict[str, str], missing: str) -> dict[str, str]:
        article["id"] = f"{missing}-read"
        return article

    @app.get("/stated/{article_id}")
    async def state(article: dict[str, str], response_headers: Any) -> dict[str, str]:
        response_headers["X-Stated"] = "read"
        return article

    @app.post("/stated")
    async def state_made(json_body: Any, response_headers: Any) -> Any:
        response_headers["Location"] = "/stated/1"
        response_headers.add("Set-Cookie", "made=1")
        return json_body

    @app.dependency()
    async def traced(article: dict[str, str], response_headers: Any) -> dict[str, str]:
        response_headers["X-Stated"] = "before"
        return article

    @app.generate_etag
    async def traced_tag(traced: dict[str, str]) -> str:
        return traced["id"]

    @app.get("/traced/{article_id}")
    async def trace(traced: dict[str, str]) -> dict[str, str]:
        return traced

    @app.post("/forms", max_content=20)
    async def form(form_body: Any) -> Any:
        return {"is": form_body}


CHECKED_PATHS = [
    *("articles/1", "articles/none", "articles/tagless", "articles/broken", "articles/taken"),
    *("articles", "forms", "late/1", "late/lost", "late/failing", "articles/failing"),
    *("stated/1", "stated", "traced/1", "traced/none"),
]


def policed() -> RestApplication:
    """Return the same application with response policies, some constant and some asked for."""
    app = application()
    app.cors(FRIEND.decode(), credentials=True, max_age=0)
    app.csp(preset=CSPPreset.STRICT)
    router = Router()
    router.csp(img_src=lambda: ["data:"], report_uri="/reports")
    router.get("/data")(answer_data)
    router.get("/stated")(answer_stated)
    app.mount("/asked", router)
    app.get("/stated-policy")(answer_stated)

    @app.get("/own-policy")
    @app.cors("*", expose_headers=())
    async def own() -> dict[str, int]:
        return {"a": 1}

    return app


async def answer_data() -> dict[str, int]:
    return {"a": 1}


async def answer_stated() -> Any:
    return {}, 200, {"Content-Security-Policy": "sandbox", "Vary": "Cookie"}


POLICED_PATHS = ["asked/data", "asked/stated", "asked/none", "stated-policy", "own-policy"]


def defaulting() -> RestApplication:
    """Return the same application with functions for header fields, some of which fail."""
    app = application()
    app.cors(FRIEND.decode())

    @app.default_headers
    async def constant() -> dict[str, str]:
        return {"X-Default": "outer", "Vary": "Cookie", "ETag": '"0"', "Content-Length": "0"}

    router = Router()

    @router.default_headers(blocking=False)
    def several() -> list[tuple[str, Any]]:
        return [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Default", 2), ("Vary", "Origin")]

    @router.default_headers
    async def broken() -> dict[str, str]:
        raise LookupError("broken on purpose")

    router.get("/data")(answer_data)
    router.get("/stated")(answer_stated)
    app.mount("/several", router)
    asking = Router()

    @asking.default_headers
    async def path(request: Request) -> dict[str, str]:
        return {"X-Path": request.path}

    asking.get("/data")(answer_data)
    app.mount("/asking", asking)
    return app


DEFAULTED_PATHS = ["several/data", "several/stated", "several/none", "asking/data"]


DIRECT, PLAIN = ASGIAdapter(application()), step_by_step(application())
BOTH_WAYS = [
    (DIRECT, PLAIN),
    (ASGIAdapter(policed()), step_by_step(policed())),
    (ASGIAdapter(defaulting()), step_by_step(defaulting())),
]


FIELDS = st.sampled_from(
    [
        (b"host", b"example.org"),
        (b"accept", b"*/*"),
        (b"accept", b"application/json"),
        (b"accept", b"text/html, */*;q=0.1"),
        (b"accept", b"image/png"),
        (b"accept", b"a" * 600),
        (b"if-match", b"*"),
        (b"if-none-match", b"*"),
        (b"if-modified-since", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (b"range", b"bytes=0-1"),
        (b"origin", FRIEND),
        (b"origin", b"https://evil.example"),
        (b"access-control-request-method", b"GET"),
    ]
)


@given(
    st.sampled_from(BOTH_WAYS),
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "BREW"]),
    st.sampled_from([*PATHS, *POLICED_PATHS, *DEFAULTED_PATHS]),
    st.lists(FIELDS, max_size=4),
)
@example(BOTH_WAYS[1], "GET", "dict", [])
@example(BOTH_WAYS[1], "GET", "dict", [(b"origin", FRIEND)])
@example(BOTH_WAYS[1], "GET", "own-policy", [])
@example(BOTH_WAYS[1], "GET", "nowhere/at/all", [])
@example(BOTH_WAYS[1], "GET", "nowhere/at/all", [(b"origin", FRIEND)])
@example(BOTH_WAYS[1], "GET", "asked/data", [])
@example(BOTH_WAYS[2], "GET", "dict", [])
@example(BOTH_WAYS[2], "GET", "several/data", [])
@example(BOTH_WAYS[2], "GET", "several/stated", [(b"origin", FRIEND)])
@example(BOTH_WAYS[2], "GET", "asking/data", [])
def test_the_direct_way_answers_as_the_steps_do(
    ways: tuple[ASGIAdapter, ASGIAdapter], method: str, path: str, headers: Any
) -> None:
    shortest, steps = ways

    async def both() -> tuple[Messages, Messages]:
        # Twice, for what is kept of a first answer is sent to the next one.
        await messages_of(shortest, method, f"/{path}", headers)
        return (
            await messages_of(shortest, method, f"/{path}", headers),
            await messages_of(steps, method, f"/{path}", headers),
        )

    direct, plain = asyncio.run(both())

    assert direct == plain


CHECKED_FIELDS = st.sampled_from(
    [
        *((b"authorization", b"ada"), (b"authorization", b"mallory")),
        *((b"accept", b"*/*"), (b"accept", b"image/png")),
        *((b"if-none-match", b'"1"'), (b"if-none-match", b'W/"1", "2"'), (b"if-none-match", b"*")),
        *((b"if-match", b'"1"'), (b"if-match", b'"2"'), (b"range", b"bytes=0-1")),
        (b"if-modified-since", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        *((b"origin", FRIEND), (b"origin", b"https://evil.example")),
    ]
)
CONTENTS = st.sampled_from(
    [
        (),
        (b"",),
        (b'{"a":1}',),
        (b'{"a"', b":1}"),
        (b"{",),
        (b"a=1&b=2",),
        (b"a=" + b"1" * 30,),
    ]
)
TYPES = st.sampled_from(
    [
        None,
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/x-www-form-urlencoded",
        b"image/png",
    ]
)


@given(
    st.sampled_from(BOTH_WAYS),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
    st.sampled_from(CHECKED_PATHS),
    st.lists(CHECKED_FIELDS, max_size=3),
    CONTENTS,
    TYPES,
    st.sampled_from([True, True, True, False]),
)
@example(BOTH_WAYS[0], "GET", "late/failing", [], (), None, True)
@example(BOTH_WAYS[0], "GET", "late/1", [], (), None, True)
@example(BOTH_WAYS[0], "GET", "stated/1", [], (), None, True)
@example(BOTH_WAYS[0], "POST", "stated", [], (b"{}",), b"application/json", True)
@example(BOTH_WAYS[0], "GET", "traced/1", [], (), None, True)
@example(BOTH_WAYS[0], "GET", "traced/1", [(b"if-none-match", b'"1"')], (), None, True)
@example(BOTH_WAYS[1], "GET", "traced/1", [(b"if-none-match", b'"1"')], (), None, True)
@example(BOTH_WAYS[1], "GET", "stated/1", [(b"origin", FRIEND)], (), None, True)
@example(BOTH_WAYS[2], "GET", "traced/1", [(b"if-none-match", b'"1"')], (), None, True)
def test_the_checked_way_answers_as_the_steps_do(
    ways: tuple[ASGIAdapter, ASGIAdapter],
    method: str,
    path: str,
    headers: Any,
    pieces: tuple[bytes, ...],
    media_type: bytes | None,
    is_framed: bool,
) -> None:
    length = b"%d" % len(b"".join(pieces))
    framing = (b"content-length", length) if is_framed else (b"transfer-encoding", b"chunked")
    fields = [*headers, *([framing] if pieces else [])]
    fields += [(b"content-type", media_type)] if media_type else []

    async def both() -> tuple[Messages, Messages]:
        shortest, steps = ways
        return (
            await messages_of(shortest, method, f"/{path}", fields, *pieces),
            await messages_of(steps, method, f"/{path}", fields, *pieces),
        )

    direct, plain = asyncio.run(both())

    assert direct == plain


@pytest.mark.parametrize(
    ("method", "path", "fields", "content", "status"),
    [
        ("GET", "/articles/1", [(b"authorization", b"ada")], b"", 200),
        ("GET", "/articles/1", [(b"authorization", b"a"), (b"if-none-match", b'"1"')], b"", 304),
        ("PUT", "/articles/1", [(b"content-type", b"application/json")], b'{"a":1}', 200),
        ("POST", "/articles", [(b"content-type", b"application/json")], b'{"a":1}', 201),
    ],
)
def test_the_usual_takes_no_step(
    method: str, path: str, fields: Any, content: bytes, status: int, stepped: list[str]
) -> None:
    length = [(b"content-length", b"%d" % len(content))] if content else []

    sent = asyncio.run(messages_of(DIRECT, method, path, [*fields, *length], content))

    assert sent[0]["status"] == status
    assert stepped == []


@pytest.mark.parametrize("path", ["/dict", "/articles/1", "/several/data"])
def test_functions_for_header_fields_that_ask_for_nothing_take_no_step(
    path: str, stepped: list[str]
) -> None:
    authorized = [(b"authorization", b"ada")]

    sent = asyncio.run(messages_of(BOTH_WAYS[2][0], "GET", path, authorized))

    assert b"x-default" in dict(sent[0]["headers"])
    assert stepped == []


@pytest.mark.parametrize("path", ["dict", "text", "tuple", "bug", "articles/1", "nowhere"])
def test_a_function_for_header_fields_is_called_once(path: str) -> None:
    app, calls = application(), []

    @app.default_headers
    async def fields() -> None:
        calls.append(1)

    asyncio.run(messages_of(ASGIAdapter(app), "GET", f"/{path}", [(b"authorization", b"ada")]))

    assert len(calls) == 1


def test_a_callback_that_refuses_is_called_once(stepped: list[str]) -> None:
    app, calls = RestApplication(), []

    @app.default_authorized
    async def nobody() -> bool:
        calls.append(1)
        return False

    @app.get("/x")
    async def handler() -> dict[str, int]:
        return {"a": 1}

    sent = asyncio.run(messages_of(ASGIAdapter(app), "GET", "/x", []))

    assert sent[0]["status"] == 401
    assert len(calls) == 1


@pytest.mark.parametrize("path", ["dict", "list", "items/7", "shared", "decimal", "odd-keys"])
def test_data_is_sent_without_an_exchange(path: str, exchanges: list[str]) -> None:
    sent = asyncio.run(messages_of(DIRECT, "GET", f"/{path}", [(b"accept", b"*/*")]))

    assert sent[0]["status"] == 200
    assert exchanges == []


@pytest.mark.parametrize(
    "field",
    [
        (b"if-none-match", b'"a"'),
        (b"if-match", b"*"),
        (b"range", b"bytes=0-0"),
        (b"accept", b"image/png"),
    ],
)
def test_a_field_that_a_decision_asks_for_leads_into_the_plan(
    field: tuple[bytes, bytes], exchanges: list[str]
) -> None:
    asyncio.run(messages_of(DIRECT, "GET", "/dict", [field]))

    assert exchanges == ["/dict"]


def test_what_was_made_before_a_failure_is_not_made_again() -> None:
    app, made = RestApplication(), []

    @app.dependency()
    async def counted() -> int:
        made.append(1)
        return len(made)

    @app.handles_error(500)
    async def explain(counted: int) -> dict[str, int]:
        return {"counted": counted}

    @app.get("/x")
    async def handler(counted: int) -> None:
        raise RuntimeError

    sent = asyncio.run(messages_of(ASGIAdapter(app), "GET", "/x", []))

    assert sent[1]["body"] == b'{"counted":1}'


def test_what_answers_an_error_may_need_what_the_route_does_not() -> None:
    app = RestApplication(blocking=False)
    app.dependency(name="note")(lambda: "noted")
    app.get("/broken")(failing(RuntimeError))

    @app.handles_error(500)
    def explain(note: str) -> dict[str, str]:
        return {"note": note}

    sent = asyncio.run(messages_of(ASGIAdapter(app), "GET", "/broken", []))

    assert sent[1]["body"] == b'{"note":"noted"}'


def test_a_settled_answer_is_made_once_for_each_accept_field(exchanges: list[str]) -> None:
    adapter = ASGIAdapter(RestApplication())

    async def ask() -> list[Messages]:
        accepts = (b"*/*", b"text/plain", b"*/*", b"text/plain")
        return [await messages_of(adapter, "GET", "/x", [(b"accept", each)]) for each in accepts]

    answers = asyncio.run(ask())

    assert exchanges == ["/x", "/x"]
    assert answers[:2] == answers[2:]
    assert answers[0] != answers[1]


def test_what_middleware_adds_to_a_settled_answer_stays_with_that_response() -> None:
    adapter = ASGIAdapter(RestApplication())

    async def ask() -> tuple[Messages, Messages]:
        await messages_of(adapter, "GET", "/x", [])
        first = await messages_of(adapter, "GET", "/x", [])
        first[0]["headers"].append((b"x-added", b"1"))
        return first, await messages_of(adapter, "GET", "/x", [])

    first, second = asyncio.run(ask())

    assert (b"x-added", b"1") not in second[0]["headers"]
    assert first[0]["status"] == second[0]["status"] == 404


def test_settled_answers_take_a_bounded_place() -> None:
    app = RestApplication()
    adapter = ASGIAdapter(app)

    async def ask() -> None:
        for number in range(200):
            await messages_of(adapter, "GET", "/x", [(b"accept", b"a/b%d" % number)])

    asyncio.run(ask())

    plan, _ = app.dispatch("GET", "/x")
    assert plan.settled is not None
    assert len(plan.settled) == 64


def test_a_resource_that_was_not_made_yet_is_made_by_the_plan(exchanges: list[str]) -> None:
    app = RestApplication()

    @app.on_startup
    async def pool() -> str:
        return "made"

    @app.get("/x")
    async def read(pool: str) -> dict[str, str]:
        return {"pool": pool}

    adapter = ASGIAdapter(app)

    async def ask() -> list[Messages]:
        return [await messages_of(adapter, "GET", "/x", []) for _ in range(2)]

    first, second = asyncio.run(ask())

    assert first == second
    assert first[1]["body"] == b'{"pool":"made"}'
    assert exchanges == ["/x"]


def test_a_checked_route_waits_for_a_resource_of_its_handler_alone() -> None:
    app = RestApplication()

    @app.on_startup
    async def pool() -> str:
        return "made"

    @app.authorized
    async def user() -> str:
        return "ada"

    @app.get("/x")
    async def read(user: str, pool: str) -> dict[str, str]:
        return {"pool": pool}

    sent = asyncio.run(messages_of(ASGIAdapter(app), "GET", "/x", []))

    assert sent[1]["body"] == b'{"pool":"made"}'


class Price(BaseModel):
    amount: float
    exact: Decimal
    name: str
    at: datetime
    tags: dict[str, list[int]]


@given(
    st.builds(
        Price,
        amount=st.floats(),
        exact=st.decimals(allow_nan=False, allow_infinity=False),
        name=st.text(st.characters(exclude_categories=["Cs"])),
        at=st.datetimes(timezones=st.just(UTC)),
        tags=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.just([1])),
    )
)
def test_a_model_is_written_as_its_fields_are(price: Price) -> None:
    assert encode_data(price) == encode_json(price.model_dump(mode="json"))


@pytest.mark.parametrize("returned", ["text", {"name": "Ada"}, None])
def test_what_is_no_model_is_not_taken_for_one(returned: Any) -> None:
    app = RestApplication()

    @app.validates
    async def model(json_body: Any) -> Any:
        return returned

    @app.post("/x")
    async def handler(model: Any) -> dict[str, str]:
        return {"taken": str(model)}

    fields = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    sent = asyncio.run(messages_of(ASGIAdapter(app), "POST", "/x", fields, b"{}"))

    assert sent[0]["status"] == 500
