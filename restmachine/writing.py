"""Writes the checked way of a plan down as a coroutine function, and compiles it.

What `checked` finds is the same for every request. So it is written down as somebody would who
knew this route alone: each function called by name, its arguments at hand, nothing looked up.
All routes of one shape have the same text; it is compiled once and given the functions of each.
A traceback shows the lines of that text. `serving.respond_on_loop` is the plain twin; a property
test holds one to the other (bench_asgi.py::bench_not_modified, bench_post_json).
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from restmachine.binding import Place
from restmachine.checked import (
    IF_NONE_MATCH,
    LENGTH,
    TYPE,
    Checked,
    How,
    Judge,
    Move,
)
from restmachine.direct import ACCEPT, ANY_TYPE, fail_with, go_on
from restmachine.exchange import MISSING
from restmachine.headers import EntityTag
from restmachine.inbound import ASGIExchange, exchange_with, whole_content
from restmachine.questions import forbids, is_there
from restmachine.recipes import start, start_async
from restmachine.representations import FORM, JSON, TEXT, decode_json, encode_data
from restmachine.resources import Resource
from restmachine.serving import close_on_loop, give_up

if TYPE_CHECKING:
    from restmachine.plan import Plan

Serve = Callable[..., Coroutine[Any, Any, None]]
"""Serves a request: takes the adapter, plan, values of the path, scope, receive and send."""

_DIGITS = 15  # of a length that is read as a number

_KNOWN_TYPES = frozenset(
    spelling.encode()
    for media_type in (JSON, FORM, TEXT)
    for spelling in (media_type, f"{media_type}; charset=utf-8", f"{media_type};charset=utf-8")
)
"""Spellings of media types that every route reads which reads content."""

_OWN_STATUSES = frozenset(range(200, 300)) - {204, 205}
"""Statuses that a handler may state of data without changing anything else."""

_JUDGEMENTS: dict[Judge, tuple[str, str]] = {
    bool: ("{}", "not {}"),
    is_there: ("{} is not None", "{} is None"),
    forbids: ("{0} is None or {0} is True", "{0} is not None and {0} is not True"),
}
"""What a judge asks as an expression, and the contrary."""


@lru_cache(maxsize=1024)
def quoted_tag(value: str) -> bytes | None:
    """Return the ETag field of what a route's function for the tag gave, None if that is no tag."""
    try:
        return str(EntityTag.of(value)).encode("latin-1")
    except (TypeError, ValueError):
        return None


NAMES: dict[str, Any] = {
    "ASGIExchange": ASGIExchange,
    "DIGITS": _DIGITS,
    "KNOWN_TYPES": _KNOWN_TYPES,
    "MISSING": MISSING,
    "OWN_STATUSES": _OWN_STATUSES,
    "__name__": __name__,
    "close_on_loop": close_on_loop,
    "decode_json": decode_json,
    "encode_data": encode_data,
    "exchange_with": exchange_with,
    "fail_with": fail_with,
    "give_up": give_up,
    "go_on": go_on,
    "quoted_tag": quoted_tag,
    "start": start,
    "start_async": start_async,
    "whole_content": whole_content,
}
"""The global names, with Python's own, of every function that is written here and of no other."""


def write(checked: Checked, plan: Plan) -> Serve:
    """Return the function that serves the requests of a plan on its checked way."""
    return _Text(checked, plan).function()


