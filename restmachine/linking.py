"""Links the decisions that can fire for a plan to each other, and to the call of its handler.

Most plans of an application ask no callback. The steps of these differ by what their questions
settle and by how a handler is run, never by whose handler that is, so all that are alike share
theirs. Each step reads what is the plan's own from the exchange.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from restmachine.binding import Getter
from restmachine.decisions import DIAGRAM, START, Decision, Effect, Target
from restmachine.dependencies import NOTHING, Call, Preparation
from restmachine.exchange import Exchange
from restmachine.hooks import DECISION, HANDLER, RENDERING
from restmachine.observed import (
    EndedBy,
    Keep,
    KeepLater,
    Later,
    observe_decision,
    observe_handler,
    observe_keeper,
    observed_coroutine,
    observed_preparation,
)
from restmachine.outcome import take
from restmachine.questions import Check
from restmachine.recipes import Kind
from restmachine.steps import Step, skip_absent_fields

if TYPE_CHECKING:
    from restmachine.plan import Plan
    from restmachine.response_cache import ResponseCache


class Links(NamedTuple):
    """The linked steps of all plans that are alike.

    Attributes:
        first: Where deciding starts, without looks at several fields at once.
        guarded: The same with them; see `skip_absent_fields`.
        may_await, may_block: Whether any step may.
    """

    first: Step | int
    guarded: Step | int
    may_await: bool
    may_block: bool


_SETTLE = tuple(row.question.settle for row in DIAGRAM.values() if isinstance(row, Decision))

# There are as many entries as kinds of routes, some dozens, whatever the number of routes.
_LINKS: dict[tuple[Any, ...], Links] = {}


def share_links(plan: Plan) -> Links | None:
    """Return the steps that a plan shares with all that are alike, None if it needs its own.

    To link them for each would take half of a start-up, and as much memory as all else of a
    plan (bench_startup.py::bench_compiling_100, and for plans of which each has its own steps
    bench_compiling_100_protected).
    """
    if not is_shared(plan):
        return None
    handler = plan.handler
    way = None if handler is None else _way_to_call(handler)
    kind = (way, plan.options.bypass, *[settle(plan) for settle in _SETTLE])
    links = _LINKS.get(kind)
    if links is None:
        first = link(plan)[0]
        second, steps = link(plan)  # the guards change these
        links = _LINKS[kind] = Links(
            first,
            skip_absent_fields(second, steps),
            may_await=any(step.later is not None for step in steps),
            may_block=any(step.blocks for step in steps),
        )
    return links


def is_shared(plan: Plan) -> bool:
    """Return whether nothing in the steps of a plan is its own but what an exchange tells."""
    own = plan.keeper is not None or plan.cache is not None
    return not (plan.checks or plan.observed or own)


def link(plan: Plan) -> tuple[Step | int, Collection[Step]]:
    """Return the first step of the diagram as it applies to a plan, and all steps.

    Decisions which the route settles are followed now and leave no step behind.
    """
    steps: dict[str, Step] = {}
    kinds = plan.hears.kinds

    def follow(target: Target, last: str = "") -> Step | int:
        while isinstance(target, str):
            last = target
            row = DIAGRAM[target]
            if isinstance(row, Effect):
                return effect(target, row)
            settled = row.question.settle(plan)
            if settled is None:
                return decision(target)
            target = row.yes if settled else row.no
        return EndedBy(target, last) if plan.observed else target

    def effect(id: str, row: Effect) -> Step:
        if id not in steps:
            step = steps[id] = handler_step(plan, id)
            step.yes = step.no = follow(row.then, id)
            if plan.cache is not None:
                look = steps[f"{id} or reuse"] = reusing_step(plan, plan.cache, id)
                look.yes, look.no = EndedBy(200, id) if plan.observed else 200, step
        return steps.get(f"{id} or reuse", steps[id])

    def decision(id: str) -> Step:
        if id not in steps:
            row = DIAGRAM[id]
            assert not isinstance(row, Effect)
            step = steps[id] = Step(id, row.question.bind(plan), row.question.field)
            turns = row.question.turns(plan)
            if len(turns) > 1:
                arrange_turns(step, turns, row.question.settling)
            else:
                arrange(step, observed_preparation(row.question.before(plan), kinds))
            if DECISION in kinds:
                observe_decision(step)
            step.yes, step.no = follow(row.yes, id), follow(row.no, id)
        return steps[id]

    first = follow("produce" if plan.options.bypass else START)
    return first, steps.values()


def arrange(step: Step, before: Preparation) -> None:
    """Give a step the way in which it is answered on an event loop."""
    if before is NOTHING:
        return
    test = step.test
    step.blocks = before.blocks
    if step.blocks:
        step.later = _until_blocking(before)
    elif before.awaits:

        async def later(exchange: Exchange) -> bool:
            await before.run(exchange)
            return test(exchange)

        step.later = later


def arrange_turns(step: Step, checks: Sequence[Check], settling: bool) -> None:
    """Give a step of several callbacks the way in which they are asked on an event loop.

    As on a thread, one is not even prepared when one before it has settled the question.
    """
    turns = [(Preparation.of([check.need]), check) for check in checks]
    step.blocks = any(before.blocks for before, _ in turns)
    if step.blocks:
        step.later = _until_blocking(turns[0][0])
    elif any(before.awaits for before, _ in turns):

        async def later(exchange: Exchange) -> bool:
            for before, check in turns:
                await before.run(exchange)
                if check.answer(exchange) is settling:
                    return settling
            return not settling

        step.later = later


def _until_blocking(before: Preparation) -> Callable[[Exchange], Awaitable[bool]]:
    async def later(exchange: Exchange) -> bool:
        await before.run(exchange, until_blocking=True)
        return False

    return later


def _way_to_call(handler: Call) -> tuple[bool, Callable[[Exchange], Awaitable[bool]] | None]:
    """Return whether calling a handler may block, and how that is done on an event loop."""
    if handler.before.blocks or handler.blocks:
        return True, _prepare_until_blocking
    if handler.before.awaits:
        is_coroutine = handler.kind is Kind.COROUTINE
        return False, _prepare_and_await if is_coroutine else _prepare_and_run
    return False, _await_handler if handler.kind is Kind.COROUTINE else None


def _run_handler(exchange: Exchange) -> bool:
    handler = exchange.plan.handler
    assert handler is not None
    take(exchange, handler.run(exchange))
    return True


async def _await_handler(exchange: Exchange) -> bool:
    handler = exchange.plan.handler
    assert handler is not None
    # An async handler's own coroutine is awaited without another around it
    # (bench_asgi.py::bench_bare_get).
    take(exchange, await handler.invoke(exchange))
    return True


async def _prepare_and_await(exchange: Exchange) -> bool:
    handler = exchange.plan.handler
    assert handler is not None
    await handler.before.run(exchange)
    take(exchange, await handler.invoke(exchange))
    return True


async def _prepare_and_run(exchange: Exchange) -> bool:
    handler = exchange.plan.handler
    assert handler is not None
    await handler.before.run(exchange)
    take(exchange, await handler.run_async(exchange))
    return True


async def _prepare_until_blocking(exchange: Exchange) -> bool:
    handler = exchange.plan.handler
    assert handler is not None
    await handler.before.run(exchange, until_blocking=True)
    return False


def reusing_step(plan: Plan, cache: ResponseCache, id: str) -> Step:
    """Return the step before the handler's that looks for a stored response."""
    before = Preparation(reads_content=plan.reads_content)
    before = before.joined(plan.preparation_of("generate_etag"))
    before = before.joined(plan.preparation_of("last_modified"))

    async def find_later(exchange: Exchange) -> bool:
        await before.run(exchange)
        return await cache.find_later(exchange)

    step = Step(id, cache.find)
    step.blocks = before.blocks
    step.later = _until_blocking(before) if before.blocks else find_later
    return step


