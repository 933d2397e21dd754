"""The direct way of a route that asks callbacks, has an entity tag or reads content.

Which callbacks are asked, in which order, and what each must say for the request to be served,
is known when the plan is compiled, and so is what the response states. As long as every answer
is the usual one nothing else of the plan is looked at. At the first that is not, the plan is
walked step by step from its start; what was made is kept, so nothing is called twice.
`serving.respond_on_loop` is the plain twin; a property test holds one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from restmachine.decisions import DIAGRAM, Effect
from restmachine.dependencies import Need
from restmachine.direct import ACCEPT, ANY_TYPE, Direct, way_to
from restmachine.endings import Defaults
from restmachine.exchange import MISSING
from restmachine.headers import EntityTag
from restmachine.outcome import Pair
from restmachine.parsing import json_content
from restmachine.questions import Check
from restmachine.representations import FORM, JSON, TEXT, encode_data
from restmachine.resources import Resource
from restmachine.steps import Step

if TYPE_CHECKING:
    from restmachine.plan import Plan

_DIGITS = 15  # of a length that is read as a number
_ETAG = b"etag"
_IF_NONE_MATCH = b"if-none-match"
_LENGTH = b"content-length"
_TYPE = b"content-type"

_KNOWN_TYPES = frozenset(
    spelling.encode()
    for media_type in (JSON, FORM, TEXT)
    for spelling in (media_type, f"{media_type}; charset=utf-8", f"{media_type};charset=utf-8")
)
"""Spellings of media types that every route reads which reads content."""

_OWN_STATUSES = frozenset(range(200, 300)) - {204, 205}
"""Statuses that a handler may state of data without changing anything else."""


CALL, AWAIT, FIND, READ, TAG = range(5)
"""How a value is made or found."""

Move = tuple[int, Callable[[Any], Any], int, Callable[[Any], bool] | None]
"""A value that is made on the way: its place, by what, how, and whether the request goes on.

It is called with the values that were made before, or found in the exchange, perhaps once that
has read the content; or it is the entity tag, of what stands at the place.
"""


@dataclass(slots=True, frozen=True)
class Checked:
    """What a plan does for a request of which every callback says the usual.

    Attributes:
        way: How the handler is called, and what becomes of its result.
        fields: The names of all fields that are looked at.
        resources: Session dependencies, which must have been made before.
        moves: What is made, in order: for decisions, for the handler, and the entity tag.
        conditional: The same for a request with If-None-Match: for decisions, and the entity tag.
        has_tag: Whether the route has an entity tag.
        asks_exchange: Whether anything is found in an exchange; JSON content alone is not.
        head: The fields of a 304 but its tag.
        max_content: The longest content that is taken, in bytes; None if none is read.
        defaults: Gives header fields to each response; None for most.
    """

    way: Direct
    fields: frozenset[bytes]
    resources: tuple[Resource, ...]
    moves: tuple[Move, ...]
    conditional: tuple[Move, ...]
    has_tag: bool
    asks_exchange: bool
    head: tuple[Pair, ...]
    max_content: int | None
    defaults: Defaults | None

    def suits(self, headers: Iterable[Pair]) -> bytes | bool:
        """Return whether a request with these header fields can be answered so, now.

        That is its If-None-Match field if it has one.
        """
        fields = self.fields
        accept = condition = length = kind = None
        for name, value in headers:
            if name in fields:
                if name == ACCEPT and accept is None:
                    accept = value
                elif name == _TYPE and kind is None:
                    kind = value
                elif name == _LENGTH and length is None:
                    length = value
                elif name == _IF_NONE_MATCH and condition is None and self.has_tag:
                    condition = value
                else:
                    return False
        if self.max_content is not None:
            if length is None:
                if kind is not None:
                    return False
            elif (
                not length.isdigit()
                or len(length) > _DIGITS
                or kind not in _KNOWN_TYPES
                or int(length) > self.max_content
            ):
                return False
        for resource in self.resources:
            if resource.value is MISSING:
                return False
        if accept is not None and accept != ANY_TYPE and not self.way.accepts(accept):
            return False
        return True if condition is None else condition

    def written(self, result: Any) -> tuple[int, bytes | None]:
        """Return the status and the content for data, no content for anything else."""
        status = self.way.status
        if result.__class__ is tuple and len(result) == 2 and result[1].__class__ is int:
            result, status = result
        return status, encode_data(result) if status in _OWN_STATUSES else None


class NoTagError(Exception):
    """A route's function for the entity tag gave none, which the plan tells."""


