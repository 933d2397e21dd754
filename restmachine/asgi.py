"""Turns an ASGI scope into an exchange, and its response into sends (ASGI 3)."""

from __future__ import annotations

import asyncio
import logging
import re
from asyncio import _get_running_loop as running_loop
from collections.abc import MutableMapping
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from restmachine.departures import Departures, departure
from restmachine.direct import ACCEPT, ANY_TYPE, fail_with, go_on, keep_settled
from restmachine.errors import ClientDisconnected
from restmachine.exchange import CLIENT_CLOSED
from restmachine.hooks import CONTENT, STREAMING, Hears, stepped
from restmachine.hopping import Hop
from restmachine.inbound import ASGIExchange, Receive, Scope, Send, exchange_with
from restmachine.plan import Plan
from restmachine.representations import encode_data
from restmachine.sending import (
    CountedSend,
    noted_pieces,
    received,
    response_body,
    response_start,
    tell_end,
)
from restmachine.serving import close_on_loop, fail_late_on_loop, give_up, respond_on_loop
from restmachine.steps import Step
from restmachine.streaming import stream_pieces
from restmachine.writing import NAMES

if TYPE_CHECKING:
    from restmachine.application import RestApplication

logger = logging.getLogger("restmachine")

_DRAIN_TICK_SECONDS = 0.01


_SHORT_URI = 100

ENCODED_SLASH = "\udc2f"
"""Stands for ``%2F`` while a route is found: no server puts half a surrogate pair into a path."""


def raw_path_of(scope: Scope) -> bytes:
    """Return the path as it was sent, empty if the server does not tell; some add the query."""
    raw: bytes = scope.get("raw_path") or b""
    return raw.partition(b"?")[0]


def route_path(scope: Scope) -> str:
    """Return the path by which a route is found: below the root path, encoded slashes kept.

    An encoded slash is data of its segment and separates none (RFC 3986 section 2.2).
    """
    path: str = scope["path"]
    raw = raw_path_of(scope)
    if b"%2f" in raw.lower():
        spelt = unquote(_encoded_slashes(ENCODED_SLASH, raw.decode("latin-1")))
        # Middleware may have taken a prefix off the path alone.
        if path and spelt.replace(ENCODED_SLASH, "/").endswith(path):
            path = spelt[-len(path) :]
    root: str = scope.get("root_path") or ""
    below = path.removeprefix(root.rstrip("/"))
    return below if not below or below.startswith("/") else path


_encoded_slashes = re.compile("%2f", re.IGNORECASE).sub


_NO_VALUES: list[str] = []  # of a path without parameters; nobody changes it


