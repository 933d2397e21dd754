"""Pools and caches: connections that are reused, and answers that are not computed twice.

Start it with ``python -m restmachine serve examples.museum:asgi_app``. It needs starlette, for
the compression.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from tempfile import mkdtemp
from typing import Any

from starlette.middleware.gzip import GZipMiddleware

from restmachine import ASGIAdapter, RestApplication
from restmachine.decorators import cache_response, skip_auth_check, skip_content_negotiation

FRESH_FOR_S = 60.0

app = RestApplication()
asgi_app = GZipMiddleware(ASGIAdapter(app), minimum_size=500)


class Pool:
    """A fixed number of connections; whoever finds none waits."""

    def __init__(self, path: Path, size: int) -> None:
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self.all = [sqlite3.connect(path, check_same_thread=False) for _ in range(size)]
        for connection in self.all:
            self.give_back(connection)

    def take(self) -> sqlite3.Connection:
        """Return a connection that nobody else has."""
        return self._idle.get()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Let others have a connection."""
        self._idle.put(connection)


class Cache:
    """Values by name, each with the moment at which it stops being fresh."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Any:
        """Return a fresh value, None where there is none."""
        with self._lock:
            until, value = self._values.get(name, (0.0, None))
        return value if time.monotonic() < until else None

    def set(self, name: str, value: Any, fresh_for_s: float = FRESH_FOR_S) -> None:
        """Keep a value."""
        with self._lock:
            self._values[name] = (time.monotonic() + fresh_for_s, value)


@app.on_startup
def folder() -> Path:
    """Make the place of the database, with the exhibits in it."""
    made = Path(mkdtemp())
    connection = sqlite3.connect(made / "museum.db")
    with connection:
        connection.execute("CREATE TABLE exhibits (id INTEGER PRIMARY KEY, name TEXT, room TEXT)")
        connection.executemany(
            "INSERT INTO exhibits VALUES (?, ?, ?)",
            [(number, f"vase {number}", "east" if number % 2 else "west") for number in range(60)],
        )
    connection.close()
    return made


@app.on_startup
def pool(folder: Path) -> Pool:
    """Open the connections once, whatever the number of requests."""
    return Pool(folder / "museum.db", size=4)


@app.on_startup
def cache() -> Cache:
    """Begin with nothing."""
    return Cache()


@app.on_shutdown
def close_everything(pool: Pool, folder: Path) -> None:
    """Close the connections, then remove the file they were open on."""
    for connection in pool.all:
        connection.close()
    (folder / "museum.db").unlink()
    folder.rmdir()


@app.dependency()
def connection(pool: Pool) -> Iterator[sqlite3.Connection]:
    """Lend a request a connection until it is over, also when it fails."""
    lent = pool.take()
    try:
        yield lent
    finally:
        pool.give_back(lent)


@app.default_authorized
def visitor(request_headers: Any) -> bool:
    """Everybody with a ticket may come in."""
    return bool(request_headers.get("Authorization", "").startswith("Bearer "))


@app.get("/rooms/{room}")
def read_room(room: str, connection: sqlite3.Connection, cache: Cache) -> Any:
    """List a room's exhibits, from the cache where it has them."""
    kept = cache.get(room)
    if kept is not None:
        return kept, 200, {"X-Cache": "HIT"}
    rows = connection.execute("SELECT id, name FROM exhibits WHERE room = ?", (room,)).fetchall()
    exhibits = [{"id": number, "name": name} for number, name in rows]
    cache.set(room, exhibits)
    return exhibits, 200, {"X-Cache": "MISS"}


@app.get("/exhibits/{number}/weight")
def weigh(number: int, connection: sqlite3.Connection) -> Any:
    """Fail for an exhibit that is not there; the connection goes back all the same."""
    ((name,),) = connection.execute("SELECT name FROM exhibits WHERE id = ?", (number,)).fetchall()
    return {"name": name, "kg": len(name) / 2}


@app.get("/opening-hours")
@skip_content_negotiation
@skip_auth_check
@cache_response(max_age=3600)
def opening_hours() -> dict[str, str]:
    """Tell everybody, in JSON only, and let them keep it for an hour."""
    return {"tuesday to sunday": "10-18"}
