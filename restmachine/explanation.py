"""Explains what happens to one request, decision by decision, to somebody new to it.

The request runs through `walk`, the reference for every plan. Each row passed is told with
its answer and the reason: settled by the route, or by what the request carries. What user
code returned is never shown, only of which kind it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from restmachine.application import RestApplication
from restmachine.cors import ORIGIN, REQUESTED_METHOD
from restmachine.decisions import DIAGRAM, START, Effect, Target
from restmachine.diagram import decision_count, kept_decisions, steps_of
from restmachine.errors import HTTPError
from restmachine.exchange import MISSING, Exchange
from restmachine.files import settle
from restmachine.headers import EntityTag, format_http_date
from restmachine.outcome import conclude, fail
from restmachine.plan import Answer, Plan, walk
from restmachine.problems import phrase
from restmachine.questions import Check, Question
from restmachine.request import Request
from restmachine.serving import close
from restmachine.streaming import is_stream
from restmachine.targets import function_name, place_of_error
from restmachine.validation import is_validation_error
from restmachine.workers import LoopPortal


@dataclass
class Passage:
    """One request's way through the diagram.

    Attributes:
        passed: The rows in order.
        ended: The status in which the diagram ended, None after an exception.
        stopped: The row that an exception ended, None if it came later or never.
        errors: The exceptions that were answered, in order: one of the way, and one of the
            teardown.
        closed: The generator dependencies that were finished, in order.
    """

    exchange: Exchange
    request: Request
    passed: list[Answer] = field(default_factory=list)
    ended: int | None = None
    stopped: str | None = None
    errors: list[Exception] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


def run_request(app: RestApplication, request: Request) -> Passage:
    """Walk one request through an application that nobody started.

    Session dependencies are made when they are asked for, and the application is shut down
    afterwards.
    """

    async def run() -> Passage:
        exchange = app.exchange_for(request)
        exchange.portal = LoopPortal(asyncio.get_running_loop())
        try:
            return await asyncio.to_thread(_pass_through, Passage(exchange, request))
        finally:
            await app.shutdown()

    return asyncio.run(run())


def _pass_through(passage: Passage) -> Passage:
    """Do what `serving.respond` does, with `walk` in place of the plan."""
    exchange = passage.exchange
    hears = exchange.plan.hears
    exchange.marks = [perf_counter()]
    if hears.request_started is not None:
        hears.request_started(exchange, exchange.marks[0])
    try:
        _answer(exchange, passage)
        if exchange.plan.ending is not None:
            exchange.plan.ending.run(exchange)
            exchange.plan.ending.state(exchange)
    finally:
        passage.closed = [name for name, _, _ in reversed(exchange.closers or ())]
        _drop_stream(exchange)
        close(exchange)
    if isinstance(exchange.error, Exception) and exchange.error not in passage.errors:
        passage.errors.append(exchange.error)
    if hears.response_started is not None:
        hears.response_started(exchange, exchange.status, perf_counter())
    exchange.finished = perf_counter()
    if hears.request_finished is not None:
        hears.request_finished(exchange, exchange.status, 0, exchange.finished)
    return passage


def _answer(exchange: Exchange, passage: Passage) -> None:
    try:
        passage.ended = walk(exchange, passage.passed)
        conclude(exchange, passage.ended)
        settle(exchange)
    except Exception as error:
        if passage.ended is None:
            passage.stopped = _following(exchange.plan, passage.passed)
        fail(exchange, error)
        passage.errors.append(error)


def _following(plan: Plan, passed: Sequence[Answer]) -> str:
    """Return the row after those passed, the one that did not come to an answer."""
    if not passed:
        return "produce" if plan.options.bypass else START
    row = DIAGRAM[passed[-1].id]
    return str(_target(passed[-1]) if not isinstance(row, Effect) else row.then)


def _target(answer: Answer) -> Target:
    row = DIAGRAM[answer.id]
    if isinstance(row, Effect):
        return row.then
    return row.yes if answer.answer else row.no


def _drop_stream(exchange: Exchange) -> None:
    """Close streamed content unread."""
    content = exchange.content
    if not is_stream(content):
        return
    if hasattr(content, "aclose"):
        exchange.wait_for(content.aclose())
    elif hasattr(content, "close"):
        content.close()


def told_passage(passage: Passage, plan_only: bool = False) -> Iterator[str]:
    """Yield the lines that tell a passage.

    Args:
        plan_only: Leave out the rows that the route settles.
    """
    exchange = passage.exchange
    plan = exchange.plan
    yield _opening(passage)
    if plan.refusal:
        yield (
            f"Its path and query have {passage.request.target_bytes} bytes and may have "
            f"{plan.max_uri}, so no decision is asked."
        )
        plan_only = False
    yield ""
    rows = list(_rows(passage))
    if plan_only:
        kept = {step.id for step in steps_of(plan)}
        rows = [row for row in rows if row[0] in kept]
        yield f"The route's plan keeps {kept_decisions(plan)} of {decision_count()} decisions:"
    widths = [max(len(row[i]) for row in rows) if rows else 0 for i in range(3)]
    for id, words, leads, why in rows:
        yield f"{id:<{widths[0]}}  {words:<{widths[1]}}  {leads:<{widths[2]}}  {why}".rstrip()
    if rows:
        yield ""
    yield from _told_end(passage)


def _opening(passage: Passage) -> str:
    plan = passage.exchange.plan
    asked = f"{passage.request.method} {passage.request.path}"
    if plan.route is None:
        if not plan.matched:
            return f"{asked}: no route matches this path."
        return f"{asked}: {plan.template} has no handler for {passage.request.method}."
    handler = function_name(plan.route.handler)
    return f"{asked} belongs to the route {plan.route}, whose handler is {handler}."


def _rows(passage: Passage) -> Iterator[tuple[str, str, str, str]]:
    """Yield id, words, where it leads and why, for each row passed."""
    exchange = passage.exchange
    for answer in passage.passed:
        row = DIAGRAM[answer.id]
        if isinstance(row, Effect):
            given = described(exchange.result)
            yield answer.id, row.text, f"    -> {row.then}", f"the handler gave {given}"
        else:
            word = "yes" if answer.answer else "no"
            leads = f"{word:<3} -> {_target(answer)}"
            yield answer.id, row.question.text, leads, reason(answer.id, row.question, exchange)
    if passage.stopped is not None:
        row = DIAGRAM[passage.stopped]
        words = row.text if isinstance(row, Effect) else row.question.text
        leads = f"    -> {_status_of(passage.errors[0], exchange)}"
        yield passage.stopped, words, leads, told_error(passage.errors[0])


def _status_of(error: Exception, exchange: Exchange) -> int:
    return int(error.status) if isinstance(error, HTTPError) else exchange.status


def _told_end(passage: Passage) -> Iterator[str]:
    exchange = passage.exchange
    late = passage.errors if passage.stopped is None else passage.errors[1:]
    for error in late:
        yield f"While the answer was finished: {told_error(error)}."
    if passage.closed:
        yield f"Torn down, the last one made first: {', '.join(passage.closed)}."
    status = passage.ended
    if exchange.handled and exchange.own_status not in (None, status):
        status = exchange.own_status
        yield f"The handler states the status {status} itself, which wins over the diagram's."
    if status != exchange.status and not passage.errors:
        yield LATER.get(exchange.status, "What follows the diagram gave another status.")
    yield f"{exchange.status} {phrase(exchange.status)}"
    for name, value in exchange.head:
        yield f"{name.decode('latin-1')}: {value.decode('latin-1')}"


LATER: Mapping[int, str] = {
    206: "Of the content only the part that was asked for is sent.",
    304: "By the validators of this answer the client has it already.",
    404: "There is no file where the handler's path leads.",
    412: "By its validators this answer is not the one that the client wants.",
    416: "The content has no part that was asked for.",
}
"""How a status came about that is not the one in which the diagram ended."""


def told_error(error: Exception) -> str:
    """Return what was raised, where, and what it means; its text stays in the log."""
    kind, place = type(error).__name__, place_of_error(error)
    raised = f"{kind} was raised{f' at {place}' if place else ''}"
    if isinstance(error, HTTPError):
        return f"{raised}, which means {int(error.status)}"
    if isinstance(error, PermissionError):
        return f"{raised}, which means 403"
    if is_validation_error(error):
        return f"{raised}: the content does not fit its model, which means 422"
    if isinstance(error, ValueError):
        return f"{raised}: a ValueError out of user code means 400"
    return f"{raised}: an error that nothing expects means 500"


def described(value: Any) -> str:
    """Return of which kind a value is, without showing it."""
    if value is None or isinstance(value, bool):
        return str(value)
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def reason(id: str, question: Question, exchange: Exchange) -> str:
    """Return why a question has the answer it has, for this route or this request."""
    plan = exchange.plan
    settled = question.settle(plan)
    if settled is None:
        if question.kind:
            return f"request: {_told_callbacks(plan.checks[question.kind], exchange)}"
        if question.field:
            return f"request: {_sent(question.field, exchange)}"
        return f"request: {ASKED[id](exchange) if id in ASKED else 'it depends on this one'}"
    if question.kind:
        return f"route: {_no_callback(question.kind, settled, plan)}"
    if question.field:
        return f"route: {UNREAD.get(question.field, 'the field means nothing here')}"
    return f"route: {SETTLED.get(id, _every_request)(plan)}"


def _told_callbacks(checks: Sequence[Check], exchange: Exchange) -> str:
    return ", ".join(
        f"{check.need.name} gave {_judged(check, value)}"
        for check in checks
        if (value := exchange.values[check.need.slot]) is not MISSING
    )


def _judged(check: Check, value: Any) -> str:
    words = described(value)
    if check.judge is not bool or value is None or isinstance(value, bool):
        return words
    return f"{words}, which is {'true' if value else 'false'}"


def _no_callback(kind: str, settled: bool, plan: Plan) -> str:
    if kind == "known_method":
        return f"{plan.method} is {'one' if settled else 'none'} of the methods of HTTP"
    if kind == "method_allowed":
        answers = plan.method if settled else f"only {', '.join(plan.allowed)}"
        return f"the path answers {answers}"
    if kind in plan.checks:
        return f"{kind} is not asked for {plan.method}"
    return "no callback registered"


def _sent(name: bytes, exchange: Exchange) -> str:
    """Return a field of the request as it was sent."""
    title = "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
    value = exchange.field(name)
    return f"{title} was not sent" if value is None else f"{title}: {value}"


UNREAD: Mapping[bytes, str] = {
    b"accept": "it answers JSON, whatever is asked for",
    b"accept-language": "it offers no languages",
    b"accept-charset": "it offers no charsets",
    b"accept-encoding": "it offers no codings",
    b"if-unmodified-since": "no last_modified callback applies",
    b"if-modified-since": "it is read here only for GET and HEAD with a last_modified callback",
}
"""Why a route does not look at a field."""


def _every_request(plan: Plan) -> str:
    return f"the same for every {plan.method}"


def _the_method(plan: Plan) -> str:
    return f"the method is {plan.method}"


def _no_tag(plan: Plan) -> str:
    return "no generate_etag callback applies, so there is no entity tag"


def _no_date(plan: Plan) -> str:
    return "no last_modified callback applies"


def _may_create(plan: Plan) -> str:
    if plan.method != "PUT":
        return f"the method is {plan.method}"
    return f"declared with{'' if plan.options.creates else 'out'} creates=True"


SETTLED: Mapping[str, Callable[[Plan], str]] = {
    "A1": lambda plan: f"{plan.template} matches" if plan.matched else "none matches",
    "A2": lambda plan: "no page of another origin may send to it"
    if plan.method == "OPTIONS" else _the_method(plan),
    "B5": lambda plan: "it parses no content",
    "B4": lambda plan: "it reads no content",
    "B3": lambda plan: "nothing else answers it" if plan.method == "OPTIONS" and not plan.handler
    else _the_method(plan),
    **dict.fromkeys(("J18", "M5", "L7", "M16", "N16", "O16"), _the_method),
    **dict.fromkeys(("G11", "K13"), _no_tag),
    **dict.fromkeys(("H11", "H12"), _no_date),
    **dict.fromkeys(("I7", "P11"), _may_create),
}  # fmt: skip
"""Why a route settles a row, where it is no callback and no field."""


def _negotiated(name: bytes, offered: Callable[[Plan], Sequence[str]]) -> Callable[[Exchange], str]:
    def tell(exchange: Exchange) -> str:
        return f"{_sent(name, exchange)}; offered: {', '.join(offered(exchange.plan))}"

    return tell


def _field(name: bytes) -> Callable[[Exchange], str]:
    return lambda exchange: _sent(name, exchange)


def _compared_tag(name: bytes) -> Callable[[Exchange], str]:
    def tell(exchange: Exchange) -> str:
        value = _made(exchange, "generate_etag")
        if value is None and exchange.unfinished:
            return _left_open(exchange, name)
        tag = "there is none" if value is None else f"the current one is {EntityTag.of(value)}"
        return f"{_sent(name, exchange)}; {tag}"

    return tell


def _left_open(exchange: Exchange, name: bytes) -> str:
    return f"{_sent(name, exchange)}; left open until the answer tells its own tag"


def _any_tag(exchange: Exchange) -> str:
    if exchange.unfinished:
        return _left_open(exchange, b"if-none-match")
    return _sent(b"if-none-match", exchange)


def _compared_date(name: bytes) -> Callable[[Exchange], str]:
    def tell(exchange: Exchange) -> str:
        value = _made(exchange, "last_modified")
        modified = "unknown" if value is None else format_http_date(value)
        return f"{_sent(name, exchange)}; last modified: {modified}"

    return tell


def _made(exchange: Exchange, kind: str) -> Any:
    """Return the validator that was made, None if none was."""
    values = (exchange.values[check.need.slot] for check in exchange.plan.checks.get(kind, ()))
    return next((value for value in values if value is not MISSING and value is not None), None)


def _content_type(exchange: Exchange) -> str:
    return _sent(b"content-type", exchange) if exchange.has_content else "it has no content"


def _content_length(exchange: Exchange) -> str:
    return f"{_sent(b'content-length', exchange)}; at most {exchange.plan.max_content}"


def _created(exchange: Exchange) -> str:
    if exchange.method == "PUT":
        return _told_callbacks(exchange.plan.checks["resource_exists"], exchange)
    stated = exchange.own_headers is not None and "Location" in exchange.own_headers
    return f"the handler stated {'a' if stated else 'no'} Location"


ASKED: Mapping[str, Callable[[Exchange], str]] = {
    "A2": lambda x: "; ".join(_sent(name, x) for name in (ORIGIN, REQUESTED_METHOD)),
    "B5": _content_type,
    "B4": _content_length,
    "C4": _negotiated(b"accept", lambda plan: plan.media_types),
    "D5": _negotiated(b"accept-language", lambda plan: plan.options.languages),
    "E6": _negotiated(b"accept-charset", lambda plan: plan.options.charsets),
    "F7": _negotiated(b"accept-encoding", lambda plan: plan.options.encodings),
    "G9": _field(b"if-match"),
    "G11": _compared_tag(b"if-match"),
    "H11": _compared_date(b"if-unmodified-since"),
    "H12": _compared_date(b"if-unmodified-since"),
    "I13": _any_tag,
    "K13": _compared_tag(b"if-none-match"),
    "L14": _field(b"if-modified-since"),
    "L15": _field(b"if-modified-since"),
    "L17": _compared_date(b"if-modified-since"),
    "P11": _created,
    "O20": lambda exchange: f"the handler gave {described(exchange.result)}",
}
"""What of the request and the resource answers a row, where it is no callback and no field."""
