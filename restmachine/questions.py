"""The kinds of question that the diagram asks: callback, method, header, ask.

Every question can be answered from an exchange alone (`answer`, the reference). What a
route's plan makes of it is decided once: `settle` answers for the whole route where the
request cannot change it, `before` tells what must be made first, and `bind` gives the
function that a plan runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from restmachine.dependencies import NOTHING, Need, Preparation
from restmachine.exchange import Exchange

if TYPE_CHECKING:
    from restmachine.plan import Plan

Test = Callable[[Exchange], bool]


def is_there(value: Any) -> bool:
    """Return whether a resource exists, from what was found of it."""
    return value is not None


def forbids(value: Any) -> bool:
    """Return whether the answer of a `forbidden` function is yes; a failed one says None."""
    return value is None or value is True


@dataclass(frozen=True, slots=True)
class Check:
    """A user's callback which a plan asks, and how its value is read as yes or no."""

    need: Need
    judge: Callable[[Any], bool]

    def answer(self, exchange: Exchange) -> bool:
        """Return whether the callback says yes."""
        return self.judge(self.need.get(exchange))


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one request.

    Attributes:
        text: The question in words.
        answer: Answers it from an exchange.
        settle: The answer for every request of a plan, None if requests differ.
        before: What a plan makes before it asks.
        bind: The function that a plan runs instead of `answer`.
        field: The request's header field whose presence is the answer, if that is all.
        kind: The kind of callback that is asked, if that is all.
        turns: The callbacks of a plan that are asked, one after the other until one settles it.
        settling: The answer of one callback that settles it.
    """

    text: str
    answer: Test
    settle: Callable[[Plan], bool | None]
    before: Callable[[Plan], Preparation]
    bind: Callable[[Plan], Test]
    field: bytes = b""
    kind: str = ""
    turns: Callable[[Plan], tuple[Check, ...]] = lambda plan: ()
    settling: bool = True


def callback(
    kind: str, default: bool | Callable[[Plan], bool], methods: tuple[str, ...] = ()
) -> Question:
    """Ask the user's callbacks of a kind that apply to the route.

    Args:
        default: The answer where none applies. Of several callbacks all must say True where
            that is the default, and one is enough to say it where the default is False.
            Where a function of the plan says no, no callback can say yes.
        methods: The methods for which they are asked; every method if empty.
    """
    combine = any if default is False else all

    def checks(plan: Plan) -> tuple[Check, ...]:
        return plan.checks.get(kind, ()) if not methods or plan.method in methods else ()

    def settle(plan: Plan) -> bool | None:
        if callable(default) and not default(plan):
            return False
        if checks(plan):
            return None
        return True if callable(default) else default

    def answer(exchange: Exchange) -> bool:
        settled = settle(exchange.plan)
        if settled is not None:
            return settled
        return combine(check.answer(exchange) for check in checks(exchange.plan))

    def before(plan: Plan) -> Preparation:
        return Preparation.of(check.need for check in checks(plan))

    def bind(plan: Plan) -> Test:
        found = checks(plan)
        return found[0].answer if len(found) == 1 else answer

    text = kind.replace("_", " ")
    return Question(
        f"Callback: {text}?",
        answer,
        settle,
        before,
        bind,
        kind=kind,
        turns=checks,
        settling=default is False,
    )


def method(*names: str) -> Question:
    """Ask whether the method is one of these; a plan belongs to one method."""
    return ask(
        lambda exchange: exchange.method in names,
        text=f"{' or '.join(names)}?",
        settle=lambda plan: plan.method in names,
    )


def header(name: str, when: Callable[[Plan], bool] | None = None) -> Question:
    """Ask whether the request has a header field.

    Args:
        when: The plans for which the field means anything; for others the answer is no.
    """
    field = name.lower().encode("latin-1")

    def settle(plan: Plan) -> bool | None:
        return None if when is None or when(plan) else False

    def answer(exchange: Exchange) -> bool:
        return field in exchange.fields and settle(exchange.plan) is None

    def bind(plan: Plan) -> Test:
        return lambda exchange: field in exchange.fields

    return Question(f"{name} sent?", answer, settle, _nothing, bind, field)


def ask(
    function: Test,
    *,
    text: str = "",
    settle: Callable[[Plan], bool | None] | None = None,
    before: Callable[[Plan], Preparation] | None = None,
) -> Question:
    """Ask a function of the exchange; its name is the question unless *text* is given."""
    words = text or f"{function.__name__.replace('_', ' ')}?".capitalize()
    settled_by = settle or _open

    def answer(exchange: Exchange) -> bool:
        settled = settled_by(exchange.plan)
        return function(exchange) if settled is None else settled

    return Question(words, answer, settled_by, before or _nothing, lambda plan: function)


def _open(plan: Plan) -> bool | None:
    return None


def _nothing(plan: Plan) -> Preparation:
    return NOTHING
