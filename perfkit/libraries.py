"""Which library an object comes from, and the room that watches it.

A room is imported when the first object of its library is seen, and not before. Of a library that
is not built as its known versions are, one log line tells; the application goes on unwatched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from typing import Any

from perfkit.errors import PerfkitError, UnknownVersionError

logger = logging.getLogger("perfkit")


@dataclass(frozen=True)
class Kind:
    """What is known of a class of objects.

    Attributes:
        room: The room of perfkit that watches them.
        package: The distribution that brings the class, "" for Python itself.
        tried: The newest version that has been tried; the later ones of its series may do.
        asks: Whether they ask something of another system.
        pools: Whether they have connections to hand out.
        counted: Whether perfkit counts who waits for one, as the library does not.
    """

    room: str
    package: str = ""
    tried: str = ""
    asks: bool = True
    pools: bool = False
    counted: bool = False

    def load(self) -> Any:
        """Return the room, a module.

        Raises:
            UnknownVersionError: The library lacks what the room imports.
        """
        if self.package:
            _warn_of_newer(self.package, self.tried)
        try:
            return import_module(f"perfkit.{self.room}")
        except ImportError as error:
            raise UnknownVersionError(f"{self.package}: {error}") from error


_PSYCOPG = Kind("psycopg_driver", "psycopg", "3.3")
_PSYCOPG_POOL = Kind("psycopg_pools", "psycopg-pool", "3.3", pools=True)
_HTTPX = Kind("httpx_client", "httpx", "0.28")

# The first part of the module's name, and the name of the class, as both stay the same when a
# library moves its classes about.
KINDS = {
    "psycopg.Connection": _PSYCOPG,
    "psycopg.AsyncConnection": _PSYCOPG,
    "psycopg_pool.ConnectionPool": _PSYCOPG_POOL,
    "psycopg_pool.AsyncConnectionPool": _PSYCOPG_POOL,
    "psycopg2.connection": Kind("psycopg2_driver", "psycopg2", "2.9"),
    "psycopg2.AbstractConnectionPool": Kind("psycopg2_driver", "psycopg2", "2.9", pools=True),
    "asyncpg.Connection": Kind("asyncpg_driver", "asyncpg", "0.32"),
    "asyncpg.Pool": Kind("asyncpg_driver", "asyncpg", "0.32", pools=True, counted=True),
    "sqlalchemy.Engine": Kind("sqlalchemy_engine", "sqlalchemy", "2.1", pools=True, counted=True),
    "sqlalchemy.AsyncEngine": Kind(
        "sqlalchemy_engine", "sqlalchemy", "2.1", pools=True, counted=True
    ),
    "sqlalchemy.Pool": Kind(
        "sqlalchemy_engine", "sqlalchemy", "2.1", asks=False, pools=True, counted=True
    ),
    "redis.Redis": Kind("redis_client", "redis", "8", pools=True, counted=True),
    "redis.ConnectionPool": Kind(
        "redis_client", "redis", "8", asks=False, pools=True, counted=True
    ),
    "httpx.Client": _HTTPX,
    "httpx.AsyncClient": _HTTPX,
    "sqlite3.Connection": Kind("sqlite_driver"),
}


def kind_of(target: object) -> Kind | None:
    """Return what is known of an object, None for nothing."""
    cls: Any = type(target)
    return _kind_of(cls)


@cache
def _kind_of(cls: Any) -> Kind | None:
    for base in cls.__mro__:
        kind = KINDS.get(f"{base.__module__.partition('.')[0]}.{base.__name__}")
        if kind is not None:
            return kind
    return None


def unsupported(target: object, kinds: dict[str, Kind]) -> PerfkitError:
    """Return the error that names the classes of *kinds*."""
    cls = type(target)
    names = ", ".join(kinds)
    return PerfkitError(f"cannot watch a {cls.__module__}.{cls.__name__}: use one of {names}")


@contextmanager
def tolerant(target: object) -> Iterator[None]:
    """Let a library that is not as it is known be told of in the log, once for each fault."""
    try:
        yield
    except UnknownVersionError as error:
        cls = type(target)
        _warn(f"{cls.__module__}.{cls.__name__} goes unwatched: {error}")


@cache
def _warn(message: str) -> None:
    logger.warning("%s", message)


@cache
def _warn_of_newer(package: str, tried: str) -> None:
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return  # psycopg2 comes under several names, and sources come without any
    parts = tried.split(".")
    series = version.split(".")[: len(parts)]
    if _numbers(series) > _numbers(parts):
        _warn(f"{package} {version} is newer than {tried}: what it does may go uncounted")


def _numbers(parts: list[str]) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in parts]
