"""psycopg 3: queries of a connection, through its documented cursor factories.

One operation is one call of `execute` or `executemany`, also on a server-side cursor, whose later
fetches are not counted; one COPY, as long as its block; one `stream`, as long as its rows are
waited for. In a pipeline a call ends when its query is sent. Cursors made without the connection's
factory, as `psycopg.ClientCursor(connection)`, are not seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from inspect import iscoroutinefunction
from typing import Any

import psycopg

from perfkit.calls import Stream, async_parts, parts, query
from perfkit.errors import UnknownVersionError
from perfkit.statements import fingerprint
from perfkit.subclass import Mixin, overriding, plain

SYSTEM = "postgresql"
FACTORIES = ("cursor_factory", "server_cursor_factory")

Target = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]


class _WatchedCursor(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a cursor."""

    def execute(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, _text(statement, self)):
            return super().execute(statement, *arguments, **options)

    def executemany(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, _text(statement, self)):
            return super().executemany(statement, *arguments, **options)

    def stream(self, statement: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        call = Stream(SYSTEM, fingerprint(_text(statement, self)))
        rows = super().stream(statement, *arguments, **options)
        try:
            yield from parts(call, rows)
        finally:
            with call:
                rows.close()
            call.end()

    def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        call = query(SYSTEM, _text(statement, self))
        return _copying(call, super().copy(statement, *arguments, **options))


class _WatchedAsyncCursor(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a cursor for asyncio."""

    async def execute(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, _text(statement, self)):
            return await super().execute(statement, *arguments, **options)

    async def executemany(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, _text(statement, self)):
            return await super().executemany(statement, *arguments, **options)

    async def stream(self, statement: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        call = Stream(SYSTEM, fingerprint(_text(statement, self)))
        rows = super().stream(statement, *arguments, **options)
        try:
            async for row in async_parts(call, rows):
                yield row
        finally:
            with call:
                await rows.aclose()
            call.end()

    def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        call = query(SYSTEM, _text(statement, self))
        return _async_copying(call, super().copy(statement, *arguments, **options))


@contextmanager
def _copying(call: AbstractContextManager[None], copying: Any) -> Iterator[Any]:
    with call, copying as copy:
        yield copy


@asynccontextmanager
async def _async_copying(call: AbstractContextManager[None], copying: Any) -> AsyncIterator[Any]:
    with call:
        async with copying as copy:
            yield copy


def attach(connection: Target) -> None:
    """Report the queries of cursors that the connection makes from now on."""
    for name in FACTORIES:
        factory: Any = getattr(connection, name, None)
        if not isinstance(factory, type):
            raise UnknownVersionError(f"a psycopg connection whose {name} is no class")
        cls: Any = factory
        setattr(connection, name, overriding(cls, _mixin(cls)))


def detach(connection: Target) -> None:
    """Report them no longer."""
    for name in FACTORIES:
        factory = getattr(connection, name)
        setattr(connection, name, plain(factory, _mixin(factory)))


def _mixin(cursor: type) -> type:
    is_async = iscoroutinefunction(getattr(cursor, "execute", None))
    return _WatchedAsyncCursor if is_async else _WatchedCursor


def _text(statement: Any, cursor: Any) -> str:
    if isinstance(statement, str):
        return statement
    if isinstance(statement, bytes):
        return statement.decode(errors="replace")
    if isinstance(statement, psycopg.sql.Composable):
        return statement.as_string(cursor)
    # A template string (PEP 750): between its strings are values.
    return " ? ".join(getattr(statement, "strings", ("_OTHER",)))
