"""One request on its way to one response: all per-request state lives here.

The application holds recipes; an exchange holds values. Two exchanges share nothing that
either may change, so requests overlap freely on threads and tasks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Hashable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import uuid4

from restmachine.errors import (
    InvalidResponseError,
    RequestHeaderFieldsTooLarge,
)
from restmachine.headers import EntityTag, MultiValueHeaders, Pair
from restmachine.hooks import LOOP, stepped
from restmachine.streaming import ContentStream

if TYPE_CHECKING:
    from restmachine.csp import Asked
    from restmachine.flights import Flight
    from restmachine.hooks import Entry, Steps
    from restmachine.plan import Plan
    from restmachine.ranges import ByteRange
    from restmachine.request import Body, Request

IDENTIFIERS: Final = ("request_id", "trace_id")
"""The names by which a request may be known in logs and in the content of errors."""

CLIENT_CLOSED: Final = 499
"""What observers are told when the client left before the response started."""

Value = TypeVar("Value")


class Waits(Protocol):
    """A way from a thread that may block to an event loop."""

    def wait_for(self, awaitable: Coroutine[Any, Any, Value]) -> Value:
        """Run a coroutine to its end on the loop and return its result."""


class Portal(Waits, Protocol):
    """A way to a loop which also gives the future of a coroutine's result."""

    def submit(self, awaitable: Coroutine[Any, Any, Value]) -> Future[Value]:
        """Run a coroutine on the loop and return the future of its result."""


