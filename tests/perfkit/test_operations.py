"""One call watches whatever is known, and says what that is."""

from __future__ import annotations

import gc
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg2.pool
import pytest
import redis
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from perfkit import libraries, operations, pools
from perfkit.errors import PerfkitError
from perfkit.libraries import KINDS
from perfkit.sqlite_driver import Connection

NOWHERE = "postgresql://perfkit@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def fresh_warnings() -> None:
    libraries._warn.cache_clear()
    libraries._warn_of_newer.cache_clear()


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis(port=1) as made:
        yield made


def names() -> list[str]:
    return [reading.name for reading in pools.readings()]


def test_what_is_unknown_is_refused_with_what_is_known() -> None:
    with pytest.raises(PerfkitError, match=r"cannot watch a builtins\.dict: use one of ") as error:
        operations.watch({})

    assert all(name in str(error.value) for name in operations.ASKING)
    assert "\n" not in str(error.value)


def test_a_pool_alone_is_read_and_asks_nothing() -> None:
    with pytest.raises(PerfkitError, match=r"cannot watch a redis\.connection\.ConnectionPool"):
        operations.watch(redis.ConnectionPool())


def test_what_is_no_pool_cannot_be_read() -> None:
    with httpx.Client() as client, pytest.raises(PerfkitError, match=r"redis\.ConnectionPool"):
        pools.watch("http", client)


def test_outgoing_fields_are_for_a_client_of_httpx(client: redis.Redis) -> None:
    with pytest.raises(PerfkitError, match="leave it out"):
        operations.watch(client, outgoing=dict)


def test_pools_are_called_by_their_library_and_numbered(client: redis.Redis) -> None:
    with redis.Redis(port=1) as second:
        operations.watch(client)
        operations.watch(client)
        operations.watch(second)

        assert names() == ["redis", "redis-2"]


def test_a_name_is_one_pools_as_long_as_that_lives(client: redis.Redis) -> None:
    operations.watch(client, "cache")
    with redis.Redis(port=1) as second:
        with pytest.raises(PerfkitError, match='"cache" is watched already: choose another name'):
            pools.watch("cache", second)
        operations.unwatch(client)

        pools.watch("cache", second)

        assert names() == ["cache"]


def test_a_pool_that_dies_is_forgotten() -> None:
    client = operations.watch(redis.Redis(port=1), "mortal")
    before = names()

    client.close()
    del client
    gc.collect()

    assert (before, names()) == (["mortal"], [])


def test_of_many_objects_those_that_are_known_are_watched() -> None:
    with (
        redis.Redis(port=1) as cache,
        httpx.Client() as client,
        closing(sqlite3.connect(":memory:", factory=Connection)) as connection,
    ):
        watched = operations.watch_all(
            {"cache": cache, "settings": {}, "client": client, "database": connection}
        )

        assert watched == ["cache", "client", "database"]
        assert names() == ["cache"]


def test_of_many_objects_those_that_cannot_be_watched_are_told_of_and_passed_by(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = create_engine("sqlite://", poolclass=NullPool)
    with (
        redis.Redis(port=1) as first,
        redis.Redis(port=1) as second,
        closing(sqlite3.connect(":memory:")) as connection,
    ):
        operations.watch(first, "cache")

        watched = operations.watch_all({"database": connection, "cache": second, "engine": engine})

        assert watched == ["cache", "engine"]
        assert names() == ["cache", "cache-2"]
    assert len(caplog.messages) == 1
    assert "database goes unwatched: a sqlite3 connection" in caplog.text


def test_two_clients_may_have_one_pool_and_one_of_them_be_let_go() -> None:
    pool = redis.BlockingConnectionPool(port=1)
    with redis.Redis(connection_pool=pool) as first, redis.Redis(connection_pool=pool) as second:
        operations.watch(first, "first")
        operations.watch(second, "second")

        operations.unwatch(first)

        assert names() == ["second"]


def test_a_connection_that_cannot_be_watched_is_handed_out_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Pool(psycopg2.pool.ThreadedConnectionPool):
        def getconn(self, key: Any = None) -> Any:
            return SimpleNamespace(cursor_factory=print)

        def putconn(self, conn: Any = None, key: Any = None, close: bool = False) -> None:
            pass

    with closing_pool(Pool(0, 1, NOWHERE)) as pool:
        operations.watch(pool)

        handed_out = [pool.getconn(), pool.getconn()]

    assert [each.cursor_factory for each in handed_out] == [print, print]
    assert len(caplog.messages) == 1
    assert "cursor_factory is no class" in caplog.text


def test_a_library_that_is_built_otherwise_is_told_of_once_and_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Pool:
        """Has nothing that a pool of asyncpg has."""

    Pool.__module__ = "asyncpg.pool"
    pool = Pool()

    operations.watch(pool)
    operations.watch(pool)

    assert type(pool) is Pool
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "asyncpg.pool.Pool goes unwatched: " in caplog.text


def test_a_pool_that_cannot_be_read_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with closing_pool(psycopg2.pool.ThreadedConnectionPool(0, 1, NOWHERE)) as pool:
        operations.watch(pool, "broken")
        del pool._used

        assert [*pools.readings(), *pools.readings()] == []
        pool._used = {}

    operations.unwatch(pool)
    assert len(caplog.records) == 1
    assert "_used" in caplog.text


class closing_pool(closing[Any]):  # noqa: N801 (like closing)
    """Close a pool, whose method has another name."""

    def __exit__(self, *error: object) -> None:
        self.thing.closeall()


def test_a_version_newer_than_any_tried_is_watched_and_told_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries.metadata, "version", lambda package: "4.0.1")
    pool: Any = ConnectionPool(NOWHERE, open=False)

    operations.watch(pool)
    operations.watch(pool)

    assert type(pool) is not ConnectionPool
    assert caplog.messages == [
        "psycopg-pool 4.0.1 is newer than 3.3: what it does may go uncounted"
    ]


@pytest.mark.parametrize("name", KINDS)
def test_the_versions_that_are_installed_have_been_tried(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    KINDS[name].load()

    assert caplog.messages == []
