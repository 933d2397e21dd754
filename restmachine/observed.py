"""The parts of a plan as they run when somebody observes: each writes down when it ran.

A plan without observers never comes here; see `hooks` for the entries of a timeline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from restmachine.binding import Getter
from restmachine.dependencies import Call, Made, Preparation
from restmachine.direct import Direct, find_way
from restmachine.exchange import MISSING, Exchange
from restmachine.headers import Pair
from restmachine.hooks import (
    DECISION,
    DEPENDENCY,
    HANDLER,
    RENDERING,
    SENDING,
    Hears,
    Places,
    entries,
)
from restmachine.recipes import Kind
from restmachine.results import ResultKeeper
from restmachine.steps import Step

if TYPE_CHECKING:
    from restmachine.hooks import Entry
    from restmachine.plan import Plan

Later = Callable[[Exchange], Awaitable[Any]]
Keep = Callable[[Exchange, Any], None]
KeepLater = Callable[[Exchange, Any], Awaitable[None]]


class ObservedCall:
    """Makes a dependency after all that it asks for, and writes down when.

    Attributes:
        make: As `Need.make`, for `ObservedPreparation`.
    """

    __slots__ = ("_call", "_needs", "awaits", "before", "blocks", "make", "name")

    def __init__(self, call: Made) -> None:
        self.name = call.name
        self.blocks = call.blocks
        self.before = call.before
        self._needs = call.before.needs
        self._call = call
        self.make: Callable[[list[Any]], Any] | None = None
        self.awaits = False
        simple = (Kind.PLAIN, Kind.COROUTINE)
        if isinstance(call, Call) and call.kind in simple and call.verify is None:
            self.make, self.awaits = call.invoke_prepared, call.kind.is_async

    def run(self, exchange: Exchange) -> Any:
        """Return the value, on a thread that may block."""
        for need in self._needs:
            need.get(exchange)
        started = perf_counter()
        try:
            return self._call.run(exchange)
        finally:
            exchange.timeline.append((DEPENDENCY, self.name, started, perf_counter()))

    async def run_async(self, exchange: Exchange) -> Any:
        """Return the value, on an event loop."""
        started = perf_counter()
        try:
            return await self._call.run_async(exchange)
        finally:
            exchange.timeline.append((DEPENDENCY, self.name, started, perf_counter()))


class ObservedPreparation(Preparation):
    """A preparation that writes down when it made each dependency.

    Hot path: one reading of the clock ends a dependency and starts the next, and nothing is
    called for any (bench_features.py::bench_observed_dependency).
    """

    __slots__ = ("_made",)

    def __init__(self, before: Preparation) -> None:
        super().__init__(before.needs, before.resources, before.reads_content)
        self._made = [
            (need, need.slot, need.call.make, need.call.awaits, need.name)
            if isinstance(need.call, ObservedCall)
            else (need, need.slot, None, False, need.name)
            for need in self.needs
        ]

    async def run(self, exchange: Exchange, until_blocking: bool = False) -> None:
        """Make everything on the event loop, or all before the first that may block."""
        if self.resources or (self.reads_content and exchange.unread):
            await Preparation((), self.resources, self.reads_content).run(exchange)
        values = exchange.values
        timeline = exchange.timeline
        started = perf_counter()
        for need, slot, make, awaits, name in self._made:
            if until_blocking and need.blocks:
                return
            if values[slot] is MISSING:
                if make is None:
                    values[slot] = await need.call.run_async(exchange)
                    started = perf_counter()
                    continue
                try:
                    values[slot] = await make(values) if awaits else make(values)
                finally:
                    ended = perf_counter()
                    timeline.append((DEPENDENCY, name, started, ended))
                    started = ended


def observed_preparation(before: Preparation, kinds: frozenset[str]) -> Preparation:
    """Return a preparation that writes down what it makes if that is wanted."""
    return ObservedPreparation(before) if DEPENDENCY in kinds and before.needs else before


def observe_decision(step: Step) -> None:
    """Make a step write down its answer."""
    test, later, blocks = step.test, step.later, step.blocks

    def noted(exchange: Exchange) -> bool:
        started = perf_counter()
        answer = test(exchange)
        exchange.timeline.append((DECISION, (step.id, answer), started, perf_counter()))
        return answer

    async def noted_later(exchange: Exchange) -> bool:
        assert later is not None
        started = perf_counter()
        answer = await later(exchange)
        exchange.timeline.append((DECISION, (step.id, answer), started, perf_counter()))
        return answer

    step.test = noted
    if later is not None and not blocks:
        step.later = noted_later


def observe_handler(handler: Call) -> tuple[Getter, Later]:
    """Return both ways to call a handler, writing down when."""
    run = handler.invoke if handler.kind is Kind.PLAIN else handler.run
    run_async = handler.invoke if handler.kind is Kind.COROUTINE else handler.run_async
    needs, name = handler.before.needs, handler.name

    def call(exchange: Exchange) -> Any:
        for need in needs:
            need.get(exchange)
        started = perf_counter()
        try:
            return run(exchange)
        finally:
            exchange.timeline.append((HANDLER, name, started, perf_counter()))

    async def call_later(exchange: Exchange) -> Any:
        started = perf_counter()
        try:
            return await run_async(exchange)
        finally:
            exchange.timeline.append((HANDLER, name, started, perf_counter()))

    return call, call_later


def observed_coroutine(handler: Call, before: Preparation, keep: Keep) -> Later:
    """Return how a plan prepares and awaits an async handler, and writes down when.

    Hot path: a coroutine less than with `observe_handler` (bench_features.py::bench_observer_on).
    """
    invoke, name, prepares = handler.invoke, handler.name, before.awaits

    async def run_later(exchange: Exchange) -> bool:
        if prepares:
            await before.run(exchange)
        started = perf_counter()
        try:
            value = await invoke(exchange)
        finally:
            exchange.timeline.append((HANDLER, name, started, perf_counter()))
        keep(exchange, value)
        return True

    return run_later


def observe_keeper(keeper: ResultKeeper) -> tuple[Keep, KeepLater]:
    """Return both ways to render as a route itself says, writing down when."""

    def keep(exchange: Exchange, value: Any) -> None:
        started = perf_counter()
        try:
            keeper.keep(exchange, value)
        finally:
            exchange.timeline.append((RENDERING, "", started, perf_counter()))

    async def keep_later(exchange: Exchange, value: Any) -> None:
        started = perf_counter()
        try:
            await keeper.keep_later(exchange, value)
        finally:
            exchange.timeline.append((RENDERING, "", started, perf_counter()))

    return keep, keep_later


class EndedBy(int):
    """A status in which a plan ends, which knows the last decision before it."""

    decision: str

    def __new__(cls, status: int, decision: str) -> EndedBy:
        """Make a status of its own for one decision."""
        self = super().__new__(cls, status)
        self.decision = decision
        return self


def observe_ends(first: Step | int) -> Step | int:
    """Put a step before every status in which a plan may end that notes the last decision.

    Its id is the status: it stands for no row. It is no class of its own, whose attributes
    would be found more slowly among those of other steps (bench_features.py::bench_observer_on).
    """
    ends: dict[tuple[int, str], Step] = {}
    seen: set[int] = set()

    def noted(target: Step | int) -> Step | int:
        if isinstance(target, EndedBy):
            key = (int(target), target.decision)
            if key not in ends:
                ends[key] = Step(f"{target}", _note_end(target.decision))
                ends[key].yes = ends[key].no = key[0]
            return ends[key]
        if isinstance(target, Step) and id(target) not in seen:
            seen.add(id(target))
            target.yes, target.no = noted(target.yes), noted(target.no)
        return target

    return noted(first)


def _note_end(decision: str) -> Callable[[Exchange], bool]:
    def note(exchange: Exchange) -> bool:
        exchange.decision = decision
        return True

    return note


@dataclass(slots=True, frozen=True)
class ObservedDirect:
    """The direct way of a plan that somebody observes; the adapter goes it and marks the time.

    Attributes:
        status, decision: Of a request that has gone it to its end.
        places: The kind and subject of what ends at each mark but the first: each dependency,
            the handler, the rendering, the sending.
        hears: What those who observe hear of.
        clocked: Whether anybody wants the marks of a request that has no exchange.
    """

    way: Direct
    status: int
    decision: str
    places: Places
    hears: Hears
    clocked: bool

    def respond(self, exchange: Exchange, head: list[Pair], content: bytes) -> list[Pair]:
        """Put the response into an exchange, tell that it starts, and return its fields."""
        exchange.decision = self.decision
        exchange.status, exchange.head, exchange.content = self.status, head, content
        if self.hears.response_started is not None:
            self.hears.response_started(exchange, self.status, exchange.marks[-1])
        return exchange.head

    def entries(self, exchange: Exchange, first: int) -> Iterator[Entry]:
        """Yield the entries, of the kinds that are wanted, of what ended at marks."""
        content = exchange.content
        # One that has left this way may be a stream; then nothing that was sent ends at a mark.
        size = len(content) if content.__class__ is bytes else 0
        found = entries(self.places, exchange.marks, size, first)
        return (entry for entry in found if entry[0] in self.hears.kinds)


def observe_direct(plan: Plan) -> ObservedDirect | None:
    """Return the direct way of a plan that somebody observes, None where it has none."""
    way = None if plan.streams_content else find_way(plan)  # pieces of content come between
    if way is None or way.handler.blocks or plan.handler is None:
        return None
    if not isinstance(way.status, EndedBy):
        return None
    return ObservedDirect(
        way,
        int(way.status),
        way.status.decision,
        (
            *((DEPENDENCY, need.name) for need in plan.handler.before.needs),
            (HANDLER, plan.handler.name),
            (RENDERING, ""),
            (SENDING, ""),
        ),
        plan.hears,
        clocked=bool(plan.hears.kinds) or plan.hears.passed is not None,
    )