class ASGIAdapter:
    """A restmachine application as an ASGI 3 application."""

    def __init__(self, app: RestApplication) -> None:
        self.app = app
        self._short_uri = min(_SHORT_URI, app.max_uri)
        cls = ASGIAdapter
        serving = (
            cls.__call__, cls._serve_by_steps, cls._serve_by_worker, cls._serve_observed
        )  # fmt: skip
        self._departures = Departures(self, [code.__code__ for code in serving], NAMES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: a request, or the application's lifespan.

        Hot path: what most requests need is all here, since what they cost beside the user's own
        functions is mostly calls (bench_asgi.py::bench_bare_get).
        """
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        # Three lengths tell that nothing is encoded or long; a raw path which has the query in
        # it goes the other way.
        path, raw_path = scope["path"], scope.get("raw_path")
        if (
            raw_path is None
            or len(raw_path) != len(path)
            or len(path) + len(scope["query_string"]) > self._short_uri
            or scope.get("root_path")
        ):
            plan, values = self._dispatch_carefully(scope)
        else:
            plans, method = self.app.plans or self.app.compiled, scope["method"]
            targets = plans.static.get(path)
            if targets is not None and method in targets:
                plan, values = targets[method], _NO_VALUES
            else:
                plan, values = plans.search(method, path) or plans.dispatch_rest(method, path)
        if self._departures.loop is not (loop := running_loop()):
            self._departures.look_later(loop)
        try:
            way = plan.direct
            if way is not None:
                fields, suits = way.fields, not way.resources
                for name, value in scope["headers"]:
                    if name in fields and (value != ANY_TYPE or name != ACCEPT):
                        suits = False
                        break
                if not suits and not way.suits(scope["headers"]):
                    way = None
            if way is None:
                serve, answer = plan.written, None
                if serve is None:
                    if plan.settled is not None:
                        # An error without a handler of its own is the same for all who accept
                        # the same (bench_asgi.py::bench_not_found_among_200_routes).
                        accept = None
                        for name, value in scope["headers"]:
                            if name == ACCEPT:
                                accept = value if accept is None else b"%b, %b" % (accept, value)
                        answer = plan.settled.get(accept)
                    if answer is None or scope["method"] == "HEAD":
                        if plan.crossings is not None:
                            plan = plan.crossings.find(scope["headers"])
                        if plan.written is not None:
                            serve = plan.written
                        elif plan.observed:
                            serve = ASGIAdapter._serve_observed
                        elif plan.hopping is not None and plan.hopping.suits(scope["headers"]):
                            serve = ASGIAdapter._serve_by_worker
                        else:
                            serve = ASGIAdapter._serve_by_steps
                if serve is not None:
                    await serve(self, plan, values, scope, receive, send)
                    return
                assert answer is not None
                status, settled, content = answer
                head = [*settled]
            else:
                data = None
                try:
                    result = way.bare() if way.bare is not None else way.call(values)
                    if way.awaits:
                        result = await result
                    data = encode_data(result)
                    if data is None:
                        step = go_on(way, result)
                except Exception as error:
                    step = fail_with(way, error)
                if data is None:
                    exchange = exchange_with(values + plan.blank, plan, scope, receive)
                    await self._answer(exchange, send, step)
                    return
                status, content = way.status, data
                head = [*way.head, (b"content-length", b"%d" % len(data))]
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": content})
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            if not self._departures.was_for_its_client(id(scope)):
                raise
        finally:
            if self._departures.watched:
                self._departures.leave_alone(id(scope))

    async def _serve_by_steps(
        self, plan: Plan, values: list[Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request that goes no fast way."""
        exchange = ASGIExchange(plan, values, scope, receive)  # Departures asks this frame for it
        await self._answer(exchange, send, plan.first)

    async def _serve_by_worker(
        self, plan: Plan, values: list[Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a plain request whose handler may block."""
        way = plan.hopping
        assert way is not None
        values = values + plan.blank
        workers = self.app.workers
        exchange: ASGIExchange | None = None
        try:
            for slot, make, awaits in way.moves:
                values[slot] = await make(values) if awaits else make(values)
        except Exception as error:
            exchange = exchange_with(values, plan, scope, receive)
            await self._answer(exchange, send, fail_with(way, error))
            return
        hop = Hop(plan, way, values, scope, receive, workers.portal())
        try:
            await workers.run(Hop.run, hop, hop.abandon)
            if hop.error is not None:
                raise hop.error
        except BaseException as error:
            if hop.exchange is not None:
                await give_up(hop.exchange, workers, error)
            raise
        exchange = hop.exchange
        if hop.content is not None:
            head = [*way.head, (b"content-length", b"%d" % len(hop.content))]
            await send({"type": "http.response.start", "status": way.status, "headers": head})
            await send({"type": "http.response.body", "body": hop.content})
        elif exchange is not None:
            await self._send(exchange, send)

    async def _answer(self, exchange: ASGIExchange, send: Send, first: Step | int) -> None:
        await respond_on_loop(exchange, self.app.workers, first)
        if exchange.plan.settled is not None:
            keep_settled(exchange)
        await self._send(exchange, send)

    async def _send(self, exchange: ASGIExchange, send: Send) -> None:
        """Send the response of an exchange, whole or as a stream."""
        if exchange.content.__class__ is bytes:
            await send(response_start(exchange))
            await send(response_body(exchange))
        else:
            await self._stream(exchange, send)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise RuntimeError(f"restmachine does not serve ASGI scopes of type {scope['type']!r}.")

    def _dispatch_carefully(self, scope: Scope) -> tuple[Plan, list[str]]:
        """Return the plan for a URI that may be encoded, too long or below a root path."""
        path = route_path(scope)
        plan, values = self.app.dispatch(scope["method"], path)
        if ENCODED_SLASH in path:
            values = [value.replace(ENCODED_SLASH, "/") for value in values]
        if len(raw_path_of(scope) or path) + len(scope["query_string"]) > plan.max_uri:
            plan = plan.refusing(414)
        return plan, values

    async def _serve_observed(
        self, plan: Plan, values: list[Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request as `__call__` does, and mark where one thing ends and the next begins.

        Hot path: to make an exchange and to tell observers of it costs more than all the marks
        (bench_features.py::bench_observer_on).
        """
        marks = [perf_counter()]
        hears, direct = plan.hears, plan.observed_direct
        exchange: ASGIExchange | None = None
        suits = False
        if direct is not None:
            way = direct.way
            fields, suits = way.fields, not way.resources
            for name, value in scope["headers"]:
                if name in fields and (value != ANY_TYPE or name != ACCEPT):
                    suits = False
                    break
            suits = suits or way.suits(scope["headers"])
        if direct is None or not suits:
            exchange = _begun(ASGIExchange(plan, values, scope, receive), marks, hears)
            await self._answer_observed(exchange, send, plan.first)
            return
        told = hears if hears.enters is None else hears.enters(marks[0])
        if told is not None:
            exchange = _begun(ASGIExchange(plan, values, scope, receive), marks, told)
            if exchange.steps is not None:
                await self._answer_observed(exchange, send, plan.first)
                return
            values = exchange.values
        elif plan.blank:
            values = values + plan.blank
        clocked = direct.clocked or told is not None
        step: Step | None = None
        status, content = CLIENT_CLOSED, None
        try:
            try:
                if way.bare is not None:
                    result = way.bare()
                else:
                    for slot, make, awaits in way.moves:
                        values[slot] = await make(values) if awaits else make(values)
                        if clocked:
                            marks.append(perf_counter())
                    result = way.call(values)
                if way.awaits:
                    result = await result
                if clocked:
                    marks.append(perf_counter())
                content = encode_data(result)
            except BaseException as error:
                if clocked:
                    marks.append(perf_counter())
                if not isinstance(error, Exception):
                    raise
                step = fail_with(way, error)
            else:
                if content is None:
                    step = go_on(way, result)
                else:
                    if clocked:
                        marks.append(perf_counter())
                    head = [*way.head, (b"content-length", b"%d" % len(content))]
                    if exchange is not None:
                        head = direct.respond(exchange, head, content)
                    await send(
                        {
                            "type": "http.response.start",
                            "status": direct.status,
                            "headers": head,
                        }
                    )
                    status = direct.status
                    await send({"type": "http.response.body", "body": content})
                    if clocked:
                        marks.append(perf_counter())
                    if exchange is not None:
                        tell_end(exchange, status, len(content), marks[-1])
                    elif hears.passed is not None:
                        hears.passed(marks, len(content))
                    return
        except BaseException as error:
            if exchange is None:
                exchange = exchange_with(values, plan, scope, receive)
                exchange.marks = marks
            exchange.error = error
            tell_end(exchange, status, 0, perf_counter())
            raise
        if exchange is None:
            exchange = exchange_with(values, plan, scope, receive)
            exchange.marks = marks
        await self._answer_observed(exchange, send, step)

    async def _answer_observed(
        self, exchange: ASGIExchange, send: Send, step: Step | int | None
    ) -> None:
        """Answer a request from a step of its plan on, and tell of its end."""
        plan, steps = exchange.plan, exchange.steps
        counter = CountedSend(send, exchange)
        if (plan.reads_content or plan.streams_content) and CONTENT in plan.hears.kinds:
            exchange.receive = received(exchange)
        try:
            answering = respond_on_loop(exchange, self.app.workers, step)
            await (answering if steps is None else stepped(answering, steps))
            if exchange.content.__class__ is bytes:
                await counter.whole()
            else:
                await self._stream(exchange, counter)
        finally:
            tell_end(exchange, counter.status, counter.sent, counter.ended or perf_counter())

    async def _stream(self, exchange: ASGIExchange, send: Send) -> None:
        """Send content piece by piece until its end, or until the client leaves."""
        exchange.streams = True
        self._departures.leave_alone(id(exchange.scope))
        exchange.portal = self.app.workers.portal()
        pieces = self._send_pieces(exchange, send)
        sending = asyncio.ensure_future(
            pieces if exchange.steps is None else stepped(pieces, exchange.steps)
        )
        leaving = asyncio.ensure_future(disconnected(exchange))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                exchange.error = ClientDisconnected()
                sending.cancel()
            await finished(sending)
            if not sending.cancelled() and (error := sending.exception()) is not None:
                exchange.error = error
                if not isinstance(error, ClientDisconnected):
                    raise error
        except asyncio.CancelledError as cancelled:
            exchange.error = cancelled
            sending.cancel()
            await finished(sending)
            raise
        finally:
            leaving.cancel()
            try:
                if exchange.closers is not None:
                    closing = close_on_loop(exchange, self.app.workers)
                    await (closing if exchange.steps is None else stepped(closing, exchange.steps))
            finally:
                await asyncio.gather(leaving, return_exceptions=True)

    async def _send_pieces(self, exchange: ASGIExchange, send: Send) -> None:
        """Send a stream, one piece made when the one before has been taken.

        The response starts with the first piece, so that what fails before it can still be
        answered with its own status. What fails later cannot: the server closes the
        connection, by which the client knows that the content is not complete.
        """
        started = False
        inline = not exchange.plan.blocking
        stream = stream_pieces(exchange.content, self.app.workers, inline, exchange.steps)
        if STREAMING in exchange.plan.hears.kinds:
            stream = noted_pieces(exchange, stream)
        try:
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    if not started:
                        started = True
                        await hand_over(send, response_start(exchange))
                    if piece:
                        body = {"type": "http.response.body", "body": piece, "more_body": True}
                        del piece  # it must not live on while the next one is made
                        await hand_over(send, body)
                        del body
        except ClientDisconnected:
            raise
        except Exception as error:
            if started:
                raise
            await fail_late_on_loop(exchange, error, self.app.workers)
        if not started:
            if exchange.content.__class__ is not bytes:  # there was no piece
                exchange.content = b""
            await hand_over(send, response_start(exchange))
            await hand_over(send, response_body(exchange))
        else:
            await hand_over(send, {"type": "http.response.body", "body": b""})

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop the application as the server says (ASGI lifespan)."""
        await receive()
        try:
            await self.app.startup()
        except Exception as error:
            logger.exception("The application could not start")
            await send(
                {"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"}
            )
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._drain()
        await self.app.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _drain(self) -> None:
        """Wait until the requests in flight have been answered, as long as the application says."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.app.drain_seconds
        # Looking from time to time costs the requests nothing; an event would have to be told.
        while (  # noqa: ASYNC110
            in_flight := await self._departures.in_flight()
        ) and clock() < deadline:
            await asyncio.sleep(_DRAIN_TICK_SECONDS)
        if in_flight:
            logger.warning("%d requests were still in flight at shutdown", in_flight)


def _begun(exchange: ASGIExchange, marks: list[float], told: Hears) -> ASGIExchange:
    """Tell that a request has started."""
    exchange.marks = marks
    if told.request_started is not None:
        told.request_started(exchange, marks[0])
    if told.follow is not None:
        exchange.steps = told.follow(exchange)
    return exchange


async def hand_over(send: Send, message: MutableMapping[str, Any]) -> None:
    """Give the server a message, and wait until it takes more (back-pressure).

    Raises:
        ClientDisconnected: The client has left (ASGI 2.4).
    """
    try:
        await send(message)
    except OSError as error:
        raise ClientDisconnected from error


async def finished(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended, also for one who is cancelled meanwhile, and then is.

    What a worker thread still uses must not be torn down.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def disconnected(exchange: ASGIExchange) -> None:
    """Return when the client has left."""
    if exchange.stream is not None:  # two must not wait for the same messages
        await exchange.stream.receive_ahead()
    await departure(exchange.receive)


def create_asgi_app(app: RestApplication) -> ASGIAdapter:
    """Return a restmachine application as an ASGI application."""
    return ASGIAdapter(app)
