"""A request as an ASGI server gives it: a scope, and messages that bring its content."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from restmachine.errors import ClientDisconnected, ContentTooLarge, RequestHeaderFieldsTooLarge
from restmachine.exchange import Exchange
from restmachine.headers import MultiValueHeaders, Pair
from restmachine.request import Body, Request

if TYPE_CHECKING:
    from restmachine.plan import Plan

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


_WITH_CONTENT = frozenset(("PATCH", "POST", "PUT"))
"""Methods of which it need not be asked whether content may come."""


class ASGIExchange(Exchange):
    """An exchange whose request comes from an ASGI server; it is read when it is needed."""

    _request: Request | None = None
    _headers: MultiValueHeaders | None = None
    _content = b""
    _body: Body | None = None
    _fields: Mapping[bytes, bytes] | None = None
    streams = False
    _has_all = False  # of the content

    def __init__(self, plan: Plan, path_values: list[str], scope: Scope, receive: Receive) -> None:
        self.plan = plan
        self.method = scope["method"]
        self.values = path_values + plan.blank
        self.scope = scope
        self.receive = receive
        self.unread = plan.reads_content

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        """The header fields of the request, put in order when first asked for."""
        if self._fields is None:
            headers = self.scope["headers"]
            fields = dict(headers)
            self._fields = fields if len(fields) == len(headers) else joined_fields(headers)
        return self._fields

    @property
    def request(self) -> Request:
        """The request message with its content."""
        if self.unread:
            self.wait_for(self.read_content())
        return self.message

    @property
    def body(self) -> Body | None:
        """The content of the request, read now if it was not."""
        return self._as_body(self.received)

    @property
    def received(self) -> bytes:
        """The content of the request as bytes, read now if it was not."""
        if self.unread:
            self.wait_for(self.read_content())
        return self._content

    def _as_body(self, content: bytes) -> Body | None:
        if self._body is None and content:
            self._body = Body(content)
        return self._body

    @property
    def request_headers(self) -> MultiValueHeaders:
        """The header fields of the request message.

        Hot path: most who ask for them do not ask for the message, and to make one takes as long
        as to decode them (bench_features.py::bench_authorization_on).
        """
        if self._request is not None:
            return self._request.headers
        if self._headers is None:
            self._refuse_large_fields()
            self._headers = MultiValueHeaders.received(self.scope["headers"])
        return self._headers

    def _refuse_large_fields(self) -> None:
        size = sum([len(name) + len(value) for name, value in self.scope["headers"]])
        if size > self.plan.max_headers:
            raise RequestHeaderFieldsTooLarge

    @property
    def message(self) -> Request:
        """The request message, its fields and query decoded when first asked for."""
        if self._request is None:
            self._refuse_large_fields()
            scope = self.scope
            extensions = scope.get("extensions")
            tls = (extensions.get("tls") if extensions else None) or {}
            self._request = Request.from_wire(
                self.method,
                scope["path"],
                scope["headers"],
                scope["query_string"],
                self._as_body(self._content),
                self.path_params,
                tls=scope.get("scheme") == "https",
                client_cert=tls.get("client_cert"),
                decoded=self._headers,
            )
            if self.plan.csp is not None:
                self.plan.csp.begin(self, self._request)
        return self._request

    @property
    def target(self) -> Hashable:
        """The URI for which it asks; an encoded slash stands in the raw path alone."""
        scope = self.scope
        return (
            scope.get("scheme"),
            self.fields.get(b"host"),
            scope.get("root_path"),
            scope["path"],
            scope.get("raw_path"),
            scope["query_string"],
        )

    @property
    def receives(self) -> bool:
        """Whether content is still to be received, or its stream asks for messages itself."""
        takes_content = self.plan.reads_content or self.plan.streams_content
        return self.streams or (takes_content and not self._has_all)

    def take_whole(self, message: Message) -> bool:
        """Take the content from a message, if that has it whole."""
        content = whole_content(message, self.plan.max_content)
        if content is None or self._request is not None:
            return False
        self.unread = False
        self._has_all = True
        self._content = content
        return True

    async def read_content(self, first: Message | None = None) -> None:
        """Read the whole content of the request.

        Args:
            first: The message that was received already.

        Raises:
            ContentTooLarge: It is longer than the route takes.
            ClientDisconnected: The client left before it had sent everything.
        """
        self.unread = False
        # Hot path: a generator of the pieces would cost 1.2 of 10 us per POST
        # (bench_asgi.py::bench_post_json).
        pieces: list[bytes] = []
        size = 0
        more = first is not None or self.method in _WITH_CONTENT or self.may_have_content
        while more:
            message = first or await self.receive()
            first = None
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            piece, more = message.get("body", b""), message.get("more_body", False)
            size += len(piece)
            if size > self.plan.max_content:
                raise ContentTooLarge
            pieces.append(piece)
        self._has_all = True
        if size:
            self._content = b"".join(pieces)
            if self._request is not None:
                self._request.body = self._as_body(self._content)

    async def receive_piece(self) -> tuple[bytes, bool]:
        """Return the next piece of the request's content, and whether there is more."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        self._has_all = not message.get("more_body", False)
        return message.get("body", b""), not self._has_all

    @property
    def may_have_content(self) -> bool:
        """Whether content may come; before HTTP/2 a header field must announce it."""
        return self.has_content or not self.scope.get("http_version", "1.1").startswith("1")


def exchange_with(values: list[Any], plan: Plan, scope: Scope, receive: Receive) -> ASGIExchange:
    """Return an exchange for a request for which these values were made before."""
    exchange = ASGIExchange(plan, [], scope, receive)
    exchange.values = values
    return exchange


def whole_content(message: Message, max_content: int) -> bytes | None:
    """Return the content that a message has, None unless it is whole and not too long."""
    content: bytes = message.get("body", b"")
    if (
        message["type"] != "http.request"
        or message.get("more_body", False)
        or len(content) > max_content
    ):
        return None
    return content


def joined_fields(headers: list[Pair]) -> Mapping[bytes, bytes]:
    """Return header fields by name, several lines of one field as one list."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        former = fields.get(name)
        fields[name] = value if former is None else former + b", " + value
    return fields
