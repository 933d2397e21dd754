"""Ends the work on responses that nobody waits for any more.

Requests in flight are looked at from time to time. Of one that has been there for a while the
server is asked whether the client leaves; when it does, the request's task is cancelled, which
tears its dependencies down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from types import CodeType
from typing import Any, NamedTuple, Protocol

PATIENCE_SECONDS = 0.05
"""How often is looked, and so how long a request is left alone at least."""

logger = logging.getLogger("restmachine")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Request(Protocol):
    """A request in flight, as far as its client's leaving is concerned."""

    receive: Receive

    @property
    def receives(self) -> bool:
        """Whether whoever answers it may receive messages of the server."""


class _Watched(NamedTuple):
    task: asyncio.Task[Any]
    waiting: asyncio.Task[None]


class Departures:
    """The requests in flight of one application, and those among them whose clients left.

    Hot path: a request in flight is an entry of a dict and no more. To ask for its task, which
    the few that last need, would cost 0.3 us each; it is found among all tasks instead
    (bench_asgi.py::bench_bare_get).

    Attributes:
        flights: How to receive, or what knows when that is for others to do, by a number that
            the local variable `flight` of the code that serves has meanwhile.
        loop: Where is looked now, None while nothing is in flight.
        watched: The flights of which it is asked whether their clients leave.
    """

    def __init__(self, serving: CodeType) -> None:
        self.flights: dict[int, Receive | Request] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.watched: dict[int, _Watched] = {}
        self._serving = serving
        self._left: set[int] = set()
        self._before: set[int] = set()

    def look_later(self) -> None:
        """Begin to look from time to time, on the running loop if there is one."""
        self.watched, self._left, self._before = {}, set(), set()
        self.loop = asyncio._get_running_loop()
        if self.loop is not None:
            self.loop.call_later(PATIENCE_SECONDS, self._look)

    def leave_alone(self, flight: int) -> None:
        """Receive no more on behalf of a request: it is over, or others do that from now on."""
        self._left.discard(flight)
        watched = self.watched.pop(flight, None)
        if watched is not None:
            watched.waiting.cancel()

    def was_for_its_client(self, flight: int) -> bool:
        """Return whether a request was cancelled because its client left, and for nothing else."""
        watched = self.watched.get(flight)
        if watched is None or flight not in self._left:
            return False
        return watched.task.uncancel() == 0

    def _look(self) -> None:
        assert self.loop is not None
        lasting = {
            flight
            for flight in self._before & self.flights.keys() - self.watched.keys()
            if _may_be_received_for(self.flights[flight])
        }
        for flight, task in self._tasks_of(lasting).items():
            waiting = self.loop.create_task(self._wait(flight, task))
            self.watched[flight] = _Watched(task, waiting)
        self._before = set(self.flights)
        if self.flights:
            self.loop.call_later(PATIENCE_SECONDS, self._look)
        else:
            self.loop = None

    def _tasks_of(self, flights: Collection[int]) -> dict[int, asyncio.Task[Any]]:
        """Return the tasks that serve some flights, by following what each task awaits."""
        found: dict[int, asyncio.Task[Any]] = {}
        for task in asyncio.all_tasks(self.loop) if flights else ():
            awaited: Any = task.get_coro()
            while awaited is not None:
                frame = getattr(awaited, "cr_frame", None)
                if frame is not None and frame.f_code is self._serving:
                    flight = frame.f_locals.get("flight")
                    if flight in flights:
                        found[flight] = task
                awaited = getattr(awaited, "cr_await", None) or getattr(
                    awaited, "gi_yieldfrom", None
                )
        return found

    async def _wait(self, flight: int, task: asyncio.Task[Any]) -> None:
        receive: Any = self.flights[flight]
        if not callable(receive):
            receive = receive.receive
        try:
            await departure(receive)
        except Exception:
            logger.exception("The server cannot tell when a client leaves")
            return
        if flight in self.watched:
            self._left.add(flight)
            task.cancel()


def _may_be_received_for(flight: Receive | Request) -> bool:
    return callable(flight) or not flight.receives


async def departure(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":  # noqa: ASYNC110 - it is no event
        await asyncio.sleep(0)  # for servers that give messages without waiting
