"""asyncpg: queries of a connection or of all that a pool hands out, and the pool's numbers.

One operation is one call of a method that sends a statement (`executemany` and a COPY are one), on
the connection or on a prepared statement. A cursor is one: iterated, as long as its rows are
waited for; awaited, as long as it takes to open, and its later fetches are not counted. What the
driver asks on its own account, to reset a connection or to learn a type, is none.

A connection or pool is given a subclass of its class that overrides methods. asyncpg's own
`add_query_logger` would not do: it leaves out prepared statements, cursors and COPY, and it tells
of a query only later, when the request may have gone on or be over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import asyncpg
import asyncpg.cursor
import asyncpg.pool
import asyncpg.prepared_stmt

from perfkit.calls import Call, Stream, async_parts, delegated, query
from perfkit.libraries import tolerant
from perfkit.occupancy import Reading, Wait, Waits, waits_of
from perfkit.statements import fingerprint
from perfkit.subclass import Mixin, override, restore

SYSTEM = "postgresql"


class _WatchedConnection(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a connection."""

    async def execute(self, statement: str, *values: Any, **options: Any) -> Any:
        call = query(SYSTEM, statement)
        if statement == self.get_reset_query():
            call = nullcontext()
        with call:
            return await super().execute(statement, *values, **options)

    async def executemany(self, command: str, *values: Any, **options: Any) -> Any:
        with query(SYSTEM, command):
            return await super().executemany(command, *values, **options)

    async def fetch(self, statement: str, *values: Any, **options: Any) -> Any:
        with query(SYSTEM, statement):
            return await super().fetch(statement, *values, **options)

    async def fetchval(self, statement: str, *values: Any, **options: Any) -> Any:
        with query(SYSTEM, statement):
            return await super().fetchval(statement, *values, **options)

    async def fetchrow(self, statement: str, *values: Any, **options: Any) -> Any:
        with query(SYSTEM, statement):
            return await super().fetchrow(statement, *values, **options)

    async def fetchmany(self, statement: str, *values: Any, **options: Any) -> Any:
        with query(SYSTEM, statement):
            return await super().fetchmany(statement, *values, **options)

    async def copy_from_table(self, table: str, **options: Any) -> Any:
        with query(SYSTEM, f'COPY "{table}" TO STDOUT'):
            return await super().copy_from_table(table, **options)

    async def copy_from_query(self, statement: str, *values: Any, **options: Any) -> Any:
        with query(SYSTEM, f"COPY ({statement}) TO STDOUT"):
            # What the driver asks to write the values into the statement is its own affair.
            delegated.set(True)
            try:
                return await super().copy_from_query(statement, *values, **options)
            finally:
                delegated.set(False)

    async def copy_to_table(self, table: str, **options: Any) -> Any:
        with query(SYSTEM, f'COPY "{table}" FROM STDIN'):
            return await super().copy_to_table(table, **options)

    async def copy_records_to_table(self, table: str, **options: Any) -> Any:
        with query(SYSTEM, f'COPY "{table}" FROM STDIN'):
            return await super().copy_records_to_table(table, **options)

    async def prepare(self, statement: str, **options: Any) -> Any:
        prepared = await super().prepare(statement, **options)
        with tolerant(prepared):
            override(prepared, _WatchedStatement)
        return prepared

    def cursor(self, statement: str, *values: Any, **options: Any) -> Any:
        cursors = super().cursor(statement, *values, **options)
        with tolerant(cursors):
            override(cursors, _WatchedCursors)
        return cursors


class _WatchedStatement(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a prepared statement."""

    async def fetch(self, *values: Any, **options: Any) -> Any:
        with _prepared(self):
            return await super().fetch(*values, **options)

    async def fetchval(self, *values: Any, **options: Any) -> Any:
        with _prepared(self):
            return await super().fetchval(*values, **options)

    async def fetchrow(self, *values: Any, **options: Any) -> Any:
        with _prepared(self):
            return await super().fetchrow(*values, **options)

    async def fetchmany(self, values: Any, **options: Any) -> Any:
        with _prepared(self):
            return await super().fetchmany(values, **options)

    async def executemany(self, values: Any, **options: Any) -> Any:
        with _prepared(self):
            return await super().executemany(values, **options)

    def cursor(self, *values: Any, **options: Any) -> Any:
        cursors = super().cursor(*values, **options)
        with tolerant(cursors):
            override(cursors, _WatchedCursors)
        return cursors


class _WatchedCursors(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides how a cursor is iterated or opened."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        call = Stream(SYSTEM, _text(self))
        rows = super().__aiter__()
        try:
            async for row in async_parts(call, rows):
                yield row
        finally:
            call.end()

    def __await__(self) -> Generator[Any, Any, Any]:
        with Call(SYSTEM, _text(self)):
            return (yield from super().__await__())


class _WatchedPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides how a pool hands out connections; asyncpg has no public name for that."""

    async def _acquire(self, *arguments: Any, **options: Any) -> Any:
        proxy = await super()._acquire(*arguments, **options)
        with tolerant(proxy):
            override(getattr(proxy, "_con", None), _WatchedConnection)
        return proxy


class _CountedPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Counts those who wait until a connection comes back."""

    waits: ClassVar[Waits]

    async def _acquire(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = self
        full = pool.get_size() == pool.get_max_size() and pool.get_idle_size() == 0
        with Wait(self.waits) if full else nullcontext():
            return await super()._acquire(*arguments, **options)


def attach(target: Any) -> None:
    """Report the queries of a connection, or of those that a pool hands out from now on."""
    is_pool = isinstance(target, asyncpg.pool.Pool)
    override(target, _WatchedPool if is_pool else _WatchedConnection)


def detach(target: Any) -> None:
    """Report them no longer; connections that a pool handed out stay watched until closed."""
    is_pool = isinstance(target, asyncpg.pool.Pool)
    restore(target, _WatchedPool if is_pool else _WatchedConnection)


def count_waits(pool: Any) -> None:
    """Count from now on who waits for a connection of the pool."""
    override(pool, _CountedPool, waits=Waits())


def forget_waits(pool: Any) -> None:
    """Count them no longer."""
    restore(pool, _CountedPool)


def reading(name: str, pool: Any) -> Reading:
    """Read the pool's public numbers, and those of its waits."""
    size, waits = pool.get_size(), waits_of(pool)
    return Reading(
        name=name,
        system="asyncpg",
        limit=pool.get_max_size(),
        size=size,
        in_use=size - pool.get_idle_size(),
        waiting=waits.waiting,
        waits=waits.count,
        wait_seconds=waits.seconds,
    )


def _prepared(statement: Any) -> AbstractContextManager[None]:
    return query(SYSTEM, statement.get_query())


def _text(cursors: Any) -> str:
    # No public name tells the statement of a cursor.
    return fingerprint(getattr(cursors, "_query", "_OTHER"))
