"""One call that watches an object of any library that perfkit knows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from perfkit import pools
from perfkit.errors import NoLimitError, PerfkitError
from perfkit.libraries import KINDS, kind_of, tolerant, unsupported

logger = logging.getLogger("perfkit")

ASKING = {name: kind for name, kind in KINDS.items() if kind.asks}

Target = TypeVar("Target")


def watch(
    target: Target, name: str = "", *, outgoing: Callable[[], Mapping[str, str]] | None = None
) -> Target:
    """Report what an object asks of other systems, read the pool that it has, and return it.

    Args:
        target: A connection, a pool, an engine or a client; to watch it again changes nothing.
        name: What to call its pool; without it that is the library, numbered from the second on.
        outgoing: Returns the header fields with which an httpx client passes on the trace context.

    Raises:
        PerfkitError: The object is of no known kind, or does not take what was given for it.
    """
    kind = kind_of(target)
    if kind is None or not kind.asks:
        raise unsupported(target, ASKING)
    if outgoing is not None and kind.room != "httpx_client":
        raise PerfkitError("outgoing= is for a client of httpx: leave it out for others")
    if name and not kind.pools:
        raise PerfkitError(f"a {type(target).__name__} has no pool that name= could call {name!r}")
    with tolerant(target):
        options: dict[str, Any] = {} if outgoing is None else {"outgoing": outgoing}
        kind.load().attach(target, **options)
        if name:
            pools.watch(name, target)
        elif kind.pools and not pools.is_watched(target):
            with suppress(NoLimitError):
                pools.watch(pools.free_name(kind.package), target)
    return target


def watch_all(targets: Mapping[str, object]) -> list[str]:
    """Watch those of several objects that can be, and return their names.

    What is known but cannot be watched is told of in the log.
    """
    names = []
    for name, target in targets.items():
        kind = kind_of(target)
        if kind is None or not kind.asks:
            continue
        try:
            with suppress(NoLimitError):
                watch(target, pools.free_name(name) if kind.pools else "")
        except PerfkitError as error:
            logger.warning("%s goes unwatched: %s", name, error)
        else:
            names.append(name)
    return names


def unwatch(target: object) -> None:
    """Report no more of what an object does, and read its pool no longer.

    Raises:
        PerfkitError: The object cannot be let go, or is of no known kind.
    """
    kind = kind_of(target)
    if kind is None or not kind.asks:
        raise unsupported(target, ASKING)
    pools.unwatch(target)
    with tolerant(target):
        kind.load().detach(target)
