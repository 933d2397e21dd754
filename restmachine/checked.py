"""The way of a route that has dependencies, asks callbacks, has an entity tag or reads content.

Which callbacks are asked, in which order, and what each must say for the request to be served,
is known when the plan is compiled, and so is what the response states. As long as every answer
is the usual one nothing else of the plan is looked at. At the first that is not, the plan is
walked step by step from its start; what was made is kept, so nothing is called twice.
`serving.respond_on_loop` is the plain twin; a property test holds one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from restmachine.binding import Place
from restmachine.decisions import DIAGRAM, Effect
from restmachine.dependencies import Call, Need, Preparation
from restmachine.direct import Direct, way_to
from restmachine.endings import Defaults
from restmachine.headers import Pair
from restmachine.parsing import json_content
from restmachine.recipes import Kind
from restmachine.resources import Resource
from restmachine.steps import Step

if TYPE_CHECKING:
    from restmachine.plan import Plan

IF_NONE_MATCH = b"if-none-match"
LENGTH = b"content-length"
TYPE = b"content-type"

_MOST_CHECKS = 80
"""Of one way: each is an indentation, of which Python allows a hundred."""

Judge = Callable[[Any], bool]


class How(Enum):
    """How a value is made or found."""

    CALL = "by a call"
    AWAIT = "by a call that is awaited"
    START = "by a generator, which must be finished"
    START_LATER = "by an async generator, which must be finished"
    FIND = "in the exchange"
    DECODE = "from the content that was read"
    READ = "the content itself"
    KNOWN = "was made before"


_CALLS = {
    Kind.PLAIN: How.CALL,
    Kind.COROUTINE: How.AWAIT,
    Kind.GENERATOR: How.START,
    Kind.ASYNC_GENERATOR: How.START_LATER,
}


class Move(NamedTuple):
    """A value that is made on the way, and whether the request goes on.

    Attributes:
        slot: The place of the value.
        name: Of the dependency.
        how: How it is made.
        function: By what, of an exchange if it is found there; None if it was made before.
        places: Where the arguments of the function are.
        verify: Raises an exception for a value that must not be made so; None for most.
        judge: Reads the value as yes or no; None if nothing depends on it.
        usual: The answer with which the request goes on.
    """

    slot: int
    name: str
    how: How
    function: Callable[..., Any] | None = None
    places: tuple[Place, ...] = ()
    verify: Judge | None = None
    judge: Judge | None = None
    usual: bool = True


@dataclass(slots=True, frozen=True)
class Checked:
    """What a plan does for a request of which every callback says the usual.

    Attributes:
        way: How the handler is called, and what becomes of its result.
        handler: The handler's call.
        fields: The names of all fields that are looked at.
        resources: Session dependencies, which must have been made before.
        decisive: What is made for decisions, in order.
        moves: What is made after that for the handler.
        tagging: What is made after that for the entity tag.
        comparing: What is made instead of both if the entity tag alone is wanted.
        tag_slot: The place of what the function for the tag returned; None if there is none.
        head: The fields of a 304 but its tag.
        max_content: The longest content that is taken, in bytes; None if none is read.
        defaults: Gives header fields to each response; None for most.
    """

    way: Direct
    handler: Call
    fields: frozenset[bytes]
    resources: tuple[Resource, ...]
    decisive: tuple[Move, ...]
    moves: tuple[Move, ...]
    tagging: tuple[Move, ...]
    comparing: tuple[Move, ...]
    tag_slot: int | None
    head: tuple[Pair, ...]
    max_content: int | None
    defaults: Defaults | None

    @property
    def all_moves(self) -> tuple[Move, ...]:
        """Everything that is made on the way."""
        return (*self.decisive, *self.moves, *self.tagging, *self.comparing)

    @property
    def asks_exchange(self) -> bool:
        """Whether anything is found in an exchange; JSON content is not."""
        return any(move.how is How.FIND for move in self.all_moves)

    @property
    def must_finish(self) -> bool:
        """Whether anything must be finished in the end."""
        return any(move.how in (How.START, How.START_LATER) for move in self.all_moves)


def find_checked(plan: Plan) -> Checked | None:
    """Return the direct way of a plan whose steps are linked, None where it has none."""
    route = _Route(plan)
    step = route.follow(plan.first)
    if step is None or plan.handler is None:
        return None
    tags = plan.checks.get("generate_etag", ()) if plan.validates else ()
    has_date = plan.validates and "last_modified" in plan.checks
    if len(tags) > 1 or has_date or plan.streams_content:
        return None
    serving, comparing = route.after(), route.after()
    serving.prepare(plan.handler.before)
    tagging = serving.after()
    for check in tags:
        tagging.make(check.need)
        comparing.make(check.need)
    way = None if step.blocks else way_to(step, plan, route.fields)
    routes = (route, serving, tagging, comparing)
    if way is None or not all(each.is_open for each in routes):
        return None
    fields = {*way.fields, IF_NONE_MATCH} if tags else {*way.fields}
    if plan.reads_content:
        fields |= {TYPE, LENGTH, b"transfer-encoding"}
    defaults = None if plan.ending is None else plan.ending.defaults
    needed = [resource for each in routes for resource in each.resources]
    checked = Checked(
        way=way,
        handler=plan.handler,
        fields=frozenset(fields),
        resources=tuple(dict.fromkeys(needed)),
        decisive=tuple(route.moves),
        moves=tuple(serving.moves),
        tagging=tuple(tagging.moves),
        comparing=tuple(comparing.moves),
        tag_slot=tags[0].need.slot if tags else None,
        head=head_of_304(way.head),
        max_content=plan.max_content if plan.reads_content else None,
        defaults=defaults,
    )
    # The fields of a response that becomes another one in the end would be asked for twice.
    asks_twice = checked.must_finish and defaults is not None
    checks = sum(move.judge is not None for move in checked.decisive)
    return None if asks_twice or checks > _MOST_CHECKS else checked


def head_of_304(head: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return the fields of a 304 but its tag, from those of the answer with data."""
    return tuple(pair for pair in head if pair[0] != TYPE)


