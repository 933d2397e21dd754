"""Connection pools under a name each, for a scrape to read.

A pool that dies is forgotten; one of asyncpg, which cannot be referred to weakly, once it closes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any
from weakref import ref

from perfkit.errors import PerfkitError
from perfkit.libraries import KINDS, kind_of, tolerant, unsupported
from perfkit.occupancy import Reading

POOLS = {name: kind for name, kind in KINDS.items() if kind.pools}

_lock = Lock()
_watched: dict[str, tuple[Callable[[], Any], Callable[[str, Any], Reading]]] = {}


def watch(name: str, pool: object) -> None:
    """Read a pool, or that of an engine or a client, under a name from now on.

    Raises:
        PerfkitError: The name is another living pool's, or the object is of no known kind.
    """
    kind = kind_of(pool)
    if kind is None or not kind.pools:
        raise unsupported(pool, POOLS)
    with tolerant(pool):
        room = kind.load()
        with _lock:
            known = _watched.get(name)
            if known is not None and known[0]() not in (None, pool):
                raise PerfkitError(
                    f'a pool called "{name}" is watched already: choose another name'
                )
            if kind.counted:
                room.count_waits(pool)
            _watched[name] = (_reference(pool), room.reading)


def unwatch(pool: object) -> None:
    """Read a pool no longer, whatever it is called."""
    kind = kind_of(pool)
    with _lock:
        names = [name for name, (reference, _) in _watched.items() if reference() is pool]
        for name in names:
            del _watched[name]
    if names and kind is not None and kind.counted:
        kind.load().forget_waits(pool)


def readings() -> Iterator[Reading]:
    """Read every pool now; one that cannot be read is told of in the log once."""
    for name, (reference, read) in tuple(_watched.items()):
        pool = reference()
        if pool is None:
            with _lock:
                if _watched.get(name, (None,))[0] is reference:
                    del _watched[name]
            continue
        with tolerant(pool):
            yield read(name, pool)


def free_name(wanted: str) -> str:
    """Return a name that no living pool has: *wanted*, or that with a number."""
    number = 1
    name = wanted
    while name in _watched and _watched[name][0]() is not None:
        number += 1
        name = f"{wanted}-{number}"
    return name


def is_watched(pool: object) -> bool:
    """Whether a pool is read under any name."""
    return any(reference() is pool for reference, _ in tuple(_watched.values()))


def _reference(pool: Any) -> Callable[[], Any]:
    try:
        return ref(pool)
    except TypeError:
        return lambda: None if pool.is_closing() else pool