class Missing:
    """The type of `MISSING`, which stands for a value not made yet (None is a value)."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Exchange(ABC):
    """What is known of one request, and what was decided about its response so far.

    Attributes:
        fields: Header fields of the request by lower-case name; several lines of one field
            are joined as one list (RFC 9110 section 5.3).
        values: The parameters of the path, as texts, then one place for each request
            dependency that the plan reaches.
        closers: Generators to finish, in order of creation: name, generator, is async.
        handled: Whether the handler ran; `result` is then what it returned.
        own_status, own_headers: What the handler itself stated of the response.
        own_part: The part of the content that the handler wants to be sent.
        unfinished: Whether the answer may still become another when it is ready: preconditions
            were left open until its validators are known, or only a part of it is sent.
        media_type, language, charset, encoding: What was negotiated, None where it was not.
        error: The exception that is being answered.
        detail: What the client may know of an error beside its phrase.
        identifiers: The names of the request that were asked for, `request_id` for instance.
        status, head, content: The response: status, encoded header fields, and bytes or an
            iterable of bytes.
        marks: When somebody observes, readings of the clock, the first at its start (`hooks`).
        finished: The reading at its end, 0.0 while it runs.
        decision: The id of the decision in which the diagram ended, where anybody observes;
            empty if an exception ended it.
        steps: Those who follow it step by step, None for most requests.
        stream: The content of the request as it arrives, once somebody asked for it.
        flight: What tells others of the answer who wait for the same; None for most.
        csp: The content security policy of the request, once it was asked for.
        portal: The way from a worker thread to the event loop, once there is a worker.
    """

    # Defaults live on the class: a request sets only what differs from them.
    unread = False
    closers: list[tuple[str, Any, bool]] | None = None
    handled = False
    result: Any = None
    own_status: int | None = None
    own_headers: MultiValueHeaders | None = None
    own_part: ByteRange | None = None
    unfinished = False
    media_type: str | None = None
    language: str | None = None
    charset: str | None = None
    encoding: str | None = None
    response_fields: MultiValueHeaders | None = None
    error: BaseException | None = None
    detail: Any = None
    identifiers: Mapping[str, str] = MappingProxyType({})
    _default_headers: MultiValueHeaders | None = None
    status = 0
    head: list[Pair]
    content: Any = b""
    sent_bytes = 0
    marks: list[float]
    finished = 0.0
    _notes: dict[Any, Any] | None = None
    _timeline: list[Entry] | None = None
    _entered = 0  # of the marks
    decision = ""
    steps: Steps | None = None
    flight: Flight | None = None
    csp: Asked | None = None
    portal: Portal | None = None
    stream: ContentStream | None = None
    _awaited: _Awaited | None = None
    _abandoned = False

    def __init__(self, plan: Plan, method: str, path_values: list[str]) -> None:
        self.plan = plan
        self.method = method
        self.values: list[Any] = path_values + plan.blank

    @property
    @abstractmethod
    def fields(self) -> Mapping[bytes, bytes]:
        """Header fields of the request by lower-case name; several lines of one are one list."""

    @property
    @abstractmethod
    def request(self) -> Request:
        """The request message with its content, made when first asked for."""

    @property
    @abstractmethod
    def body(self) -> Body | None:
        """The content of the request; to read it now may block."""

    @property
    @abstractmethod
    def received(self) -> bytes:
        """The content of the request as plain bytes; to read it now may block."""

    @property
    @abstractmethod
    def target(self) -> Hashable:
        """The URI for which it asks, as something to compare (RFC 9110 section 7.1)."""

    @property
    def message(self) -> Request:
        """The request message, whose content may not have been read yet."""
        return self.request

    @property
    def request_headers(self) -> MultiValueHeaders:
        """The header fields of the request message."""
        return self.message.headers

    @property
    def notes(self) -> dict[Any, Any]:
        """What observers keep about this request."""
        if self._notes is None:
            self._notes = self.__dict__.setdefault("_notes", {})  # threads may ask at once
        return self._notes

    @property
    def timeline(self) -> list[Entry]:
        """What happened to it so far, as far as observers want to know (`hooks`)."""
        if self._timeline is None:
            self._timeline = self.__dict__.setdefault("_timeline", [])
        direct = self.plan.observed_direct
        if direct is not None and self._entered < len(self.marks) - 1:
            self._timeline.extend(direct.entries(self, self._entered))
            self._entered = len(self.marks) - 1
        return self._timeline

    @property
    def route_template(self) -> str | None:
        """The template of the route, None when no route matched the path."""
        return self.plan.template

    @property
    def path_params(self) -> dict[str, Any]:
        """The parameters of the path by name, as strings."""
        names = self.plan.names
        return dict(zip(names, self.values, strict=False)) if names else {}

    @property
    def response_headers(self) -> MultiValueHeaders:
        """Header fields which the response is to carry beside its own."""
        if self.response_fields is None:
            self.response_fields = MultiValueHeaders()
        return self.response_fields

    @property
    def default_headers(self) -> MultiValueHeaders:
        """Header fields which the response is to carry unless it states them itself."""
        if self._default_headers is None:
            self._default_headers = MultiValueHeaders()
        return self._default_headers

    @property
    def has_default_headers(self) -> bool:
        """Whether the functions for default header fields were asked."""
        return self._default_headers is not None

    def identify(self, name: str, value: str | None = None) -> str:
        """Return an identifier of the request, a random one unless it is given or there."""
        if value is None:
            value = self.identifiers.get(name) or str(uuid4())
        self.identifiers = {**self.identifiers, name: value}
        return value

    @property
    def has_content(self) -> bool:
        """Whether the request comes with content (RFC 9112 section 6.3)."""
        length = self.fields.get(b"content-length")
        return b"transfer-encoding" in self.fields or (length is not None and length != b"0")

    @property
    def etag(self) -> EntityTag | None:
        """The entity tag of the selected representation (RFC 9110 section 8.8.3).

        The route's `generate_etag` names a version of the resource; a representation in
        another than the default media type, language, charset or coding is another sequence
        of bytes, and so gets a tag of its own.
        """
        tag = self.resource_tag
        if tag is None:
            return None
        # Hot path: most routes negotiate nothing (bench_asgi.py::bench_not_modified).
        if (
            self.media_type in (None, self.plan.media_types[0])
            and self.language is self.charset is self.encoding is None
        ):
            return tag
        for chosen, offered in zip(
            (self.media_type, self.language, self.charset, self.encoding),
            self._offers,
            strict=True,
        ):
            if chosen is not None and chosen != offered[0]:
                tag = tag.variant(chosen)
        return tag

    @property
    def variant_tags(self) -> list[EntityTag]:
        """The tags of all representations of the resource's version."""
        tag = self.resource_tag
        tags = [] if tag is None else [tag]
        for offered in self._offers:
            tags += [tag.variant(choice) for tag in tags for choice in offered]
        return tags

    @property
    def _offers(self) -> tuple[Sequence[str], ...]:
        """What there is to choose from, the default first: types, languages, charsets, codings."""
        options = self.plan.options
        # A request without Accept-Encoding gets "identity", wherever it is listed.
        codings = sorted(options.encodings, key=lambda coding: coding.lower() != "identity")
        return self.plan.media_types, options.languages, options.charsets, codings

    @property
    def resource_tag(self) -> EntityTag | None:
        """The tag that the route's `generate_etag` gives to the resource's version."""
        tag = self._first_of("generate_etag")
        if tag is None:
            return None
        try:
            return EntityTag.of(tag)
        except ValueError as error:
            raise InvalidResponseError("The generate_etag function gave no entity tag.") from error

    @property
    def last_modified(self) -> datetime | None:
        """When the representation last changed, from the route's `last_modified`."""
        modified: datetime | None = self._first_of("last_modified")
        return modified

    def _first_of(self, kind: str) -> Any:
        """Return the first value that callbacks of a kind give; each is asked."""
        first = None
        for check in self.plan.checks.get(kind, ()):
            value = check.need.get(self)
            if first is None:
                first = value
        return first

    def field(self, name: bytes) -> str | None:
        """Return a header field of the request by its lower-case name."""
        value = self.fields.get(name)
        return None if value is None else str(value, "latin-1")

    def list_field(self, name: bytes) -> str | None:
        """Return a header field that is a list, which takes time to read.

        Raises:
            RequestHeaderFieldsTooLarge: It is longer than all fields together may be.
        """
        value = self.fields.get(name)
        if value is not None and len(value) > self.plan.max_headers:
            raise RequestHeaderFieldsTooLarge
        return None if value is None else str(value, "latin-1")

    @property
    def accept(self) -> str | None:
        """The Accept field by which an error is sent, None also if it is too long to read."""
        value = self.fields.get(b"accept")
        return (
            None if value is None or len(value) > self.plan.max_headers else self.field(b"accept")
        )

    def add_field(self, name: bytes, value: bytes) -> None:
        """Add a header field to the response, which is made but not sent."""
        # A new list: a response's may belong to its plan.
        self.head = [*self.head, (name, value)]

    def close_later(self, name: str, generator: Any, is_async: bool) -> None:
        """Remember a generator dependency that must be finished when the request is over."""
        if self.closers is None:
            self.closers = []
        self.closers.append((name, generator, is_async))

    async def content_pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the content of the request as it comes; nothing when there is none.

        Raises:
            ContentTooLarge: It is longer than the route takes.
            ClientDisconnected: The client left before it had sent everything.
        """
        if not self.unread:
            if self.body:
                yield self.body
            return
        self.unread = False
        stream = ContentStream(self)
        while piece := await stream.read_piece():
            yield piece

    @property
    def may_have_content(self) -> bool:
        """Whether content may come, as far as the header fields tell."""
        return self.has_content

    async def read_content(self) -> None:
        """Read the whole content of the request, if that is still to be done.

        Raises:
            ContentTooLarge: It is longer than the route takes.
            ClientDisconnected: The client left before it had sent everything.
        """
        self.unread = False

    @abstractmethod
    async def receive_piece(self) -> tuple[bytes, bool]:
        """Return the next piece of the request's content, and whether there is more.

        Raises:
            ClientDisconnected: The client left before it had sent everything.
        """

    def wait_for(self, awaitable: Coroutine[Any, Any, Value], always: bool = False) -> Value:
        """Run a coroutine to its end on the event loop, from a thread that may block.

        Args:
            always: Run it even for a response that nobody wants any more.

        Raises:
            RuntimeError: This exchange runs on the loop itself.
            asyncio.CancelledError: The coroutine was cancelled.
        """
        if self.portal is None:
            awaitable.close()
            raise RuntimeError("An exchange on an event loop must await, not wait.")
        inner = awaitable
        noted = None
        if self.plan.observed:
            noted = _NotedWait(self)
            awaitable = noted.run(inner)
        if self.steps is not None:
            awaitable = stepped(awaitable, self.steps)
            self.steps.suspended()
        running = awaitable
        if not always:
            awaited = _Awaited()
            running = awaited.run(awaitable)
            # In this order, and in the opposite one in `abandon`, so that none is missed.
            self._awaited = awaited
            if self._abandoned:
                awaited.cancel()
        try:
            result: Value = self.portal.submit(running).result()
        except concurrent.futures.CancelledError:
            # The same event has a name of its own among futures of threads.
            raise asyncio.CancelledError from None
        finally:
            awaitable.close()  # never begun if the exchange runs on the loop
            inner.close()
            if noted is not None:
                noted.note()
            if self.steps is not None:
                self.steps.resumed()
        return result

    def abandon(self) -> None:
        """Hear that nobody wants the response any more while a worker thread makes it."""
        self._abandoned = True
        if self._awaited is not None:
            self._awaited.cancel()


class _NotedWait:
    """Notes how long a worker thread waits for the event loop before and after what runs there."""

    __slots__ = ("_exchange", "_left")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._left = perf_counter()

    def note(self) -> None:
        """Note the wait that ends now."""
        exchange, now = self._exchange, perf_counter()
        exchange.plan.hears.note(exchange, LOOP, "", self._left, now)
        self._left = now

    async def run(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Run the coroutine on the loop."""
        self.note()
        try:
            return await coroutine
        finally:
            self._left = perf_counter()


