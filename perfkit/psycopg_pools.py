"""psycopg_pool: queries of every connection that a pool hands out, and the pool's own statistics.

A pool is given a subclass of its class, which overrides `getconn`: so the connections that it had
before are watched as well.
"""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

import psycopg_pool

from perfkit import psycopg_driver
from perfkit.libraries import tolerant
from perfkit.occupancy import Reading
from perfkit.subclass import Mixin, override, restore

Target = psycopg_pool.ConnectionPool[Any] | psycopg_pool.AsyncConnectionPool[Any]


class _WatchedPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides a method of a pool."""

    def getconn(self, *arguments: Any, **options: Any) -> Any:
        connection = super().getconn(*arguments, **options)
        with tolerant(connection):
            psycopg_driver.attach(connection)
        return connection


class _WatchedAsyncPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides a method of a pool for asyncio."""

    async def getconn(self, *arguments: Any, **options: Any) -> Any:
        connection = await super().getconn(*arguments, **options)
        with tolerant(connection):
            psycopg_driver.attach(connection)
        return connection


def attach(pool: Target) -> None:
    """Report the queries of connections that the pool hands out from now on."""
    override(pool, _WatchedAsyncPool if iscoroutinefunction(pool.getconn) else _WatchedPool)


def detach(pool: Target) -> None:
    """Watch no further connection; those that were handed out stay watched until closed."""
    restore(pool, _WatchedAsyncPool)
    restore(pool, _WatchedPool)


def reading(name: str, pool: Target) -> Reading:
    """Read the pool's public statistics."""
    known = pool.get_stats()
    return Reading(
        name=name,
        system="psycopg_pool",
        limit=known["pool_max"],
        size=known["pool_size"],
        in_use=known["pool_size"] - known["pool_available"],
        waiting=known["requests_waiting"],
        waits=known.get("requests_queued", 0),
        wait_seconds=known.get("requests_wait_ms", 0) / 1000,
    )