class _Route:
    """The usual way through a plan while it is followed.

    Attributes:
        fields: The names of the fields that lead another way.
        moves: What is made, in order.
        is_open: Whether nothing on it blocks or is only known later.
    """

    def __init__(self, plan: Plan) -> None:
        self.fields: set[bytes] = set()
        self.moves: list[Move] = []
        self.resources: list[Resource] = []
        self.is_open = True
        self._plan = plan
        self._made: set[int] = set()
        self._has_read = False

    def after(self) -> _Route:
        """Return what begins where this one has come to."""
        other = _Route(self._plan)
        other._made = {*self._made}
        other._has_read = self._has_read
        return other

    def follow(self, step: Step | int) -> Step | None:
        """Follow the steps to the handler; None if it is not reached."""
        while isinstance(step, Step):
            row = DIAGRAM[step.id]
            if isinstance(row, Effect):
                return step
            turns = row.question.turns(self._plan)
            if step.field:
                self.fields.add(step.field)
                step = step.no
            elif turns:
                for check in turns:
                    self.make(check.need, check.judge, not row.question.settling)
                step = step.no if row.question.settling else step.yes
            elif step.id in _ANSWERED_BY_FIELDS:
                step = step.yes if _ANSWERED_BY_FIELDS[step.id] else step.no
            else:
                return None
        return None

    def prepare(self, before: Preparation) -> None:
        """Make everything that must be made before something, the content of the request first."""
        if before.reads_content and not self._has_read:
            self._has_read = True
            self.moves.append(Move(-1, "content", How.READ))
        self.resources += before.resources
        for need in before.needs:
            self.make(need)

    def make(self, need: Need, judge: Judge | None = None, usual: bool = True) -> None:
        """Make a dependency with all that it needs, each once."""
        if need.slot in self._made:
            if judge is not None:
                self.moves.append(Move(need.slot, need.name, How.KNOWN, judge=judge, usual=usual))
            return
        call = need.call
        self.prepare(call.before)
        self._made.add(need.slot)
        if isinstance(call, Call) and call.places is not None and not call.blocks:
            how, verify = _CALLS[call.kind], call.verify
            self.moves.append(
                Move(need.slot, need.name, how, call.function, call.places, verify, judge, usual)
            )
        elif need.find is not None:
            how = How.DECODE if need.find is json_content else How.FIND
            self.moves.append(Move(need.slot, need.name, how, need.find, (), None, judge, usual))
        else:
            self.is_open = False


_ANSWERED_BY_FIELDS = {"B5": True, "B4": False}
"""What the rows about content answer for the fields with which a request goes this way."""
