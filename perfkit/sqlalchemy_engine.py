"""SQLAlchemy 2: queries of an engine through its documented events, and its pool's numbers.

One operation is one execution of a DBAPI cursor: an `executemany`, or one batch of a long INSERT,
is one. A failed one is named by the driver's exception. What the driver below would report is left
out, so that each query counts once. Rows that are fetched later are not timed.

The pool of an engine is given a subclass of its class, which overrides `connect`, to count those
who wait; the pool that replaces it after `engine.dispose()` inherits that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool, QueuePool

from perfkit.calls import delegated
from perfkit.errors import NoLimitError
from perfkit.occupancy import Reading, Wait, Waits, waits_of
from perfkit.record import Operation, report
from perfkit.statements import fingerprint, is_transaction_control
from perfkit.subclass import Mixin, override, restore

# SQLAlchemy's name of a dialect, where OpenTelemetry's differs.
SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}
BACKSLASHES = frozenset(("mysql", "mariadb"))

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    Target = Engine | AsyncEngine

_started: ContextVar[float] = ContextVar("perfkit.sqlalchemy_started")


class _CountedPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Counts those who wait until a connection comes back."""

    waits: ClassVar[Waits]

    def connect(self) -> Any:
        with Wait(self.waits) if _is_exhausted(self) else nullcontext():
            return super().connect()


def attach(engine: Target) -> None:
    """Report the queries of an engine's connections."""
    target = _sync(engine)
    for name, listener in LISTENERS.items():
        if not event.contains(target, name, listener):
            event.listen(target, name, listener)


def detach(engine: Target) -> None:
    """Report them no longer."""
    target = _sync(engine)
    for name, listener in LISTENERS.items():
        if event.contains(target, name, listener):
            event.remove(target, name, listener)


def count_waits(target: Target | Pool) -> None:
    """Count from now on who waits for a connection.

    Raises:
        NoLimitError: The pool is none that limits its connections.
    """
    pool = _pool(target)
    if not isinstance(pool, QueuePool):
        raise NoLimitError(
            f"a {type(pool).__name__} has no limit to read: perfkit reads SQLAlchemy's QueuePool"
        )
    override(pool, _CountedPool, waits=Waits())


def forget_waits(target: Target | Pool) -> None:
    """Count them no longer."""
    restore(_pool(target), _CountedPool)


def reading(name: str, target: Target | Pool) -> Reading:
    """Read the numbers of an engine's present pool, and those of its waits."""
    pool: Any = _pool(target)
    in_use, waits, limit = pool.checkedout(), waits_of(pool), _limit(pool)
    return Reading(
        name=name,
        system="sqlalchemy",
        limit=limit,
        size=in_use + pool.checkedin(),
        in_use=in_use,
        waiting=waits.waiting,
        waits=waits.count,
        wait_seconds=waits.seconds,
    )


def _before(connection: Any, *_: Any) -> None:
    delegated.set(True)
    _started.set(perf_counter())


def _after(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
    _end(connection.dialect.name, statement, "")


def _failed(context: Any) -> None:
    # Connecting and fetching fail here too, and are no queries.
    if delegated.get():
        error = context.original_exception
        _end(context.dialect.name, context.statement or "", type(error).__name__)


LISTENERS: dict[str, Callable[..., None]] = {
    "before_cursor_execute": _before,
    "after_cursor_execute": _after,
    "handle_error": _failed,
}


def _end(dialect: str, statement: str, failure: str) -> None:
    delegated.set(False)
    started = _started.get()
    seconds = perf_counter() - started
    name = fingerprint(statement, backslashes=dialect in BACKSLASHES)
    if not is_transaction_control(name):
        report(Operation(SYSTEMS.get(dialect, dialect), name, started, seconds, failure))


def _sync(engine: Target) -> Engine:
    return engine if isinstance(engine, Engine) else engine.sync_engine


def _pool(target: Target | Pool) -> Pool:
    return target if isinstance(target, Pool) else target.pool


def _limit(pool: Any) -> int | None:
    # The limit has no public name.
    overflow = getattr(pool, "_max_overflow", -1)
    return None if overflow < 0 else pool.size() + overflow


def _is_exhausted(pool: Any) -> bool:
    limit = _limit(pool)
    return limit is not None and pool.checkedout() >= limit
