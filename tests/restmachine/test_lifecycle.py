"""Startup, shutdown, and what happens to requests in between."""

import asyncio
import logging
import threading
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest

from restmachine import ASGIAdapter, ConfigurationError, RestApplication
from restmachine.errors import DependencyScopeError
from restmachine.hooks import Observer
from restmachine.testing import TestClient

from .observers import Everything


@pytest.fixture
def order() -> list[str]:
    return []


def test_startup_functions_take_earlier_ones_and_other_session_dependencies(
    order: list[str],
) -> None:
    app = RestApplication()

    @app.dependency(scope="session")
    def settings():
        order.append("settings")
        return {"size": 3}

    @app.on_startup
    async def pool(settings):
        order.append("pool")
        return settings["size"]

    @app.on_startup()
    def cache(pool):
        order.append(f"cache of {pool}")

    with TestClient(app):
        pass

    assert order == ["settings", "pool", "cache of 3"]


def test_shutdown_functions_run_in_order_and_after_one_that_fails(
    order: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    app = RestApplication()

    @app.on_startup
    def pool():
        return "pool"

    @app.on_shutdown
    def first(pool):
        order.append(f"close {pool}")
        raise RuntimeError("the pool would not close")

    @app.on_shutdown()
    async def second():
        order.append("second")

    with TestClient(app):
        pass

    assert order == ["close pool", "second"]
    assert "the pool would not close" in caplog.text


def test_shutdown_functions_of_one_name_all_run(order: list[str]) -> None:
    app = RestApplication()
    app.on_shutdown(lambda: order.append("one"))
    app.on_shutdown(lambda: order.append("two"))

    with TestClient(app):
        pass

    assert order == ["one", "two"]


def test_shutdown_function_may_ask_for_a_request_dependency_that_needs_no_request(
    order: list[str],
) -> None:
    app = RestApplication()

    @app.dependency()
    def journal():
        yield order
        order.append("journal closed")

    @app.on_shutdown
    async def note(journal):
        journal.append("noted")

    @app.on_startup
    def pool():
        return None

    @app.on_shutdown
    def both(pool, journal):
        journal.append("both")

    app.startup_sync()
    app.shutdown_sync()

    assert order == ["both", "journal closed"]


def test_shutdown_function_is_left_out_when_nothing_that_it_takes_was_made(
    order: list[str],
) -> None:
    app = RestApplication()
    app.dependency(name="pool", scope="session")(lambda: order.append("made"))
    app.on_shutdown(lambda pool: order.append("closed"))

    with TestClient(app):
        pass

    assert order == []


def test_shutdown_function_runs_when_one_of_what_it_takes_was_made(order: list[str]) -> None:
    app = RestApplication()
    app.on_startup(_pool)
    app.dependency(name="spare", scope="session")(lambda: "spare")
    app.on_shutdown(lambda _pool, spare: order.append(f"{_pool} and {spare}"))

    with TestClient(app):
        pass

    assert order == ["pool and spare"]


def _pool() -> str:
    return "pool"


@pytest.mark.parametrize(
    ("function", "error"),
    [(lambda request: None, DependencyScopeError), (lambda pol: None, ConfigurationError)],
)
def test_shutdown_function_that_cannot_be_called_is_found_when_the_application_is_built(
    function: Any, error: type[Exception]
) -> None:
    app = RestApplication()
    app.on_startup(_pool)
    app.on_shutdown(function)

    with pytest.raises(error, match="lambda"):
        app.startup_sync()


def test_application_can_be_started_again(order: list[str]) -> None:
    app = RestApplication()
    app.on_startup(lambda: order.append("up"))
    app.on_shutdown(lambda: order.append("down"))

    for _ in range(2):
        app.startup_sync()
        app.shutdown_sync()

    assert order == ["up", "down", "up", "down"]


# ---- requests in flight ------------------------------------------------------------------


def slow_application(order: list[str]) -> RestApplication:
    """Return an application that says when it has answered and when it is shut down."""
    app = RestApplication()
    app.on_shutdown(lambda: order.append("shut down"))

    @app.get("/slow")
    async def slow():
        await asyncio.sleep(0.05)
        order.append("answered")
        return {}

    return app


async def begun(client: TestClient) -> asyncio.Task[Any]:
    """Return a request to the slow application that is in flight."""
    task = asyncio.create_task(client.request_async("GET", "/slow"))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("observers", [[], [Everything()]], ids=["unobserved", "observed"])
def test_shutdown_waits_for_the_requests_in_flight(
    order: list[str], observers: list[Observer]
) -> None:
    app = slow_application(order)
    [app.observe(observer) for observer in observers]

    with TestClient(app) as client:
        task = client.run(begun(client))

    assert order == ["answered", "shut down"]
    assert task.result().status == 200


def test_shutdown_waits_for_a_sync_handler_that_still_needs_the_loop(order: list[str]) -> None:
    app = RestApplication()
    started = threading.Event()

    @app.dependency()
    async def later():
        await asyncio.sleep(0.02)
        return "later"

    @app.dependency()
    def begun():
        started.set()

    @app.get("/mixed")
    def mixed(begun, later):
        order.append("answered")
        return later

    app.on_shutdown(lambda: order.append("shut down"))

    async def begin() -> asyncio.Task[Any]:
        task = asyncio.create_task(client.request_async("GET", "/mixed"))
        await asyncio.to_thread(started.wait)
        return task

    with TestClient(app) as client:
        task = client.run(begin())

    assert order == ["answered", "shut down"]
    assert task.result().status == 200


class Hiding:
    """Middleware that awaits an application by other means than a coroutine's."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await Hidden(self.app(scope, receive, send))


class Hidden:
    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        with suppress(StopIteration):
            while True:
                yield self._coroutine.send(None)


def test_shutdown_waits_for_requests_that_middleware_hides(order: list[str]) -> None:
    app = slow_application(order)

    with TestClient(Hiding(ASGIAdapter(app))) as client:
        task = client.run(begun(client))

    assert order == ["answered", "shut down"]
    assert task.result().status == 200


def test_the_loop_goes_on_while_shutdown_looks_for_requests_among_many_objects() -> None:
    app = RestApplication()
    heap: list[list[Any]] = [[] for _ in range(300_000)]
    turns: list[int] = []
    turns_before_shutdown: list[int] = []

    def take_turn() -> None:
        turns.append(1)
        asyncio.get_running_loop().call_soon(take_turn)

    async def begin() -> None:
        take_turn()

    @app.on_shutdown
    async def count() -> None:
        turns_before_shutdown.append(len(turns))

    with TestClient(app) as client:
        client.run(begin())

    assert len(heap) == 300_000
    assert turns_before_shutdown[0] > 20


class Moody:
    """A proxy whose object is gone: it cannot even tell its class."""

    @property  # type: ignore[misc]  # mypy knows a class of its own
    def __class__(self) -> type:
        raise ReferenceError


def test_an_object_that_cannot_tell_its_class_hinders_no_shutdown(order: list[str]) -> None:
    app = slow_application(order)
    moody = Moody()

    with TestClient(app):
        pass

    assert type(moody) is Moody
    assert order == ["shut down"]


def test_shutdown_does_not_wait_for_ever(
    order: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    app = RestApplication(drain_seconds=0.02)
    app.on_shutdown(lambda: order.append("shut down"))
    caplog.set_level(logging.WARNING)

    @app.get("/endless")
    async def endless():
        await asyncio.Event().wait()

    adapter = ASGIAdapter(app)
    client = TestClient(adapter)
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()

    async def scenario() -> None:
        life = asyncio.create_task(adapter({"type": "lifespan"}, inbox.get, outbox.put))
        await inbox.put({"type": "lifespan.startup"})
        await outbox.get()
        request = asyncio.create_task(client.request_async("GET", "/endless"))
        await asyncio.sleep(0)
        await inbox.put({"type": "lifespan.shutdown"})
        await life
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)

    client.run(scenario())

    assert order == ["shut down"]
    assert "1 requests were still in flight at shutdown" in caplog.text


def test_busy_worker_is_left_behind_at_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    app = RestApplication(drain_seconds=0.02)
    started, release = threading.Event(), threading.Event()

    @app.get("/stuck")
    def stuck():
        started.set()
        release.wait(10)

    client = TestClient(app)

    async def scenario() -> None:
        await app.startup()
        task = asyncio.create_task(client.request_async("GET", "/stuck"))
        await asyncio.to_thread(started.wait)
        await app.shutdown()
        release.set()
        await task

    client.run(scenario())

    assert "1 worker threads were still busy at shutdown" in caplog.text
