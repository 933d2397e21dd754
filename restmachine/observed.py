"""The parts of a plan as they run when somebody observes: each writes down when it ran.

A plan without observers never comes here; see `hooks` for the entries of a timeline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from restmachine.binding import Getter
from restmachine.dependencies import Call, Made, Preparation
from restmachine.direct import Direct, fail_with, find_direct, go_on
from restmachine.exchange import MISSING, Exchange
from restmachine.hooks import DECISION, DEPENDENCY, HANDLER, RENDERING
from restmachine.recipes import Kind
from restmachine.representations import encode_data
from restmachine.results import ResultKeeper
from restmachine.steps import Step

if TYPE_CHECKING:
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
    """The direct way of a plan that somebody observes.

    Attributes:
        moves: As `Direct.moves`, each with the name of the dependency.
        decision: The last decision on that way.
        notes_dependencies, notes_handler, notes_rendering: What is written down.
    """

    way: Direct
    moves: tuple[tuple[int, Callable[[list[Any]], Any], bool, str], ...]
    status: int
    decision: str
    handler: str
    notes_dependencies: bool
    notes_handler: bool
    notes_rendering: bool

    async def answer(self, exchange: Exchange) -> Step | None:
        """Answer an exchange, or return the step from which the plan must go on.

        The plain twin is `serving.respond_on_loop`, as of the direct way itself.
        """
        values, timeline = exchange.values, exchange.timeline
        way = self.way
        started = perf_counter()
        try:
            for slot, make, awaits, name in self.moves:
                try:
                    values[slot] = await make(values) if awaits else make(values)
                finally:
                    if self.notes_dependencies:
                        ended = perf_counter()
                        timeline.append((DEPENDENCY, name, started, ended))
                        started = ended
            try:
                result = way.call(values)
                if way.awaits:
                    result = await result
            finally:
                ended = perf_counter()
                if self.notes_handler:
                    timeline.append((HANDLER, self.handler, started, ended))
        except Exception as error:
            return fail_with(way, error)
        content = encode_data(result)
        if content is None:
            return go_on(way, result)
        exchange.decision = self.decision
        exchange.status, exchange.content = self.status, content
        exchange.head = [*way.head, (b"content-length", b"%d" % len(content))]
        if self.notes_rendering:
            timeline.append((RENDERING, "", ended, perf_counter()))
        return None


def observe_direct(plan: Plan) -> ObservedDirect | None:
    """Return the direct way of a plan that somebody observes, None where it has none."""
    way = find_direct(plan)
    if way is None or plan.handler is None or not isinstance(way.status, EndedBy):
        return None
    names = [need.name for need in plan.handler.before.needs]
    kinds = plan.hears.kinds
    return ObservedDirect(
        way,
        tuple((*move, name) for move, name in zip(way.moves, names, strict=True)),
        int(way.status),
        way.status.decision,
        plan.handler.name,
        DEPENDENCY in kinds,
        HANDLER in kinds,
        RENDERING in kinds,
    )
