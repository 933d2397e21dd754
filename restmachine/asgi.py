"""Turns an ASGI scope into an exchange, and its response into sends (ASGI 3)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from restmachine.departures import Departures, departure
from restmachine.direct import ACCEPT, fail_with, go_on, keep_settled
from restmachine.errors import ClientDisconnected
from restmachine.exchange import CLIENT_CLOSED, Exchange
from restmachine.hooks import CONTENT, RENDERING, SENDING, STREAMING, Hears, report, stepped
from restmachine.inbound import ASGIExchange, Receive, Scope, Send
from restmachine.plan import Plan
from restmachine.representations import encode_data
from restmachine.serving import close_on_loop, fail_late_on_loop, respond_on_loop
from restmachine.steps import Step
from restmachine.streaming import stream_pieces

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
        self._departures = Departures(ASGIAdapter.__call__.__code__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: a request, or the application's lifespan."""
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        plan, values = self._dispatch(scope)
        departures = self._departures
        flights = departures.flights
        if departures.loop is None or (not flights and departures.loop.is_closed()):
            departures.look_later()
        flight = id(scope)
        flights[flight] = receive
        try:
            direct = plan.direct
            if direct is None or not direct.suits(scope["headers"]):
                if plan.settled is not None and await self._send_settled(plan, scope, send):
                    return
                if plan.observed:
                    await self._serve_observed(plan, values, scope, receive, send)
                    return
                exchange = flights[flight] = ASGIExchange(plan, values, scope, receive)
                checked = plan.checked
                if checked is None or (condition := checked.suits(scope["headers"])) is False:
                    await self._answer(exchange, send, plan.first)
                elif (step := await checked.answer(exchange, condition, send)) is not None:
                    await self._answer(exchange, send, step)
                return
            try:
                if direct.moves:
                    values = values + plan.blank
                    for slot, make, awaits in direct.moves:
                        values[slot] = await make(values) if awaits else make(values)
                result = direct.call(values)
                if direct.awaits:
                    result = await result
            except Exception as error:
                step = fail_with(direct, error)
            else:
                content = encode_data(result)
                if content is not None:
                    length = (b"content-length", b"%d" % len(content))
                    await send(
                        {
                            "type": "http.response.start",
                            "status": direct.status,
                            "headers": [*direct.head, length],
                        }
                    )
                    await send({"type": "http.response.body", "body": content})
                    return
                step = go_on(direct, result)
            exchange = ASGIExchange(plan, values, scope, receive)
            if direct.moves:
                exchange.values = values
            flights[flight] = exchange
            await self._answer(exchange, send, step)
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            if not departures.was_for_its_client(flight):
                raise
        finally:
            flights.pop(flight, None)
            if departures.watched:
                departures.leave_alone(flight)

    def _dispatch(self, scope: Scope) -> tuple[Plan, list[str]]:
        """Return the plan for a request, and the values of the path's parameters."""
        path = scope["path"]
        raw_path = scope.get("raw_path")
        # Hot path: three lengths tell that nothing is encoded or long; a raw path which has
        # the query in it goes the other way (bench_asgi.py::bench_bare_get).
        if (
            raw_path is None
            or len(raw_path) != len(path)
            or len(path) + len(scope["query_string"]) > self._short_uri
            or scope.get("root_path")
        ):
            return self._dispatch_carefully(scope)
        method = scope["method"]
        plans = self.app.plans or self.app.compiled
        targets = plans.static.get(path)
        if targets is not None and method in targets:
            return targets[method], _NO_VALUES
        return plans.dispatch(method, path)

    async def _send_settled(self, plan: Plan, scope: Scope, send: Send) -> bool:
        """Send the answer that a plan settles, and return whether it is known already.

        Hot path: an error without a handler of its own is the same for all who accept the same
        (bench_asgi.py::bench_not_found_among_200_routes).
        """
        assert plan.settled is not None
        accept = None
        for name, value in scope["headers"]:
            if name == ACCEPT:
                if accept is not None:
                    return False
                accept = value
        answer = plan.settled.get(accept)
        if answer is None or scope["method"] == "HEAD":
            return False
        start = {"type": "http.response.start", "status": answer.status, "headers": [*answer.head]}
        await send(start)
        await send({"type": "http.response.body", "body": answer.content})
        return True

    async def _answer(self, exchange: ASGIExchange, send: Send, first: Step | int) -> None:
        await respond_on_loop(exchange, self.app.workers, first)
        if exchange.plan.settled is not None:
            keep_settled(exchange)
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
        if direct is None or not direct.way.suits(scope["headers"]):
            exchange = self._begin(ASGIExchange(plan, values, scope, receive), marks)
            await self._answer_observed(exchange, send, plan.first)
            return
        bare = False
        if hears.enters is not None:
            try:
                bare = hears.enters(marks[0])
            except Exception:
                report(hears.enters)
        if not bare:
            exchange = self._begin(ASGIExchange(plan, values, scope, receive), marks)
            if exchange.steps is not None:
                await self._answer_observed(exchange, send, plan.first)
                return
            values = exchange.values
        elif plan.blank:
            values = values + plan.blank
        way = direct.way
        step: Step | None = None
        status, content = CLIENT_CLOSED, None
        try:
            try:
                for slot, make, awaits in way.moves:
                    values[slot] = await make(values) if awaits else make(values)
                    marks.append(perf_counter())
                result = way.call(values)
                if way.awaits:
                    result = await result
                marks.append(perf_counter())
            except BaseException as error:
                marks.append(perf_counter())
                if not isinstance(error, Exception):
                    raise
                step = fail_with(way, error)
            else:
                content = encode_data(result)
                if content is None:
                    step = go_on(way, result)
                else:
                    marks.append(perf_counter())
                    status = direct.status
                    head = [*way.head, (b"content-length", b"%d" % len(content))]
                    if exchange is not None:
                        head = direct.respond(exchange, head, content)
                    await send({"type": "http.response.start", "status": status, "headers": head})
                    await send({"type": "http.response.body", "body": content})
                    marks.append(perf_counter())
                    if hears.passed is not None and bare:
                        try:
                            hears.passed(marks, len(content))
                        except Exception:
                            report(hears.passed)
                    elif exchange is not None:
                        _tell_end(exchange, status, len(content), marks[-1])
                    return
        except BaseException:
            if exchange is None:
                exchange = self._late_exchange(plan, values, scope, receive, marks)
            _tell_end(exchange, status, 0, perf_counter())
            raise
        if exchange is None:
            exchange = self._late_exchange(plan, values, scope, receive, marks)
        await self._answer_observed(exchange, send, step)

    def _begin(self, exchange: ASGIExchange, marks: list[float]) -> ASGIExchange:
        """Tell that a request has started."""
        self._departures.flights[id(exchange.scope)] = exchange
        exchange.marks = marks
        hears = exchange.plan.hears
        if hears.request_started is not None:
            hears.request_started(exchange, marks[0])
        if hears.follow is not None:
            exchange.steps = hears.follow(exchange)
        return exchange

    def _late_exchange(
        self, plan: Plan, values: list[Any], scope: Scope, receive: Receive, marks: list[float]
    ) -> ASGIExchange:
        """Return the exchange of a request that had none so far, but *values* for it."""
        exchange = ASGIExchange(plan, [], scope, receive)
        self._departures.flights[id(scope)] = exchange
        exchange.values, exchange.marks = values, marks
        return exchange

    async def _answer_observed(
        self, exchange: ASGIExchange, send: Send, step: Step | int | None
    ) -> None:
        """Answer a request from a step of its plan on, and tell of its end."""
        plan, steps = exchange.plan, exchange.steps
        counter = _Counter(send, exchange)
        if (plan.reads_content or plan.streams_content) and CONTENT in plan.hears.kinds:
            exchange.receive = _received(exchange)
        try:
            answering = respond_on_loop(exchange, self.app.workers, step)
            await (answering if steps is None else stepped(answering, steps))
            if exchange.content.__class__ is bytes:
                await counter.whole()
            else:
                await self._stream(exchange, counter)
        finally:
            _tell_end(exchange, counter.status, counter.sent, counter.ended or perf_counter())

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
            await asyncio.wait({sending})
            if not sending.cancelled() and (error := sending.exception()) is not None:
                exchange.error = error
                if not isinstance(error, ClientDisconnected):
                    raise error
        except asyncio.CancelledError as cancelled:
            exchange.error = cancelled
            sending.cancel()
            await asyncio.wait({sending})
            raise
        finally:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            if exchange.closers is not None:
                closing = close_on_loop(exchange, self.app.workers)
                await (closing if exchange.steps is None else stepped(closing, exchange.steps))

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
            stream = _noted_pieces(exchange, stream)
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
        # Looking from time to time costs the requests nothing, unlike telling of each end.
        while self._departures.flights and clock() < deadline:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_DRAIN_TICK_SECONDS)
        if self._departures.flights:
            in_flight = len(self._departures.flights)
            logger.warning("%d requests were still in flight at shutdown", in_flight)


