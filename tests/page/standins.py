"""What the page's blocks leave undefined, and routes that reach what they leave unused.

A function marked `needs` supplies a section's block with names and dependencies before it is
executed; one marked `gets` then adds to the application that has come of it, and closes at
shutdown what the block leaves open.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from blocks import BLOCKS
from stage import Facts, Stage, staged

Supply = Callable[[Stage], None]

HOLD_AT_MOST_S = 20.0

_BEFORE: dict[str, Supply] = {}
_AFTER: dict[str, Supply] = {}


def stage_of(facts: Facts) -> AbstractContextManager[Stage]:
    """Return a block's stage with all that its section needs."""
    block = BLOCKS[facts.block]
    return staged(
        facts,
        block,
        lambda stage: _BEFORE.get(block.section, _nothing)(stage),
        lambda stage: _AFTER.get(block.section, _nothing)(stage),
    )


def _nothing(stage: Stage) -> None:
    """Most blocks are whole."""


def needs(*sections: str) -> Callable[[Supply], Supply]:
    """Register what the blocks of some sections need before."""
    return functools.partial(_register, _BEFORE, sections)


def gets(*sections: str) -> Callable[[Supply], Supply]:
    """Register what the blocks of some sections get afterwards."""
    return functools.partial(_register, _AFTER, sections)


def _register(supplies: dict[str, Supply], sections: tuple[str, ...], supply: Supply) -> Supply:
    supplies.update(dict.fromkeys(sections, supply))
    return supply


def connect(**options: Any) -> Any:
    """Open a connection to the page's database."""
    import psycopg2

    return psycopg2.connect(host="localhost", dbname="mydb", **options)


