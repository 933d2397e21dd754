"""The steps of a compiled plan: decisions and effects, linked to each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from restmachine.decisions import DIAGRAM, Effect
from restmachine.exchange import Exchange
from restmachine.questions import Test


class Step:
    """A decision or effect that can fire for a route, and where its answers lead.

    Attributes:
        test: Answers it on a thread that may block.
        later: Answers it on an event loop, or prepares it there if `blocks`; None if `test`
            neither awaits nor blocks.
        blocks: Whether `test` may block its thread.
        field: The header field whose presence it asks for, empty if it asks something else.
    """

    __slots__ = ("blocks", "field", "id", "later", "no", "test", "yes")

    def __init__(self, id: str, test: Test, field: bytes = b"") -> None:
        self.id = id
        self.test = test
        self.field = field
        self.later: Callable[[Exchange], Awaitable[bool]] | None = None
        self.blocks = False
        self.yes: Step | int = 0
        self.no: Step | int = 0

    @property
    def is_effect(self) -> bool:
        """Whether it calls the handler."""
        return isinstance(DIAGRAM[self.id], Effect)

    def __repr__(self) -> str:
        return f"<Step {self.id}>"


def decide(step: Step | int, exchange: Exchange) -> int:
    """Run a plan from a step to its end, a status, on a thread that may block."""
    while isinstance(step, Step):
        step = step.yes if step.test(exchange) else step.no
    return step


class _Guard(NamedTuple):
    """Header decisions in a row, all answered no when none of the fields was sent."""

    fields: frozenset[bytes]
    after: Step | int


def skip_absent_fields(first: Step | int, steps: Iterable[Step]) -> Step | int:
    """Put one look at the fields before each run of decisions that look for one.

    Most requests carry none of the fields which a run of steps looks for, one by one. A
    single test leads them past all (bench_plan.py::bench_bare_get), and others into the
    run as it stands, so the outcome is that of the steps alone.

    Args:
        first, steps: As `linking.link` returns them.
    """
    runs: dict[int, Step] = {}

    def guarded(target: Step | int) -> Step | int:
        if not isinstance(target, Step) or not target.field:
            return target
        if id(target) not in runs:
            guard = _run_from(target)
            runs[id(target)] = target
            if len(guard.fields) > 1:
                step = Step(target.id, _none_sent(guard.fields))
                step.yes, step.no = guarded(guard.after), target
                runs[id(target)] = step
        return runs[id(target)]

    entry = guarded(first)
    for step in steps:
        if not step.field:
            step.yes, step.no = guarded(step.yes), guarded(step.no)
        else:
            step.yes = guarded(step.yes)
    return entry


def _run_from(step: Step) -> _Guard:
    fields = set()
    after: Step | int = step
    while isinstance(after, Step) and after.field:
        fields.add(after.field)
        after = after.no
    return _Guard(frozenset(fields), after)


def _none_sent(fields: frozenset[bytes]) -> Test:
    disjoint = fields.isdisjoint
    return lambda exchange: disjoint(exchange.fields)