@lru_cache(maxsize=1024)
def quoted_tag(value: str) -> bytes:
    """Return the ETag field of what a route's function for the tag gave.

    Raises:
        NoTagError: It gave no entity tag.
    """
    try:
        return str(EntityTag.of(value)).encode("latin-1")
    except (TypeError, ValueError) as error:
        raise NoTagError from error


def find_checked(plan: Plan) -> Checked | None:
    """Return the direct way of a plan whose steps are linked, None where it has none."""
    route = _Route(plan)
    step = route.follow(plan.first)
    if step is None or plan.handler is None:
        return None
    tags = plan.checks.get("generate_etag", ()) if plan.validates else ()
    if len(tags) > 1 or "last_modified" in plan.checks or plan.streams_content:
        return None
    conditional = route.copy()
    conditional.tag(tags)
    for need in plan.handler.before.needs:
        route.make(need)
    route.tag(tags)
    way = None if step.blocks else way_to(step, plan, route.fields)
    if way is None or not route.is_open:
        return None
    fields = {*way.fields, _IF_NONE_MATCH} if tags else {*way.fields}
    if plan.reads_content:
        fields |= {_TYPE, _LENGTH, b"transfer-encoding"}
    return Checked(
        way=way,
        fields=frozenset(fields),
        resources=tuple(dict.fromkeys((*route.resources, *way.resources))),
        moves=tuple(route.moves),
        conditional=tuple(conditional.moves),
        has_tag=bool(tags),
        asks_exchange=any(
            how in (FIND, READ) and make is not json_content for _, make, how, _ in route.moves
        ),
        head=head_of_304(way.head),
        max_content=plan.max_content if plan.reads_content else None,
        defaults=None if plan.ending is None else plan.ending.defaults,
    )


def head_of_304(head: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return the fields of a 304 but its tag, from those of the answer with data."""
    return tuple(pair for pair in head if pair[0] != _TYPE)


class _Route:
    """The usual way through a plan while it is followed.

    Attributes:
        fields: The names of the fields that lead another way.
        moves: What is made, in order.
        is_open: Whether nothing on it blocks, must be finished or is only known later.
    """

    def __init__(self, plan: Plan) -> None:
        self.fields: set[bytes] = set()
        self.moves: list[Move] = []
        self.resources: list[Resource] = []
        self.is_open = True
        self._plan = plan
        self._made: set[int] = set()

    def copy(self) -> _Route:
        """Return what can be followed further apart from this one."""
        other = _Route(self._plan)
        other.moves, other._made = [*self.moves], {*self._made}
        return other

    def tag(self, checks: Iterable[Check]) -> None:
        """Make the entity tag."""
        for check in checks:
            self.make(check.need)
            self.moves.append((check.need.slot, quoted_tag, TAG, None))

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
                    self._check(check, not row.question.settling)
                step = step.no if row.question.settling else step.yes
            elif step.id in _ANSWERED_BY_FIELDS:
                step = step.yes if _ANSWERED_BY_FIELDS[step.id] else step.no
            else:
                return None
        return None

    def make(self, need: Need, goes_on: Callable[[Any], bool] | None = None) -> None:
        """Make a dependency with all that it needs, each once."""
        before = need.call.before
        self.resources += before.resources
        for deeper in before.needs:
            self.make(deeper)
        if need.slot in self._made:
            if goes_on is not None:
                self.moves.append((need.slot, itemgetter(need.slot), CALL, goes_on))
            return
        self._made.add(need.slot)
        if need.blocks or (need.make is None and need.find is None):
            self.is_open = False
        elif need.make is not None:
            how = AWAIT if need.awaits else CALL
            judge = goes_on if need.verify is None else _verified(need.verify, goes_on)
            self.moves.append((need.slot, need.make, how, judge))
        elif need.find is not None:
            how = READ if before.reads_content else FIND
            self.moves.append((need.slot, need.find, how, goes_on))

    def _check(self, check: Check, usual: bool) -> None:
        judge = check.judge
        self.make(check.need, judge if usual else lambda value: not judge(value))


def _verified(
    verify: Callable[[Any], bool], goes_on: Callable[[Any], bool] | None
) -> Callable[[Any], bool]:
    if goes_on is None:
        return verify
    return lambda value: verify(value) and goes_on(value)


_ANSWERED_BY_FIELDS = {"B5": True, "B4": False}
"""What the rows about content answer for the fields that `Checked.suits` lets pass."""
