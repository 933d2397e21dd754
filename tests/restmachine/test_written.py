"""What is written down for a route finishes what it started, as the steps of its plan do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from types import FunctionType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restmachine import ASGIAdapter, CSPPreset, NotFound, RestApplication
from restmachine.representations import JSON
from tests.restmachine.ways import Messages, messages_of, scope_of, step_by_step

Events = list[Any]


def application(events: Events) -> RestApplication:
    """Return an application of generator dependencies that write down what happens to them.

    What they do in the end stands in the path: ``/kind/outcome``.
    """
    app = RestApplication(blocking=False)

    def conclude(outcome: str) -> Any:
        if outcome == "fail":
            raise RuntimeError("failed in the end")
        return {
            "state": {"X-Finished": "yes", "Vary": "Cookie"},
            "misstate": {"X-Finished": "two\r\nlines"},
        }.get(outcome)

    @app.dependency()
    def first(outcome: str) -> Iterator[str]:
        events.append("first")
        try:
            yield "first"
        except BaseException as error:
            events.append(f"first: {error!r}")
            if outcome != "swallow":
                raise
        else:
            events.append("first ends")
            return conclude(outcome)

    @app.dependency()
    async def second(first: str, outcome: str) -> AsyncIterator[str]:
        if outcome == "nothing":
            return
        events.append("second")
        try:
            yield f"{first} second"
        except BaseException as error:
            events.append(f"second: {error!r}")
            raise
        events.append("second ends")
        if outcome == "twice":
            yield "again"
        if outcome == "fail-async":
            raise NotFound

    add_routes(app, events)
    return app


def add_routes(app: RestApplication, events: Events) -> None:
    @app.resource_exists
    async def thing(second: str, outcome: str) -> str | None:
        return None if outcome == "none" else second

    @app.generate_etag
    def tag(thing: str, first: str) -> str:
        return "1" if first else thing

    @app.get("/plain/{outcome}")
    async def plain(second: str, outcome: str) -> Any:
        events.append("handler")
        return {"error": lambda: 1 / 0, "text": lambda: "text"}.get(outcome, lambda: [second])()

    @app.get("/inner/{outcome}")
    def inner(first: str) -> dict[str, str]:
        events.append("handler")
        return {"first": first}

    @app.get("/thing/{outcome}")
    async def read(thing: str) -> Any:
        events.append("handler")
        return {"thing": thing}

    @app.post("/thing/{outcome}")
    async def change(thing: str, json_body: Any, response_headers: Any) -> Any:
        response_headers["X-Stated"] = "by the handler"
        return {"thing": thing, "body": json_body}, 202

    @app.put("/thing/{outcome}")
    async def put(second: str, json_body: Any) -> Any:
        return {"thing": second, "body": json_body}

    @app.dependency()
    async def third(outcome: str) -> AsyncIterator[str]:
        events.append("third")
        yield outcome
        events.append("third ends")

    @app.generate_etag
    async def third_tag(third: str) -> str:
        return third

    @app.get("/shared/{outcome}")
    async def share(third: str) -> list[str]:
        events.append("handler")
        return [third]

    @app.get("/waits/{outcome}")
    async def waits(second: str) -> None:
        events.append("waits")
        await asyncio.Event().wait()


def policed(events: Events) -> RestApplication:
    app = application(events)
    app.cors("https://app.example.org")
    app.csp(preset=CSPPreset.STRICT)
    return app


def defaulting(events: Events) -> RestApplication:
    app = application(events)

    @app.default_headers
    async def fields() -> dict[str, str]:
        events.append("fields")
        return {"X-Default": "yes"}

    @app.handles_error(500)
    async def broken() -> dict[str, str]:
        return {"is": "broken"}

    return app


OUTCOMES = [
    *("usual", "fail", "fail-async", "state", "misstate", "swallow", "twice", "nothing", "none"),
    *("error", "text"),
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(
    st.sampled_from([application, policed, defaulting]),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(["plain", "inner", "thing", "shared"]),
    st.sampled_from(OUTCOMES),
    st.lists(
        st.sampled_from(
            [
                *((b"if-none-match", b'"1"'), (b"if-none-match", b'"2"')),
                *((b"accept", b"*/*"), (b"accept", b"image/png")),
                (b"origin", b"https://app.example.org"),
            ]
        ),
        max_size=2,
    ),
    st.sampled_from([(), (b"{}",), (b"[", b"]"), (b"{",)]),
)
def test_what_was_started_is_finished_as_by_the_steps(
    make: Callable[[Events], RestApplication],
    method: str,
    kind: str,
    outcome: str,
    headers: Any,
    pieces: tuple[bytes, ...],
) -> None:
    fields = [*headers]
    if pieces:
        length = b"%d" % len(b"".join(pieces))
        fields += [(b"content-length", length), (b"content-type", b"application/json")]

    def outcome_of(adapt: Callable[[RestApplication], ASGIAdapter]) -> tuple[Messages, Events]:
        events: Events = []
        adapter = adapt(make(events))
        sent = asyncio.run(messages_of(adapter, method, f"/{kind}/{outcome}", fields, *pieces))
        return sent, events

    assert outcome_of(ASGIAdapter) == outcome_of(step_by_step)


@pytest.mark.parametrize(
    ("method", "path", "fields", "status"),
    [
        ("GET", "/plain/usual", [], 200),
        ("GET", "/inner/state", [], 200),
        ("GET", "/thing/usual", [(b"if-none-match", b'"1"')], 304),
        ("PUT", "/thing/usual", [], 200),
    ],
)
def test_a_usual_request_of_a_generator_takes_no_step(
    method: str, path: str, fields: Any, status: int, stepped: list[str]
) -> None:
    events: Events = []

    sent = asyncio.run(messages_of(ASGIAdapter(application(events)), method, path, fields))

    assert sent[0]["status"] == status
    assert "first ends" in events
    assert stepped == []


@pytest.mark.parametrize("fields", [[], [(b"if-none-match", b'"usual"')]])
def test_what_the_handler_and_the_tag_ask_for_is_made_once(fields: Any) -> None:
    events: Events = []

    asyncio.run(messages_of(ASGIAdapter(application(events)), "GET", "/shared/usual", fields))

    assert events.count("third") == 1


@pytest.mark.parametrize("adapt", [ASGIAdapter, step_by_step])
def test_a_cancelled_request_finishes_what_it_started(
    adapt: Callable[[RestApplication], ASGIAdapter],
) -> None:
    events: Events = []

    async def run() -> None:
        serving = asyncio.ensure_future(
            messages_of(adapt(application(events)), "GET", "/waits/usual", [])
        )
        while "waits" not in events:  # noqa: ASYNC110 - an event would belong to another loop
            await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(run())

    ends = ["second: CancelledError()", "first: CancelledError()"]
    assert events == ["first", "second", "waits", *ends]


def test_the_content_is_there_before_a_generator_starts() -> None:
    app, events = RestApplication(), []

    @app.dependency()
    async def session() -> AsyncIterator[str]:
        events.append("session")
        yield "open"

    @app.post("/x")
    async def create(session: str, json_body: Any) -> Any:
        return {"is": json_body}

    async def receive() -> dict[str, Any]:
        events.append("receive")
        more = events.count("receive") < 2
        return {"type": "http.request", "body": b"1", "more_body": more}

    async def send(message: Any) -> None:
        events.append(message["type"])

    scope = scope_of("POST", "/x", [(b"content-length", b"2"), (b"content-type", JSON.encode())])
    asyncio.run(ASGIAdapter(app)(scope, receive, send))

    assert events[:3] == ["receive", "receive", "session"]


def test_dependencies_may_be_a_long_chain() -> None:
    app, names = RestApplication(), {"level0": lambda: 0}
    for level in range(1, 100):
        exec(f"async def level{level}(level{level - 1}): return level{level - 1} + 1", names)
    exec("async def read(level99): return [level99]", names)
    for level in range(100):
        app.dependency(blocking=False)(named(names[f"level{level}"], f"level{level}"))
    app.get("/x")(names["read"])

    sent = asyncio.run(messages_of(ASGIAdapter(app), "GET", "/x", []))

    assert sent[1]["body"] == b"[99]"
    assert app.dispatch("GET", "/x")[0].written is not None


def test_a_route_with_more_checks_than_python_can_indent_is_answered() -> None:
    app = RestApplication()
    for number in range(120):
        app.authorized(named(allow, f"check{number}"))
    names: dict[str, Any] = {}
    checks = ", ".join(f"check{number}" for number in range(120))
    exec(f"async def read({checks}): return [check119]", names)
    app.get("/x")(names["read"])

    sent = asyncio.run(messages_of(ASGIAdapter(app), "GET", "/x", []))

    assert sent[1]["body"] == b"[true]"


async def allow() -> bool:
    return True


def named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function of that name which does the same."""
    code = function.__code__.replace(co_name=name)
    return FunctionType(code, function.__globals__, name)


def test_routes_of_one_shape_share_their_code() -> None:
    app = RestApplication()

    @app.dependency()
    async def one() -> int:
        return 1

    @app.dependency()
    async def two() -> int:
        return 2

    @app.get("/one")
    async def read_one(one: int) -> list[int]:
        return [one]

    @app.get("/two")
    async def read_two(two: int) -> list[int]:
        return [two]

    written = [app.dispatch("GET", path)[0].written for path in ("/one", "/two")]

    assert written[0] is not written[1]
    assert written[0].__code__ is written[1].__code__  # type: ignore[union-attr]


def test_a_traceback_shows_what_was_written(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(messages_of(ASGIAdapter(application([])), "GET", "/plain/error", []))

    shown = [line.strip() for line in caplog.text.splitlines()]
    at = next(at for at, line in enumerate(shown) if "<restmachine way" in line)
    assert shown[at + 1].startswith("result = await f")
