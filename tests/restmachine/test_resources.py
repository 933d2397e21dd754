"""Session dependencies: made once, for all, and closed in the end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from restmachine import Request, RestApplication
from restmachine.errors import (
    DependencyCycleError,
    DependencyScopeError,
    UnknownDependencyError,
)
from restmachine.testing import TestClient

MANY = 100
Serve = Callable[[RestApplication], TestClient]


class Counting:
    """Resources that count how often they are made, and are slow enough to be asked for twice."""

    def __init__(self, app: RestApplication, failures: int = 0) -> None:
        self.made: list[str] = []
        self.threads: set[int] = set()
        self.failures = failures

        @app.dependency(scope="session")
        def pool() -> str:
            return self.make("pool")

        @app.dependency(scope="session")
        async def client(pool: str) -> str:
            await asyncio.sleep(0)
            return self.make("client")

        @app.get("/pool")
        def of_pool(pool: str) -> dict[str, str]:
            return {"has": pool}

        @app.get("/client")
        async def of_client(client: str) -> dict[str, str]:
            return {"has": client}

        @app.get("/mixed")
        def of_both(client: str, pool: str) -> dict[str, str]:
            return {"has": client}

    def make(self, name: str) -> str:
        self.made.append(name)
        self.threads.add(threading.get_ident())
        if self.failures:
            self.failures -= 1
            raise ConnectionError("not yet")
        return name


async def together(client: TestClient, *paths: str) -> set[int]:
    """Send many requests at once and return the statuses."""
    requests = [client.request_async("GET", path) for path in paths * (MANY // len(paths))]
    return {response.status for response in await asyncio.gather(*requests)}


class TestFirstRequests:
    @pytest.mark.parametrize("paths", [("/pool",), ("/client",), ("/mixed", "/client", "/pool")])
    def test_a_hundred_together_make_each_resource_once(
        self, serve: Serve, paths: tuple[str, ...]
    ) -> None:
        app = RestApplication()
        counting = Counting(app)
        client = serve(app)

        statuses = client.run(together(client, *paths))

        assert statuses == {200}
        assert sorted(counting.made) == (["pool"] if paths == ("/pool",) else ["client", "pool"])

    @pytest.mark.parametrize("path", ["/pool", "/client", "/mixed"])
    def test_a_hundred_on_threads_make_each_resource_once(
        self, app: RestApplication, path: str
    ) -> None:
        counting = Counting(app)
        barrier = threading.Barrier(20)

        def first(number: int) -> int:
            barrier.wait()
            return app.execute(Request("GET", path)).status_code

        with ThreadPoolExecutor(20) as threads:
            statuses = set(threads.map(first, range(MANY)))

        assert statuses == {200}
        assert sorted(counting.made) == (["pool"] if path == "/pool" else ["client", "pool"])

    def test_a_sync_resource_is_made_beside_the_event_loop(self, serve: Serve) -> None:
        app = RestApplication()
        counting = Counting(app)

        serve(app).get("/pool")

        assert threading.get_ident() not in counting.threads

    @pytest.mark.parametrize("path", ["/pool", "/client"])
    def test_the_first_one_may_be_cancelled(self, serve: Serve, path: str) -> None:
        app = RestApplication()
        counting = Counting(app)
        client = serve(app)

        async def cancel_the_first() -> list[Any]:
            tasks = [asyncio.ensure_future(client.request_async("GET", path)) for _ in range(9)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        first, *others = client.run(cancel_the_first())

        assert isinstance(first, asyncio.CancelledError)
        assert {response.status for response in others} == {200}
        assert counting.made.count("pool") == 1

    @pytest.mark.parametrize("path", ["/pool", "/client"])
    def test_after_a_failure_the_next_request_tries_again(self, serve: Serve, path: str) -> None:
        app = RestApplication()
        counting = Counting(app, failures=1)
        client = serve(app)

        statuses = [client.get(path).status for _ in range(3)]

        assert statuses == [500, 200, 200]
        assert counting.made.count("pool") == 2

    def test_requests_that_wait_for_a_failure_all_hear_of_it(self, serve: Serve) -> None:
        app = RestApplication()
        asked: list[int] = []

        @app.dependency(scope="session")
        async def pool() -> str:
            asked.append(1)
            await asyncio.sleep(0.01)
            raise ConnectionError

        @app.get("/x")
        async def handler(pool: str) -> None:
            return None

        client = serve(app)

        assert client.run(together(client, "/x")) == {500}
        assert len(asked) == 1

    def test_none_is_a_value_that_is_kept(self, app: RestApplication) -> None:
        made = []

        @app.on_startup
        def nothing() -> None:
            made.append(1)

        @app.get("/x")
        def handler(nothing: None) -> dict[str, None]:
            return {"has": nothing}

        bodies = [app.execute(Request("GET", "/x")).body for _ in range(3)]

        assert bodies == [b'{"has":null}'] * 3
        assert made == [1]


class TestLife:
    def test_startup_runs_in_order_on_the_loop_of_the_requests(self, serve: Serve) -> None:
        app = RestApplication()
        loops = []

        @app.on_startup
        async def first() -> str:
            loops.append(asyncio.get_running_loop())
            return "first"

        @app.on_startup
        def second(first: str) -> str:
            return f"after {first}"

        @app.get("/x")
        async def handler(second: str) -> dict[str, str]:
            loops.append(asyncio.get_running_loop())
            return {"second": second}

        response = serve(app).get("/x")

        assert response.json() == {"second": "after first"}
        assert loops[0] is loops[1]

    def test_a_failing_startup_tells_why(self) -> None:
        app = RestApplication()

        @app.on_startup
        async def database() -> None:
            raise ConnectionError("port 5432 is closed")

        with pytest.raises(RuntimeError, match="ConnectionError: port 5432 is closed"):
            TestClient(app).__enter__()

    def test_a_mistake_of_the_developer_fails_the_startup(self) -> None:
        app = RestApplication()
        app.get("/x")(lambda databse: {})

        @app.dependency()
        def database() -> None:
            return None

        with pytest.raises(RuntimeError, match=r'asks for "databse".*Did you mean "database"'):
            TestClient(app).__enter__()

    def test_what_a_failed_startup_had_made_is_closed(self) -> None:
        app = RestApplication()
        closed = []

        @app.on_startup
        async def pool() -> AsyncIterator[str]:
            yield "pool"
            closed.append("pool")

        @app.on_startup
        def rest(pool: str) -> None:
            raise ConnectionError

        with pytest.raises(RuntimeError):
            TestClient(app).__enter__()

        assert closed == ["pool"]

    def test_shutdown_closes_the_last_made_first_after_its_functions(self, serve: Serve) -> None:
        app = RestApplication()
        order = []

        @app.on_startup
        def pool() -> Iterator[str]:
            yield "pool"
            order.append("pool")

        @app.on_startup
        async def cache(pool: str) -> AsyncIterator[str]:
            yield "cache"
            order.append("cache")

        @app.on_shutdown
        async def farewell(pool: str) -> None:
            order.append(f"farewell with {pool}")

        @app.on_shutdown
        def last_words() -> None:
            order.append("last words")

        with TestClient(app):
            pass

        assert order == ["farewell with pool", "last words", "cache", "pool"]

    def test_one_failing_close_stops_no_other(self, caplog: pytest.LogCaptureFixture) -> None:
        app = RestApplication()
        order = []

        @app.on_startup
        def pool() -> Iterator[str]:
            yield "pool"
            order.append("pool")

        @app.on_startup
        async def cache(pool: str) -> AsyncIterator[str]:
            yield "cache"
            raise OSError("will not close")

        @app.on_shutdown
        def broken() -> None:
            raise OSError("will not say farewell")

        @app.on_shutdown
        def farewell() -> None:
            order.append("farewell")

        with caplog.at_level(logging.ERROR, "restmachine"), TestClient(app):
            pass

        assert order == ["farewell", "pool"]
        assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]

    def test_shutdown_functions_of_one_name_all_run(self) -> None:
        app = RestApplication()
        ran = []

        def closing(number: int) -> Callable[[], None]:
            def close() -> None:
                ran.append(number)

            return close

        app.on_shutdown(closing(1))
        app.on_shutdown(closing(2))

        with TestClient(app):
            pass

        assert ran == [1, 2]

    def test_a_shutdown_function_makes_no_resource(self) -> None:
        app = RestApplication()
        ran = []

        @app.dependency(scope="session")
        def pool() -> str:
            ran.append("pool")
            return "pool"

        @app.on_shutdown
        def close(pool: str) -> None:
            ran.append("close")

        with TestClient(app):
            pass

        assert ran == []

    def test_a_stopped_application_starts_again(self) -> None:
        app = RestApplication()
        made = []

        @app.on_startup
        async def pool() -> AsyncIterator[int]:
            made.append("made")
            yield len(made)
            made.append("closed")

        for _ in range(2):
            with TestClient(app):
                pass

        assert made == ["made", "closed"] * 2

    def test_it_all_works_without_an_event_loop(self) -> None:
        app = RestApplication()
        order = []

        @app.on_startup
        async def pool() -> AsyncIterator[str]:
            order.append("made")
            yield "pool"
            order.append("closed")

        @app.on_shutdown
        async def farewell(pool: str) -> None:
            order.append(f"farewell with {pool}")

        app.startup_sync()
        app.startup_sync()
        app.shutdown_sync()

        assert order == ["made", "farewell with pool", "closed"]

    def test_shutdown_waits_for_a_worker_that_needs_the_loop(self) -> None:
        app = RestApplication()
        began, finished = asyncio.Event(), []

        @app.dependency()
        async def slow() -> str:
            began.set()
            await asyncio.sleep(0.02)
            return "slow"

        @app.dependency()
        def sync_first() -> None:
            return None

        @app.get("/x")
        def handler(sync_first: None, slow: str) -> None:
            finished.append(slow)

        async def stop_while_serving(client: TestClient) -> None:
            serving = asyncio.ensure_future(client.request_async("GET", "/x"))
            await began.wait()
            await app.shutdown()
            assert finished == ["slow"]
            await serving

        client = TestClient(app)

        client.run(stop_while_serving(client))

        assert finished == ["slow"]


class TestMistakes:
    def test_a_session_dependency_cannot_ask_for_the_request(self, app: RestApplication) -> None:
        @app.dependency(scope="session")
        def pool(request: Request) -> None:
            return None

        with pytest.raises(DependencyScopeError, match=r'"pool" lives as long.*"request"'):
            app.compiled  # noqa: B018 - compiles

    def test_nor_for_a_request_dependency(self, app: RestApplication) -> None:
        @app.dependency()
        def user() -> None:
            return None

        @app.on_startup
        def pool(user: None) -> None:
            return None

        with pytest.raises(DependencyScopeError, match=r'"pool".*asks for "user"'):
            app.compiled  # noqa: B018

    def test_nor_for_what_nothing_provides(self, app: RestApplication) -> None:
        @app.on_startup
        def pool(setings: None) -> None:
            return None

        @app.dependency(scope="session")
        def settings() -> None:
            return None

        with pytest.raises(UnknownDependencyError, match=r'"setings".*Did you mean "settings"'):
            app.compiled  # noqa: B018

    def test_nor_in_a_circle(self, app: RestApplication) -> None:
        @app.dependency(scope="session")
        def one(two: None) -> None:
            return None

        @app.dependency(scope="session")
        def two(one: None) -> None:
            return None

        with pytest.raises(DependencyCycleError, match="one -> two -> one"):
            app.compiled  # noqa: B018
