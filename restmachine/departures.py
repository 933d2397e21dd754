"""Ends the work on responses that nobody waits for any more.

Requests in flight are looked at from time to time. Of one that has been there for a while the
server is asked whether the client leaves; when it does, the request's task is cancelled, which
tears its dependencies down.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from time import perf_counter
from types import CodeType, CoroutineType, FrameType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

PATIENCE_SECONDS = 0.05
"""How often is looked at most, and so how long a request is left alone at least."""
_SHARE_OF_LOOKING = 0.01  # of the time: with a hundred thousand tasks it is looked less often
_OBJECTS_A_TURN = 10_000  # to look through takes about 0.5 ms

logger = logging.getLogger("restmachine")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class _Flight(NamedTuple):
    """A request in flight: its task, and the local variables of what serves it."""

    task: asyncio.Task[Any]
    state: Mapping[str, Any]

    @property
    def may_be_received_for(self) -> bool:
        """Whether nobody else receives messages of the server for it."""
        exchange = self.state.get("exchange")
        return not (self.state.get("unread") if exchange is None else exchange.receives)

    @property
    def receive(self) -> Receive:
        """How its messages are received."""
        exchange = self.state.get("exchange")
        receive: Receive = self.state["receive"] if exchange is None else exchange.receive
        return receive


class _Watched(NamedTuple):
    task: asyncio.Task[Any]
    waiting: asyncio.Task[None]


class Departures:
    """The requests in flight of one application, and those among them whose clients left.

    Hot path: nothing is written down for a request. Those in flight are found from time to
    time among the tasks of the loop, by the code that serves: its local variables are `self`,
    `scope` and `receive`, `exchange` where there is one, and `unread` while content may still be
    received without one. An entry in a dict would cost each request 0.3 us
    (bench_asgi.py::bench_bare_get).

    Args:
        server: Whose requests these are.
        serving: The code by which it serves.
        written: The global names of functions by which it serves as well, and of no others.

    Attributes:
        loop: The loop of the last request if it is looked at, else None.
        watched: The requests of which it is asked whether their clients leave, by the `id` of
            the scope.
    """

    def __init__(
        self, server: object, serving: Iterable[CodeType], written: Mapping[str, Any]
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.watched: dict[int, _Watched] = {}
        self._server, self._serving, self._written = server, frozenset(serving), written
        self._left: set[int] = set()
        # What was in flight on each loop that is looked at when it was looked last.
        self._before: WeakKeyDictionary[asyncio.AbstractEventLoop, set[int]] = WeakKeyDictionary()

    def look_later(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Look from time to time, beginning later, at the loop that runs, if one does."""
        self.loop = loop
        if loop is not None and loop not in self._before:
            self._before[loop] = set()
            loop.call_later(PATIENCE_SECONDS, self._look, loop)

    def leave_alone(self, flight: int) -> None:
        """Receive no more on behalf of a request: it is over, or others do that from now on."""
        watched = self.watched.pop(flight, None)
        if watched is not None:
            watched.waiting.cancel()
            if flight in self._left:  # the handler took the cancellation for its own
                self._left.remove(flight)
                watched.task.uncancel()

    def was_for_its_client(self, flight: int) -> bool:
        """Return whether a request was cancelled because its client left, and for nothing else."""
        watched = self.watched.get(flight)
        if watched is None or flight not in self._left:
            return False
        self._left.remove(flight)
        return watched.task.uncancel() == 0

    async def in_flight(self) -> int:
        """Return how many requests are in flight.

        They are looked for among all coroutines there are, should the tasks show none: what
        awaits by other means than a coroutine's hides what it awaits. There may be millions of
        objects to look through, so the loop gets its turn in between.
        """
        seen = sum(len(self._flights(loop)) for loop in list(self._before))
        return seen or len(await self._hidden())

    async def _hidden(self) -> set[int]:
        """Return the requests in flight that coroutines serve, awaited by a task or not."""
        found: set[int] = set()
        objects = gc.get_objects()
        while objects:
            found |= self._served_by(objects[-_OBJECTS_A_TURN:])
            del objects[-_OBJECTS_A_TURN:]  # none should live longer for being looked at
            await asyncio.sleep(0)
        return found

    def _served_by(self, objects: Iterable[object]) -> set[int]:
        # By type: `isinstance` would ask proxies for their class, and some of them raise then.
        frames = [each.cr_frame for each in objects if type(each) is CoroutineType]
        states = [self._state_of(frame) for frame in frames]
        return {id(state["scope"]) for state in states if state is not None}

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        started = perf_counter()
        flights = self._flights(loop)
        for number in self._before[loop] & flights.keys() - self.watched.keys():
            flight = flights[number]
            if flight.may_be_received_for:
                waiting = loop.create_task(self._wait(number, flight))
                self.watched[number] = _Watched(flight.task, waiting)
        if flights:
            self._before[loop] = set(flights)
            pause = max(PATIENCE_SECONDS, (perf_counter() - started) / _SHARE_OF_LOOKING)
            loop.call_later(pause, self._look, loop)
        else:
            del self._before[loop]
            self.loop = None

    def _flights(self, loop: asyncio.AbstractEventLoop) -> dict[int, _Flight]:
        """Return the requests in flight on a loop, by following what each of its tasks awaits."""
        found: dict[int, _Flight] = {}
        for task in asyncio.all_tasks(loop):
            awaited: Any = task.get_coro()
            while awaited is not None:
                state = self._state_of(getattr(awaited, "cr_frame", None))
                if state is not None:  # what is further in knows more
                    found[id(state["scope"])] = _Flight(task, state)
                awaited = getattr(awaited, "cr_await", None) or getattr(
                    awaited, "gi_yieldfrom", None
                )
        return found

    def _state_of(self, frame: FrameType | None) -> Mapping[str, Any] | None:
        """Return the local variables of a frame that serves a request, None for any other."""
        if frame is None or not (frame.f_code in self._serving or frame.f_globals is self._written):
            return None
        state: Mapping[str, Any] = frame.f_locals
        serves = state["self"] is self._server and state["scope"]["type"] == "http"
        return state if serves else None

    async def _wait(self, number: int, flight: _Flight) -> None:
        try:
            await departure(flight.receive)
        except Exception:
            logger.exception("The server cannot tell when a client leaves")
            return
        if number in self.watched:
            self._left.add(number)
            flight.task.cancel()


async def departure(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":  # noqa: ASYNC110 - it is no event
        await asyncio.sleep(0)  # for servers that give messages without waiting
