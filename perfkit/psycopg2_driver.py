"""psycopg2: queries of a connection, through its documented cursor factory, and its pools.

One operation is one call of `execute`, `executemany`, `callproc` or a COPY method, also on a named
cursor, whose later fetches are not counted. `psycopg2.extras.execute_values` sends pages, and each
is one. Cursors made with a `cursor_factory` of the call are not seen.

A pool is given a subclass of its class, which overrides `getconn`. It does not tell its numbers
by any public name, so those are read from private ones. It never lets a caller wait.
"""

from __future__ import annotations

from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.pool

from perfkit.calls import query
from perfkit.errors import UnknownVersionError
from perfkit.libraries import tolerant
from perfkit.occupancy import Reading
from perfkit.subclass import Mixin, override, overriding, plain, restore

SYSTEM = "postgresql"

Target = psycopg2.extensions.connection | psycopg2.pool.AbstractConnectionPool


class _WatchedCursor(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a cursor."""

    def execute(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, _text(statement, self)):
            return super().execute(statement, *arguments, **options)

    def executemany(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, _text(statement, self)):
            return super().executemany(statement, *arguments, **options)

    def callproc(self, procedure: str, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, f"SELECT * FROM {procedure}()"):
            return super().callproc(procedure, *arguments, **options)

    def copy_expert(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, _text(statement, self)):
            return super().copy_expert(statement, *arguments, **options)

    def copy_from(self, file: Any, table: str, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, f'COPY "{table}" FROM STDIN'):
            return super().copy_from(file, table, *arguments, **options)

    def copy_to(self, file: Any, table: str, *arguments: Any, **options: Any) -> Any:
        with query(SYSTEM, f'COPY "{table}" TO STDOUT'):
            return super().copy_to(file, table, *arguments, **options)


class _WatchedPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides a method of a pool."""

    def getconn(self, *arguments: Any, **options: Any) -> Any:
        connection = super().getconn(*arguments, **options)
        with tolerant(connection):
            attach(connection)
        return connection


def attach(target: Target) -> None:
    """Report the queries of a connection, or of those that a pool hands out from now on."""
    if isinstance(target, psycopg2.pool.AbstractConnectionPool):
        override(target, _WatchedPool)
        return
    factory: Any = target.cursor_factory
    factory = factory or psycopg2.extensions.cursor
    if not isinstance(factory, type):
        raise UnknownVersionError("a psycopg2 connection whose cursor_factory is no class")
    cls: Any = factory
    target.cursor_factory = overriding(cls, _WatchedCursor)


def detach(target: Target) -> None:
    """Report them no longer; connections that a pool handed out stay watched until closed."""
    if isinstance(target, psycopg2.pool.AbstractConnectionPool):
        restore(target, _WatchedPool)
        return
    factory: Any = target.cursor_factory
    if factory is not None:
        target.cursor_factory = plain(factory, _WatchedCursor)


def reading(name: str, pool: Any) -> Reading:
    """Read the pool's private numbers.

    Raises:
        UnknownVersionError: It has none by these names.
    """
    try:
        in_use, idle = len(pool._used), len(pool._pool)
    except AttributeError as error:
        raise UnknownVersionError(f"a pool of psycopg2: {error}") from error
    return Reading(name, "psycopg2", pool.maxconn, in_use + idle, in_use, 0, 0, 0.0)


def _text(statement: Any, cursor: Any) -> str:
    if isinstance(statement, str):
        return statement
    if isinstance(statement, bytes):
        return statement.decode(errors="replace")
    return str(statement.as_string(cursor))
