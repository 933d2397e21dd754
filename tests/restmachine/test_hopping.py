"""The direct way over a worker thread, held to the steps of the plan."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from restmachine import ASGIAdapter, RestApplication
from restmachine.departures import PATIENCE_SECONDS
from tests.restmachine.test_direct import FAILURES, FIELDS, FRIEND, RESULTS
from tests.restmachine.ways import Messages, messages_of

PATHS = [*RESULTS, *FAILURES, "items/7", "items/x", "mixed", "waits", "broken", "looped"]


def application() -> RestApplication:
    app = RestApplication()
    for name, give in {**RESULTS, **FAILURES}.items():

        @app.get(f"/{name}")
        def get(give: Callable[[], Any] = give) -> Any:
            return give()

    @app.dependency()
    async def limit() -> int:
        return 20

    @app.dependency()
    def page(limit: int) -> dict[str, Any]:
        return {"limit": limit, "on the loop": in_loop()}

    @app.dependency()
    async def later(page: dict[str, int]) -> dict[str, Any]:
        return {"later": page, "on the loop": in_loop()}

    @app.dependency()
    async def failed() -> None:
        raise RuntimeError("secret")

    @app.get("/items/{item_id}")
    def item(item_id: int) -> dict[str, Any]:
        return {"id": item_id, "on the loop": in_loop()}

    @app.get("/mixed")
    def mixed(limit: int, page: dict[str, int]) -> list[Any]:
        return [limit, page]

    @app.get("/waits")
    def waits(later: dict[str, Any]) -> dict[str, Any]:
        return later

    @app.get("/broken")
    def broken(failed: None) -> None:
        return None

    @app.get("/looped")
    async def looped(page: dict[str, int]) -> list[Any]:
        return [page, in_loop()]

    return app


def in_loop() -> bool:
    """Return whether this runs where an event loop runs."""
    return asyncio._get_running_loop() is not None


def policed() -> RestApplication:
    app = application()
    app.cors(FRIEND.decode())
    app.csp(default_src=["self"])
    return app


def step_by_step(app: RestApplication) -> ASGIAdapter:
    with patch("restmachine.plan.find_hopping", return_value=None):
        assert app.compiled
    return ASGIAdapter(app)


HOPPING = ASGIAdapter(application())
BOTH_WAYS = [
    (HOPPING, step_by_step(application())),
    (ASGIAdapter(policed()), step_by_step(policed())),
]


@given(
    st.sampled_from(BOTH_WAYS),
    st.sampled_from(["GET", "HEAD"]),
    st.sampled_from(PATHS),
    st.lists(FIELDS, max_size=4),
)
@example(BOTH_WAYS[1], "GET", "dict", [])
@example(BOTH_WAYS[1], "GET", "dict", [(b"origin", FRIEND)])
def test_the_hopping_way_answers_as_the_steps_do(
    ways: tuple[ASGIAdapter, ASGIAdapter], method: str, path: str, headers: Any
) -> None:
    shortest, steps = ways

    async def both() -> tuple[Messages, Messages]:
        return (
            await messages_of(shortest, method, f"/{path}", headers),
            await messages_of(steps, method, f"/{path}", headers),
        )

    hopping, plain = asyncio.run(both())

    assert hopping == plain


@pytest.mark.parametrize("path", ["dict", "items/7", "mixed"])
def test_data_of_a_worker_is_sent_without_an_exchange(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr("restmachine.asgi.ASGIExchange", made.append)

    sent = asyncio.run(messages_of(HOPPING, "GET", f"/{path}", []))

    assert sent[0]["status"] == 200
    assert made == []


def test_what_may_block_runs_off_the_loop() -> None:
    sent = asyncio.run(messages_of(HOPPING, "GET", "/mixed", []))

    assert sent[1]["body"] == b'[20,{"limit":20,"on the loop":false}]'


def test_what_was_made_before_a_failure_is_not_made_again() -> None:
    app, made = RestApplication(), []

    @app.dependency()
    def counted() -> int:
        made.append(1)
        return len(made)

    @app.handles_error(500)
    def explain(counted: int) -> dict[str, int]:
        return {"counted": counted}

    @app.get("/x")
    def handler(counted: int) -> None:
        raise RuntimeError

    sent = asyncio.run(messages_of(ASGIAdapter(app), "GET", "/x", []))

    assert sent[1]["body"] == b'{"counted":1}'


class Stop(BaseException):
    """No error of a request, but something that ends more than that."""


def test_what_ends_more_than_the_request_reaches_the_server() -> None:
    app = RestApplication()

    @app.get("/x")
    def handler() -> None:
        raise Stop

    with pytest.raises(Stop):
        asyncio.run(messages_of(ASGIAdapter(app), "GET", "/x", []))


def test_a_cancelled_request_waits_for_its_worker_and_sends_nothing() -> None:
    app, begun, go_on, ended = RestApplication(), threading.Event(), threading.Event(), []

    @app.get("/x")
    def handler() -> dict[str, int]:
        begun.set()
        go_on.wait(10)
        ended.append(1)
        return {"a": 1}

    async def run() -> tuple[bool, list[int]]:
        serving = asyncio.create_task(messages_of(ASGIAdapter(app), "GET", "/x", []))
        await asyncio.to_thread(begun.wait, 10)
        serving.cancel()
        await asyncio.sleep(0.01)
        before = list(ended)
        go_on.set()
        await asyncio.wait({serving})
        return serving.cancelled(), before

    cancelled, before = asyncio.run(run())

    assert cancelled
    assert before == []
    assert ended == [1]


class Pieces:
    """Content in pieces that remembers whether it was closed."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        self.left -= 1
        time.sleep(PATIENCE_SECONDS)
        return b"piece"

    def close(self) -> None:
        self.closed = True


def test_a_stream_that_nobody_will_get_is_closed() -> None:
    app, pieces, begun = RestApplication(), Pieces(1), threading.Event()

    @app.get("/x")
    def handler() -> Pieces:
        begun.set()
        time.sleep(0.1)
        return pieces

    async def run() -> None:
        serving = asyncio.create_task(messages_of(ASGIAdapter(app), "GET", "/x", []))
        await asyncio.to_thread(begun.wait, 10)
        serving.cancel()
        await asyncio.wait({serving})

    asyncio.run(run())

    assert pieces.closed


def test_a_stream_alone_receives_messages() -> None:
    app, receiving, most = RestApplication(), 0, 0

    @app.get("/x")
    def handler() -> Pieces:
        return Pieces(4)

    async def receive() -> dict[str, str]:
        nonlocal receiving, most
        receiving += 1
        most = max(most, receiving)
        try:
            await asyncio.Event().wait()
        finally:
            receiving -= 1
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        del message

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/x", "raw_path": b"/x",
        "query_string": b"", "headers": [],
    }  # fmt: skip

    asyncio.run(ASGIAdapter(app)(scope, receive, send))

    assert most == 1
