"""The direct way: what a route does for a request whose fields ask nothing of it.

Most requests carry no field that a decision looks for, and most routes have no callback to
ask. All that is left then is known when the plan is compiled: which dependencies to make,
the handler's call, the status and the fields of the response. The adapter goes that way
without an `Exchange`, and makes one as soon as anything else turns up, to go on with it in
the plan. `serving.respond_on_loop` is the plain twin; a property test holds one to the other.

Of routes that make dependencies those go it that hop to a worker or are observed; of the others
`checked` tells what is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from restmachine.binding import Values
from restmachine.decisions import LONGEST_CACHED, preferred_media_type
from restmachine.dependencies import Preparation
from restmachine.exchange import MISSING, Exchange
from restmachine.headers import Pair
from restmachine.outcome import take
from restmachine.recipes import Kind
from restmachine.resources import Resource
from restmachine.steps import Step

if TYPE_CHECKING:
    from restmachine.plan import Plan

ACCEPT = b"accept"
ANY_TYPE = b"*/*"


Moves = tuple[tuple[int, Callable[[Values], Any], bool], ...]
BlockingMoves = tuple[tuple[int, Callable[[Values], Any]], ...]

_MOST_SETTLED = 64


class Settled(NamedTuple):
    """An answer that a plan gives to every request with the same Accept field."""

    status: int
    head: tuple[Pair, ...]
    content: bytes


def keep_settled(exchange: Exchange) -> None:
    """Keep the answer to a request as that to all with the same Accept field, if it is short."""
    settled, accept = exchange.plan.settled, exchange.fields.get(ACCEPT)
    assert settled is not None
    assert isinstance(exchange.content, bytes)
    if len(settled) < _MOST_SETTLED and len(accept or b"") <= LONGEST_CACHED:
        settled[accept] = Settled(exchange.status, tuple(exchange.head), exchange.content)


@dataclass(slots=True, frozen=True)
class Direct:
    """What a plan does for a request without the *fields* that its decisions look for.

    Attributes:
        fields: Names of fields that lead another way; Accept does not if it takes `media_types`.
        media_types: What Accept chooses from, the one that is sent first; empty if it is not
            looked at.
        resources: Session dependencies, which must have been made before.
        moves: The request dependencies in order: place, how it is made, whether that awaits.
        blocking_moves: Those that are made on a worker thread, after the others.
        call: Calls the handler with what was made; `awaits` tells whether that awaits.
        bare: The handler itself if it asks for nothing, else None.
        handler: The step that calls the handler in the plan.
        status: Of the response if the handler returns data.
        head: The fields of that response but its length.
    """

    fields: frozenset[bytes]
    media_types: tuple[str, ...]
    resources: tuple[Resource, ...]
    moves: Moves
    blocking_moves: BlockingMoves
    call: Callable[[Values], Any]
    bare: Callable[[], Any] | None
    awaits: bool
    handler: Step
    status: int
    head: tuple[Pair, ...]

    def suits(self, headers: Iterable[Pair]) -> bool:
        """Return whether a request with these header fields can be answered so, now."""
        # Hot path: a dict of the fields would cost twice as much (bench_asgi.py::bench_bare_get).
        fields = self.fields
        accept = None
        for name, value in headers:
            if name in fields:
                if name != ACCEPT or accept is not None:
                    return False
                accept = value
        for resource in self.resources:
            if resource.value is MISSING:
                return False
        return accept is None or accept == ANY_TYPE or self.accepts(accept)

    def accepts(self, accept: bytes) -> bool:
        """Return whether an Accept field prefers the media type that is sent first anyway."""
        offered = self.media_types
        return len(accept) <= LONGEST_CACHED and (
            preferred_media_type(accept, offered) == offered[0]
        )


def find_direct(plan: Plan) -> Direct | None:
    """Return the direct way of a plan whose steps are linked, None where it has none.

    It has none if anything may block, a dependency is made, a callback is asked, or more is done
    with a result than to write it as JSON.
    """
    way = find_way(plan)
    return None if way is None or way.handler.blocks or way.moves else way


def find_hopping(plan: Plan) -> Direct | None:
    """Return the direct way of a plan that hops to a worker, None where it has none.

    As `find_direct`, but what is made last and the handler may block.
    """
    way = find_way(plan)
    return way if way is not None and way.handler.blocks else None


def find_way(plan: Plan) -> Direct | None:
    """Return the direct way of a plan, whether or not it makes dependencies and may block."""
    if plan.handler is None or plan.validates:
        return None
    if plan.ending is not None and plan.ending.always:
        return None
    fields, step = _follow(plan.first)
    moves = _moves(plan.handler.before)
    if step is None or moves is None or (moves[1] and not step.blocks):
        return None
    return way_to(step, plan, fields, *moves)


def way_to(
    step: Step,
    plan: Plan,
    fields: Iterable[bytes],
    moves: Moves = (),
    blocking_moves: BlockingMoves = (),
) -> Direct | None:
    """Return the direct way through a step that calls the handler, None where there is none.

    Args:
        fields: The names of the fields that lead another way.
        moves, blocking_moves: What is made for the handler.
    """
    handler = plan.handler
    if handler is None or plan.method == "HEAD" or plan.keeper is not None:
        return None
    ending = plan.ending
    if plan.cache is not None or (ending and ending.always and ending.defaults is None):
        return None
    kinds = (Kind.PLAIN,) if step.blocks else (Kind.PLAIN, Kind.COROUTINE)
    if handler.invoke_prepared is None or handler.kind not in kinds:
        return None
    status = _status_of_data(plan, step)
    if status is None or not plan.default_rendition.is_plain_json:
        return None
    stated = plan.policy
    looked_at = frozenset((*fields, b"range", *(() if stated is None else stated.fields)))
    head = plan.default_rendition.success_head
    return Direct(
        fields=looked_at,
        media_types=plan.media_types if ACCEPT in looked_at else (),
        resources=handler.before.resources,
        moves=moves,
        blocking_moves=blocking_moves,
        call=handler.invoke_prepared,
        bare=handler.bare,
        awaits=handler.kind is Kind.COROUTINE,
        handler=step,
        status=status,
        head=head if stated is None else stated.head_of(head),
    )


def _follow(first: Step | int) -> tuple[set[bytes], Step | None]:
    """Return the fields that are looked for on the way to the handler, and the step there.

    None for the step stands for a way on which more is asked.
    """
    fields: set[bytes] = set()
    step = first
    while isinstance(step, Step):
        if not step.field:
            return fields, step if step.is_effect else None
        fields.add(step.field)
        step = step.no
    return fields, None


def _moves(before: Preparation) -> tuple[Moves, BlockingMoves] | None:
    """Return what is made on the loop, and from the first that may block what is on a worker."""
    moves: list[tuple[int, Callable[[Values], Any], bool]] = []
    blocking: list[tuple[int, Callable[[Values], Any]]] = []
    for need in before.needs:
        make = need.make or getattr(need.call, "make", None)  # an observed call has its own
        if make is None or need.verify is not None:
            return None
        if need.blocks or blocking:
            if need.awaits:
                return None
            blocking.append((need.slot, make))
        else:
            moves.append((need.slot, make, need.awaits))
    return None if before.reads_content else (tuple(moves), tuple(blocking))


_ANSWERS_OF_DATA = {"P11": False, "O20": True}
"""What the rows behind the handler answer if it returned data and stated nothing else."""


def _status_of_data(plan: Plan, handler: Step) -> int | None:
    """Return the status of a response with data, None where more than the plan decides it."""
    step = handler.yes
    while isinstance(step, Step):
        if step.id not in _ANSWERS_OF_DATA or (step.id == "P11" and plan.method == "PUT"):
            return None
        step = step.yes if _ANSWERS_OF_DATA[step.id] else step.no
    return step


def go_on(direct: Direct, result: Any) -> Step:
    """Return the step that goes on in the plan with what the handler returned."""

    def keep(exchange: Exchange) -> bool:
        take(exchange, result)
        return True

    step = Step(direct.handler.id, keep)
    step.yes = step.no = direct.handler.yes
    return step


def fail_with(direct: Direct, error: Exception) -> Step:
    """Return a step that fails as the handler, or what it needs, did."""

    def fail(exchange: Exchange) -> bool:
        raise error

    return Step(direct.handler.id, fail)