class _Awaited:
    """A coroutine for which a worker thread waits, and which the event loop may cancel.

    Its task is cancelled and not the thread's future: that would be done at once, and a generator
    dependency which had just begun would be lost to the thread that must finish it.
    """

    __slots__ = ("_cancelled", "_task")

    def __init__(self) -> None:
        self._cancelled = False
        self._task: asyncio.Task[Any] | None = None

    async def run(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Run the coroutine, unless it was cancelled before."""
        self._task = asyncio.current_task()
        if self._cancelled:
            coroutine.close()
            raise asyncio.CancelledError
        return await coroutine

    def cancel(self) -> None:
        """Cancel the coroutine: on its loop, or anywhere before it was handed to the loop."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()


class DirectExchange(Exchange):
    """An exchange for a `Request` that is already complete (`RestApplication.execute`)."""

    def __init__(self, plan: Plan, request: Request, path_values: list[str]) -> None:
        super().__init__(plan, str(request.method), path_values)
        self._request = request
        request.path_params = {**request.path_params, **self.path_params}
        fields = {
            name.lower().encode("latin-1"): (request.headers.joined(name) or "").encode("latin-1")
            for name in request.headers
        }
        if request.body:
            fields[b"content-length"] = b"%d" % len(request.body)
        self._fields = fields
        self._fields_bytes = sum(len(n) + len(value) for n, value in request.headers.encoded())
        if hasattr(request, "csp_nonce"):  # of an answer that it got before
            del request.csp_nonce
        if plan.csp is not None and self._fields_bytes <= plan.max_headers:
            plan.csp.begin(self, request)

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        """The header fields of the request that was given."""
        return self._fields

    @property
    def request(self) -> Request:
        """The request that was given.

        Raises:
            RequestHeaderFieldsTooLarge: Its header fields are longer than they may be.
        """
        if self._fields_bytes > self.plan.max_headers:
            raise RequestHeaderFieldsTooLarge
        return self._request

    @property
    def body(self) -> Body | None:
        """The content of the request that was given."""
        return self._request.body

    @property
    def received(self) -> bytes:
        """The content of the request that was given, as plain bytes."""
        return bytes(self._request.body or b"")

    @property
    def target(self) -> Hashable:
        """The URI of the request that was given."""
        request = self._request
        return request.tls, self._fields.get(b"host"), request.path, request.query_params.pairs

    @property
    def has_content(self) -> bool:
        """Whether the request has a body that is not empty."""
        return bool(self._request.body)

    async def receive_piece(self) -> tuple[bytes, bool]:
        """Return all of the body, the only piece."""
        return self._request.body or b"", False