def handler_step(plan: Plan, id: str) -> Step:
    """Return the step that calls the handler and takes what it returns."""
    handler = plan.handler
    assert handler is not None
    if is_shared(plan):
        step = Step(id, _run_handler)
        step.blocks, step.later = _way_to_call(handler)
        return step
    return _own_handler_step(plan, handler, id)


def _own_handler_step(plan: Plan, handler: Call, id: str) -> Step:
    """Return the same for a plan that shares none of its steps."""
    before = handler.before
    if plan.method in ("GET", "HEAD"):
        before = before.joined(plan.preparation_of("generate_etag"))
        before = before.joined(plan.preparation_of("last_modified"))
    call: Getter = handler.run
    # An async handler's own coroutine is awaited without another around it
    # (bench_asgi.py::bench_bare_get).
    call_later: Later = handler.invoke if handler.kind is Kind.COROUTINE else handler.run_async
    kinds = plan.hears.kinds
    before = observed_preparation(before, kinds)
    if HANDLER in kinds:
        call, call_later = observe_handler(handler)

    keeper = plan.keeper
    keep: Keep = take
    if keeper is not None:
        keep = keeper.keep
        keep_later: KeepLater = keeper.keep_later
        if RENDERING in kinds:
            keep, keep_later = observe_keeper(keeper)

    def run(exchange: Exchange) -> bool:
        keep(exchange, call(exchange))
        return True

    async def run_later(exchange: Exchange) -> bool:
        await before.run(exchange)
        keep(exchange, await call_later(exchange))
        return True

    async def run_bare(exchange: Exchange) -> bool:
        keep(exchange, await call_later(exchange))
        return True

    async def run_kept(exchange: Exchange) -> bool:
        await before.run(exchange)
        await keep_later(exchange, await call_later(exchange))
        return True

    step = Step(id, run)
    if before.blocks or handler.blocks or (keeper is not None and keeper.blocks):
        step.blocks = True
        step.later = _until_blocking(before)
    elif keeper is not None and keeper.awaits:
        step.later = run_kept
    elif HANDLER in kinds and handler.kind is Kind.COROUTINE:
        step.later = observed_coroutine(handler, before, keep)
    elif before.awaits:
        step.later = run_later
    elif handler.kind is Kind.COROUTINE:
        step.later = run_bare
    return step
