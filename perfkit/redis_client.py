"""redis-py: commands of a client, blocking or for asyncio, and the numbers of its pool.

One operation is one command, or one execution of a pipeline, which is named PIPELINE, or MULTI if
it is a transaction. A blocking command lasts as long as it blocks. What `pubsub` and `monitor`
listen to is not counted. Names are those of commands, never keys or values.

The client is given a subclass of its class, which overrides `execute_command` and `pipeline`; its
pool one which overrides `get_connection` to count those who wait. redis-py's own instrumentation
speaks to OpenTelemetry only, for all clients of the process at once.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, ClassVar

import redis
import redis.asyncio

from perfkit.calls import Call
from perfkit.errors import UnknownVersionError
from perfkit.libraries import tolerant
from perfkit.occupancy import Reading, Wait, Waits, waits_of
from perfkit.subclass import Mixin, override, restore

SYSTEM = "redis"
OTHER = "_OTHER"
# fmt: off
CONTAINERS = frozenset((
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "FUNCTION", "LATENCY", "MEMORY", "MODULE",
    "OBJECT", "PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
))
# fmt: on
_COMMAND = re.compile(r"[A-Z][A-Z0-9._-]{0,39}")

Target = redis.Redis | redis.asyncio.Redis
Pool = redis.ConnectionPool | redis.asyncio.ConnectionPool


class _WatchedClient(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a client."""

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        with Call(SYSTEM, command_name(arguments[0])):
            return super().execute_command(*arguments, **options)

    def pipeline(self, *arguments: Any, **options: Any) -> Any:
        pipeline = super().pipeline(*arguments, **options)
        with tolerant(pipeline):
            override(pipeline, _WatchedPipeline)
        return pipeline


class _WatchedPipeline(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a pipeline; commands that it only collects are not counted."""

    def execute(self, *arguments: Any, **options: Any) -> Any:
        with _execution(self):
            return super().execute(*arguments, **options)

    def immediate_execute_command(self, *arguments: Any, **options: Any) -> Any:
        with Call(SYSTEM, command_name(arguments[0])):
            return super().immediate_execute_command(*arguments, **options)


class _WatchedAsyncClient(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a client for asyncio."""

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        with Call(SYSTEM, command_name(arguments[0])):
            return await super().execute_command(*arguments, **options)

    def pipeline(self, *arguments: Any, **options: Any) -> Any:
        pipeline = super().pipeline(*arguments, **options)
        with tolerant(pipeline):
            override(pipeline, _WatchedAsyncPipeline)
        return pipeline


class _WatchedAsyncPipeline(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a pipeline for asyncio."""

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        with _execution(self):
            return await super().execute(*arguments, **options)

    async def immediate_execute_command(self, *arguments: Any, **options: Any) -> Any:
        with Call(SYSTEM, command_name(arguments[0])):
            return await super().immediate_execute_command(*arguments, **options)


class _CountedPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Counts those who wait until a connection comes back."""

    waits: ClassVar[Waits]

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        queue: Any = self.pool
        with Wait(self.waits) if queue.empty() else nullcontext():
            return super().get_connection(*arguments, **options)


class _CountedAsyncPool(Mixin):  # type: ignore[misc]  # of no class of its own
    """Counts those who wait until a connection comes back, on an event loop."""

    waits: ClassVar[Waits]

    async def get_connection(self, *arguments: Any, **options: Any) -> Any:
        free = self.can_get_connection()
        with nullcontext() if free else Wait(self.waits):
            return await super().get_connection(*arguments, **options)


@lru_cache(maxsize=1024)
def command_name(sent: str | bytes) -> str:
    """Return the name of a command, with its subcommand where it is a container of those."""
    text = sent.decode(errors="replace") if isinstance(sent, bytes) else str(sent)
    words = text.upper().split()
    named = words[:2] if words[:1] and words[0] in CONTAINERS else words[:1]
    return " ".join(named) if named and all(map(_COMMAND.fullmatch, named)) else OTHER


def attach(client: Target) -> None:
    """Report the commands of a client, and of the pipelines that it makes from now on."""
    override(client, _mixin(client))


def detach(client: Target) -> None:
    """Report them no longer."""
    restore(client, _mixin(client))


def count_waits(target: Target | Pool) -> None:
    """Count from now on who waits for a connection; a pool that raises lets nobody wait."""
    pool = _pool(target)
    if isinstance(pool, redis.BlockingConnectionPool) and hasattr(pool, "pool"):
        override(pool, _CountedPool, waits=Waits())
    elif isinstance(pool, redis.asyncio.BlockingConnectionPool):
        override(pool, _CountedAsyncPool, waits=Waits())


def forget_waits(target: Target | Pool) -> None:
    """Count them no longer."""
    for mixin in (_CountedPool, _CountedAsyncPool):
        restore(_pool(target), mixin)


def reading(name: str, target: Target | Pool) -> Reading:
    """Read the pool's public numbers, and those of its waits.

    Raises:
        UnknownVersionError: The pool does not tell them.
    """
    pool: Any = _pool(target)
    try:
        (idle, _), (in_use, _) = pool.get_connection_count()
    except AttributeError as error:
        raise UnknownVersionError(f"a pool of redis-py {redis.__version__}: {error}") from error
    waits = waits_of(pool)
    return Reading(
        name=name,
        system=SYSTEM,
        limit=pool.max_connections,
        size=idle + in_use,
        in_use=in_use,
        waiting=waits.waiting,
        waits=waits.count,
        wait_seconds=waits.seconds,
    )


def _execution(pipeline: Any) -> Call | nullcontext[None]:
    """Return the call of a pipeline; an empty one sends nothing."""
    if not getattr(pipeline, "command_stack", True):
        return nullcontext()
    # The blocking one keeps its flag under the name of a client's method.
    names = ("is_transaction", "transaction", "explicit_transaction")
    is_transaction = any(getattr(pipeline, name, None) is True for name in names)
    return Call(SYSTEM, "MULTI" if is_transaction else "PIPELINE")


def _mixin(client: Target) -> type:
    return _WatchedAsyncClient if isinstance(client, redis.asyncio.Redis) else _WatchedClient


def _pool(target: Target | Pool) -> Any:
    return getattr(target, "connection_pool", target)