class _Text:
    """The text of one function while it is being written, and what it is given by name.

    A local variable stands for each place: ``v3`` for the fourth. The values of the path are
    in the list *values*.
    """

    def __init__(self, checked: Checked, plan: Plan) -> None:
        self._checked = checked
        self._slots = range(len(plan.names), len(plan.names) + len(plan.blank))
        self._names: dict[str, Any] = {}
        self._called: dict[tuple[str, int], str] = {}
        self._lines: list[str] = []
        self._depth = 2
        self._made = {
            move.slot for move in checked.all_moves if move.how not in (How.KNOWN, How.READ)
        }
        self._asks = checked.asks_exchange
        self._finishes = checked.must_finish
        self._reads = checked.max_content is not None
        self._tagged = checked.tag_slot is not None

    def function(self) -> Serve:
        """Return the function."""
        self._select()
        self._make_all()
        self._leave()
        self._respond()
        function: Serve = _compiled(tuple(self._names), "\n".join(self._lines))(**self._names)
        return function

    def _write(self, *lines: str) -> None:
        indentation = "    " * self._depth
        for line in lines:
            self._lines.append(indentation + line)

    @contextmanager
    def _block(self, start: str) -> Iterator[None]:
        """Indent what is written within, however deep, below a line that starts a block."""
        depth = self._depth
        self._write(start)
        self._depth = depth + 1
        yield
        self._depth = depth

    def _given(self, name: str, value: Any) -> str:
        """Return the name under which the function has something."""
        self._names[name] = value
        return name

    def _numbered(self, letter: str, value: Any) -> str:
        """Return the name of one of many; the same thing has one name."""
        key = (letter, id(value))
        if key not in self._called:
            self._called[key] = self._given(f"{letter}{len(self._called)}", value)
        return self._called[key]

    def _select(self) -> None:
        """Lead a request with other header fields than the usual ones into the plan."""
        fields = self._checked.fields
        looked_at = {
            name: variable
            for name, variable, wanted in (
                (ACCEPT, "accept", True),
                (TYPE, "kind", self._reads),
                (LENGTH, "length", self._reads),
                (IF_NONE_MATCH, "condition", self._tagged),
            )
            if name in fields and wanted
        }  # fmt: skip
        if looked_at:
            self._write(f"{' = '.join(looked_at.values())} = None")
        self._write("suits = True")
        if fields:
            self._given("fields", fields)
            word = "if"
            with (
                self._block("for name, value in scope['headers']:"),
                self._block("if name in fields:"),
            ):
                for name, variable in looked_at.items():
                    self._write(f"{word} name == {name!r} and {variable} is None:")
                    self._write(f"    {variable} = value")
                    word = "elif"
                with self._block("else:") if looked_at else nullcontext():
                    self._write("suits = False", "break")
        unusual = ["not suits", *self._unusual_fields(ACCEPT in looked_at)]
        with self._block(f"if {' or '.join(unusual)}:"):
            self._write("exchange = ASGIExchange(plan, values, scope, receive)")
            self._write("await self._answer(exchange, send, plan.first)", "return")

    def _unusual_fields(self, chooses: bool) -> Iterable[str]:
        """Yield the conditions under which fields that are looked at lead into the plan."""
        for resource in self._checked.resources:
            yield f"{self._numbered('r', resource)}.value is MISSING"
        if self._reads:
            self._given("max_content", self._checked.max_content)
            yield (
                "(kind is not None if length is None else not ("
                "length.isdigit() and len(length) <= DIGITS and kind in KNOWN_TYPES "
                "and int(length) <= max_content))"
            )
        if chooses:
            self._given("accepts", self._checked.way.accepts)
            yield f"(accept is not None and accept != {ANY_TYPE!r} and not accepts(accept))"

    def _make_all(self) -> None:
        """Make what decides, then what is wanted; *step* stays where the plan begins if not all is.

        What is made is kept in any case.
        """
        self._write("step = plan.first")
        if self._made:
            self._write(f"{' = '.join(f'v{slot}' for slot in sorted(self._made))} = MISSING")
        if self._finishes:
            self._write("closers = []")
        if self._asks:
            self._write(f"exchange = exchange_with({self._values()}, plan, scope, receive)")
        elif self._reads:  # Departures asks this frame for `unread`
            self._write("exchange = message = None", "unread = True")
        with self._block("try:"):
            self._make(self._checked.decisive)
            if self._tagged:
                with self._block("if condition is None:"):
                    self._serve()
                with self._block("else:"):
                    self._compare()
            else:
                self._serve()
        self._given("way", self._checked.way)
        self._write("except Exception as error:", "    step = fail_with(way, error)")
        if self._finishes:
            with self._block("except BaseException as error:"):
                self._take_exchange()
                self._write("await give_up(exchange, self.app.workers, error)", "raise")

    def _values(self, *, made: bool = False) -> str:
        """Return the list of all values as an expression, without or with those that are made."""
        rest = [f"v{slot}" if made and slot in self._made else "MISSING" for slot in self._slots]
        return f"[{', '.join(['*values', *rest])}]"

    def _take_exchange(self) -> None:
        """Put what was made into an exchange."""
        values = self._values(made=True)
        make = f"exchange = exchange_with({values}, plan, scope, receive)"
        if self._asks:
            self._write(f"exchange.values = {values}")
        elif self._reads:
            self._write("if exchange is None:", f"    {make}")
            self._write("    if message is not None and not unread:")
            self._write("        exchange.take_whole(message)")
            self._write("else:", f"    exchange.values = {values}")
        else:
            self._write(make)
        if self._finishes:
            self._write("exchange.closers = closers or None")

    def _compare(self) -> None:
        """Compare the entity tag with that of the condition."""
        self._make(self._checked.comparing)
        self._write(f"tag = quoted_tag(v{self._checked.tag_slot})")
        stated = " and not exchange.response_fields" if self._asks else ""
        self._write(f"if condition == tag{stated}:", "    step = None")

    def _serve(self) -> None:
        """Call the handler and write down what it returns."""
        self._make(self._checked.moves)
        if self._tagged:
            self._make(self._checked.tagging)
            self._write(f"tag = quoted_tag(v{self._checked.tag_slot})", "if tag is not None:")
            self._depth += 1
        way, handler = self._checked.way, self._checked.handler
        awaits = "await " if way.awaits else ""
        self._write(f"result = {awaits}{self._call(handler.function, handler.places or ())}")
        self._write(
            f"data, status = result, {int(way.status)}",
            "if result.__class__ is tuple and len(result) == 2 and result[1].__class__ is int:",
            "    data, status = result",
            "    if status not in OWN_STATUSES:",
            "        data = None",
            "content = encode_data(data)",
        )
        unusual = "content is None"
        if self._asks:
            unusual += " or exchange.response_fields"
        self._write(f"step = go_on(way, result) if {unusual} else None")

    def _make(self, moves: Sequence[Move]) -> None:
        """Make values in order.

        What follows one that decides is indented below its being usual, to the end of the block.
        """
        for move in moves:
            value = f"v{move.slot}"
            if move.how is How.READ:
                self._read()
            elif move.how is not How.KNOWN:
                self._make_one(move, value)
            if move.verify is not None:
                self._write(f"{self._numbered('c', move.verify)}({value})")
            if move.judge is not None:
                self._write(f"if {self._judgement(move.judge, move.usual, value)}:")
                self._depth += 1

    def _read(self) -> None:
        if self._asks:
            self._write("await exchange.read_content()")
            return
        self._write(
            "message = await receive()",
            "unread = False",
            "content = whole_content(message, max_content)",
            "if content is None:",
            f"    exchange = exchange_with({self._values()}, plan, scope, receive)",
            "    await exchange.read_content(message)",
            "    content = exchange.received",
        )

    def _make_one(self, move: Move, value: str) -> None:
        function = move.function
        if move.how is How.FIND:
            self._write(f"{value} = {self._numbered('f', function)}(exchange)")
        elif move.how is How.DECODE:
            content = "exchange.received" if self._asks else "content"
            self._write(f"{value} = decode_json({content}) if {content} else None")
        elif move.how is How.CALL:
            self._write(f"{value} = {self._call(function, move.places)}")
        elif move.how is How.AWAIT:
            self._write(f"{value} = await {self._call(function, move.places)}")
        else:
            name = self._numbered("n", move.name)
            starting = "start" if move.how is How.START else "await start_async"
            self._write(
                f"generator = {self._call(function, move.places)}",
                f"{value} = {starting}({name}, generator)",
                f"closers.append(({name}, generator, {move.how is How.START_LATER}))",
            )

    def _call(self, function: Any, places: Sequence[Place]) -> str:
        arguments = ", ".join(self._argument(place) for place in places)
        return f"{self._numbered('f', function)}({arguments})"

    def _argument(self, place: Place) -> str:
        if isinstance(place, int):
            return f"v{place}" if place >= self._slots.start else f"values[{place}]"
        if isinstance(place, Resource):
            return f"{self._numbered('r', place)}.value"
        return f"{self._numbered('t', place.convert)}(values[{place.at}])"

    def _judgement(self, judge: Judge, usual: bool, value: str) -> str:
        yes, no = _JUDGEMENTS.get(judge, ("", ""))
        if not yes:
            yes = f"{self._numbered('j', judge)}({{}})"
            no = f"not {yes}"
        return (yes if usual else no).format(value)

    def _leave(self) -> None:
        """Go on in the plan if anything was not as usual, with what was made."""
        with self._block("if step is not None:"):
            self._take_exchange()
            self._write("await self._answer(exchange, send, step)", "return")

    def _respond(self) -> None:
        self._given("head_of_data", self._checked.way.head)
        tag = ", (b'etag', tag)" if self._tagged else ""
        length = "(b'content-length', b'%d' % len(content))"
        if self._tagged:
            self._given("head_of_304", self._checked.head)
            self._write("if condition is not None:")
            self._write("    status, content = 304, b''", f"    head = [*head_of_304{tag}]")
            self._write("else:", f"    head = [*head_of_data, {length}{tag}]")
        else:
            self._write(f"head = [*head_of_data, {length}]")
        if self._checked.defaults is not None:
            added = self._given("added_to", self._checked.defaults.added_to)
            self._write(f"head = await {added}(head, status)")
        if self._finishes:
            self._take_exchange()
            self._write("exchange.handled, exchange.status = True, status")
            self._write("exchange.head, exchange.content = head, content")
            self._write("await close_on_loop(exchange, self.app.workers)")
            self._write("await self._send(exchange, send)")
            return
        start = "{'type': 'http.response.start', 'status': status, 'headers': head}"
        self._write(f"await send({start})")
        self._write("await send({'type': 'http.response.body', 'body': content})")


_numbers = count(1)


@cache
def _compiled(names: tuple[str, ...], body: str) -> Callable[..., Serve]:
    """Return what makes a function with this body, given what it has by these names."""
    text = (
        f"def way({', '.join(names)}):\n"
        f"    async def serve(self, plan, values, scope, receive, send):\n"
        f"{body}\n"
        f"    return serve\n"
    )
    # Files of such names are nowhere; `linecache` keeps what has no time of change.
    filename = f"<restmachine way {next(_numbers)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    found: dict[str, Any] = {}
    exec(compile(text, filename, "exec"), NAMES, found)
    way: Callable[..., Serve] = found["way"]
    return way