def asked(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own, and commit."""
    connection = connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    finally:
        connection.close()


# ---- dependencies and decisions ----------------------------------------------------------


@needs("Optimize State Machine Decorators")
def nobody_is_authorized(stage: Stage) -> None:
    @stage.app.default_authorized
    def refused() -> bool:
        return False

    @stage.app.get("/guarded")
    def guarded() -> dict[str, str]:
        return {}


@gets("Enable Compression in ASGI Server")
def long_and_short_content(stage: Stage) -> None:
    @stage.app.get("/long")
    def long() -> dict[str, str]:
        return {"text": "again and " * 200}

    @stage.app.get("/short")
    def short() -> dict[str, str]:
        return {"text": "once"}


# ---- databases ---------------------------------------------------------------------------


@needs("Efficient Database Queries", "N+1 Query Prevention", "Pagination", "Field Selection")
def connection_as_database(stage: Stage) -> None:
    from psycopg2.extensions import cursor

    class NotingCursor(cursor):
        def execute(self, *statement: Any) -> None:
            stage.note("execute")
            super().execute(*statement)

    @stage.app.dependency()
    def database() -> Iterator[Any]:
        connection = connect(cursor_factory=NotingCursor)
        try:
            yield connection
        finally:
            connection.close()


@gets("Database Connection Pool")
def changes_that_succeed_and_fail(stage: Stage) -> None:
    borrowed = stage.names["get_db_connection"]

    @stage.app.get("/rename/{name}")
    def rename(db_pool: Any, name: str) -> dict[str, str]:
        with borrowed(db_pool) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE users SET name = %s WHERE id = 7", (name,))
            if name == "nobody":
                raise RuntimeError("a failure after the change")
        return {"name": name}


@needs("Redis Caching")
def users_as_database(stage: Stage) -> None:
    class Users:
        def get_user(self, user_id: str) -> dict[str, Any]:
            stage.note("get_user", user_id)
            ((number, name),) = asked("SELECT id, name FROM users WHERE id = %s", user_id)
            return {"id": number, "name": name}

    @stage.app.dependency()
    def database() -> Users:
        return Users()


@gets("Redis Caching")
def cached_users_to_forget(stage: Stage) -> None:
    @stage.app.delete("/users/{user_id}")
    def forget(cache: Any, user_id: str) -> None:
        cache.delete(f"user:{user_id}")


@needs("1. Use Connection Pooling")
def pools_and_connections(stage: Stage) -> None:
    def create_pool(min: int, max: int) -> Any:
        from psycopg2.pool import ThreadedConnectionPool

        stage.note("pool")
        return ThreadedConnectionPool(min, max, host="localhost", dbname="mydb")

    def create_connection() -> Any:
        stage.note("connection")
        return connect()

    stage.names |= {"create_pool": create_pool, "create_connection": create_connection}


@gets("1. Use Connection Pooling")
def pooled_and_fresh_connections(stage: Stage) -> None:
    def backend(connection: Any) -> dict[str, int]:
        return {"backend": connection.get_backend_pid()}

    @stage.app.get("/pooled")
    def pooled(db_pool: Any) -> dict[str, int]:
        connection = db_pool.getconn()
        try:
            return backend(connection)
        finally:
            db_pool.putconn(connection)

    if "database" in stage.names:

        @stage.app.get("/fresh")
        def fresh(database: Any) -> dict[str, int]:
            return backend(database)

    @stage.app.on_shutdown
    def close_pool(db_pool: Any) -> None:
        db_pool.closeall()


@needs("4. Implement Pagination")
def queries_and_their_pages(stage: Stage) -> None:
    class Query:
        statement = "SELECT id, name FROM users ORDER BY id"

        def limit(self, count: int) -> Query:
            self.statement += f" LIMIT {count:d}"
            return self

        def offset(self, count: int) -> list[tuple[Any, ...]]:
            self.statement += f" OFFSET {count:d}"
            return self.all()

        def all(self) -> list[tuple[Any, ...]]:
            return asked(self.statement)

    @stage.app.dependency()
    def pagination(request: Any) -> SimpleNamespace:
        page = int(request.query_params.get("page", "1"))
        return SimpleNamespace(per_page=20, offset=(page - 1) * 20)

    stage.names["db"] = SimpleNamespace(query=Query)


# ---- caches ------------------------------------------------------------------------------


@needs("In-Memory Caching")
def expensive_data(stage: Stage) -> None:
    def fetch_expensive_data() -> dict[str, list[int]]:
        stage.note("fetched")
        return {"numbers": [1, 2, 3]}

    stage.names["fetch_expensive_data"] = fetch_expensive_data


@gets("In-Memory Caching")
def aged_and_computed_data(stage: Stage) -> None:
    @stage.app.post("/age/{minutes}")
    def age(minutes: int) -> None:
        cache = stage.names["CACHE"]
        cached_at, value = cache["data"]
        cache["data"] = (cached_at - timedelta(minutes=minutes), value)

    @stage.app.get("/computed/{word}")
    def computed(word: str) -> dict[str, Any]:
        function = stage.names["expensive_function"]
        return {**function(word), "hits": function.cache_info().hits}


@needs("2. Cache Expensive Operations")
def result_of_a_computation(stage: Stage) -> None:
    stage.names |= {"lru_cache": functools.lru_cache, "result": 42}


@gets("2. Cache Expensive Operations")
def computation_over_http(stage: Stage) -> None:
    @stage.app.get("/computed/{param}")
    def computed(param: str) -> dict[str, Any]:
        function = stage.names["expensive_computation"]
        result = function(param)
        cached = hasattr(function, "cache_info")
        return {"result": result, "hits": function.cache_info().hits if cached else None}


# ---- clients and background work ---------------------------------------------------------


@gets("Async Dependencies")
def client_that_is_closed(stage: Stage) -> None:
    @stage.app.on_shutdown
    async def close_client(async_http_client: Any) -> None:
        await async_http_client.aclose()


@needs("3. Use Async for I/O")
def two_clients(stage: Stage) -> None:
    import requests

    @stage.app.on_startup
    def http_client() -> Any:
        import httpx

        return httpx.AsyncClient()

    @stage.app.on_shutdown
    async def close_client(http_client: Any) -> None:
        await http_client.aclose()

    stage.names["requests"] = requests


@needs("Background Tasks")
def users_and_their_letters(stage: Stage) -> None:
    from pydantic import BaseModel

    class NewUser(BaseModel):
        name: str
        email: str

    class Users:
        def create_user(self, fields: dict[str, str]) -> dict[str, Any]:
            ((number,),) = asked(
                "INSERT INTO users (id, name, email) VALUES (1000, %s, %s) RETURNING id",
                fields["name"],
                fields["email"],
            )
            return {"id": number, **fields}

    @stage.app.validates
    def validate_user(json_body: Any) -> NewUser:
        return NewUser.model_validate(json_body)

    @stage.app.dependency()
    def database() -> Users:
        return Users()

    def send_welcome_email(address: str) -> None:
        deadline = time.monotonic() + HOLD_AT_MOST_S
        while stage.hold.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        stage.note("welcomed", address)

    stage.names["send_welcome_email"] = send_welcome_email


@gets("Background Tasks")
def executor_that_is_closed(stage: Stage) -> None:
    @stage.app.on_shutdown
    def close_executor(executor: Any) -> None:
        executor.shutdown()


# ---- monitoring --------------------------------------------------------------------------


class Clock:
    """The clock of a block, which a slow route can put forward."""

    def __init__(self) -> None:
        self._forward_s = 0.0

    def time(self) -> float:
        """Return the seconds since the epoch, and what was put forward."""
        return time.time() + self._forward_s

    def sleep(self, seconds: float) -> None:
        """Let time pass without waiting."""
        self._forward_s += seconds


@gets("Request Timing")
def handlers_under_the_timer(stage: Stage) -> None:
    @stage.app.dependency()
    def timer(request_timer: None) -> None:
        """Ask for the page's timer."""

    add_timed_routes(stage)


@needs("5. Monitor Performance")
def logger_of_the_block(stage: Stage) -> None:
    stage.names["logger"] = logging.getLogger("page_block")


@gets("5. Monitor Performance")
def handlers_under_the_monitor(stage: Stage) -> None:
    @stage.app.dependency()
    def timer(perf_monitor: None) -> None:
        """Ask for the page's monitor."""

    add_timed_routes(stage)


def add_timed_routes(stage: Stage) -> None:
    """Add handlers that are quick, slow or broken; no test waits for the slow one."""
    clock = stage.names["time"] = Clock()

    @stage.app.get("/slow")
    def slow(timer: None) -> dict[str, str]:
        clock.sleep(2)
        return {}

    @stage.app.get("/quick")
    def quick(timer: None) -> dict[str, str]:
        return {}

    @stage.app.get("/broken")
    def broken(timer: None) -> None:
        raise RuntimeError("a failure of the handler")


@needs("Memory Profiling")
def large_dataset(stage: Stage) -> None:
    stage.names["fetch_large_dataset"] = lambda: [str(number) for number in range(10_000)]