def response_start(exchange: Exchange) -> MutableMapping[str, Any]:
    """Return the message that begins a response."""
    return {"type": "http.response.start", "status": exchange.status, "headers": exchange.head}


def response_body(exchange: Exchange) -> MutableMapping[str, Any]:
    """Return the message with all of the content; HEAD has none (RFC 9110 section 9.3.2)."""
    content = b"" if exchange.method == "HEAD" else exchange.content
    return {"type": "http.response.body", "body": content}


def _tell_end(exchange: Exchange, status: int, sent_bytes: int, now: float) -> None:
    """Tell that a request is over."""
    exchange.finished = now
    tell = exchange.plan.hears.request_finished
    if tell is not None:
        tell(exchange, status, sent_bytes, now)


def _start_of_sending(exchange: Exchange) -> float:
    """Return when the response starts: now, which may just have been read from the clock."""
    timeline = exchange.timeline
    if timeline and timeline[-1][0] is RENDERING and exchange.portal is None:
        return timeline[-1][3]
    return perf_counter()


async def _noted_pieces(
    exchange: ASGIExchange, pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a stream, noting how long each took to make."""
    async with aclosing(pieces):
        while True:
            started = perf_counter()
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
            finally:
                exchange.timeline.append((STREAMING, "", started, perf_counter()))
            yield piece
            del piece


def _received(exchange: ASGIExchange) -> Receive:
    """Return how an exchange receives messages, noting how long it waited for content."""
    receive = exchange.receive

    async def noted() -> MutableMapping[str, Any]:
        started = perf_counter()
        message = await receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            exchange.timeline.append((CONTENT, size, started, perf_counter()))
        return message

    return noted


class _Counter:
    """Sends a response, notes each piece, and remembers the status and how much was sent."""

    __slots__ = ("_exchange", "_hears", "_send", "ended", "sent", "status")

    def __init__(self, send: Send, exchange: Exchange) -> None:
        self._send = send
        self._exchange = exchange
        self._hears: Hears = exchange.plan.hears
        self.status = CLIENT_CLOSED
        self.sent = 0
        self.ended = 0.0

    async def whole(self) -> None:
        """Send a response whose content is there."""
        exchange = self._exchange
        body = response_body(exchange)
        started = _start_of_sending(exchange)
        self.status = exchange.status
        if self._hears.response_started is not None:
            self._hears.response_started(exchange, self.status, started)
        await self._send(response_start(exchange))
        await self._send(body)
        self.sent = len(body["body"])
        self.ended = perf_counter()
        self._hears.note(exchange, SENDING, self.sent, started, self.ended)

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send one message."""
        started = perf_counter()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._hears.response_started is not None:
                self._hears.response_started(self._exchange, self.status, started)
            message["headers"] = self._exchange.head
        await self._send(message)
        size = len(message.get("body", b""))
        self.sent += size
        self._hears.note(self._exchange, SENDING, size, started, perf_counter())


async def hand_over(send: Send, message: MutableMapping[str, Any]) -> None:
    """Give the server a message, and wait until it takes more (back-pressure).

    Raises:
        ClientDisconnected: The client has left (ASGI 2.4).
    """
    try:
        await send(message)
    except OSError as error:
        raise ClientDisconnected from error


async def disconnected(exchange: ASGIExchange) -> None:
    """Return when the client has left."""
    if exchange.stream is not None:  # two must not wait for the same messages
        await exchange.stream.ended.wait()
    await departure(exchange.receive)


def create_asgi_app(app: RestApplication) -> ASGIAdapter:
    """Return a restmachine application as an ASGI application."""
    return ASGIAdapter(app)
