"""The request message, without I/O (RFC 9110 sections 6 and 9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, quote, urlencode

from restmachine.headers import MultiValueHeaders, Pair, parse_entity_tags, parse_http_date


class HTTPMethod(StrEnum):
    """The methods that routes may be declared for (RFC 9110 section 9.3, RFC 5789)."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


KNOWN_METHODS = frozenset(HTTPMethod) | {"CONNECT", "TRACE"}
"""Methods that are recognised; any other is 501 (RFC 9110 section 9.1)."""


_PATH_CHARACTERS = "/:@!$&'()*+,;="  # sent as they are (RFC 3986 section 3.3)


class Body(bytes):
    """Content of a request: bytes which can also be read like a file."""

    _position = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes from the current position, all that is left if negative."""
        start = self._position
        end = len(self) if size < 0 else min(len(self), start + size)
        self._position = max(start, end)
        return bytes(self[start:end])

    def seek(self, offset: int) -> int:
        """Move to *offset* bytes from the start."""
        self._position = max(0, offset)
        return self._position

    def tell(self) -> int:
        """Return the current position in bytes."""
        return self._position


class QueryParameters(dict[str, str]):
    """Parameters of the query: the last value of each name, and `get_all` for every one.

    Blank values are kept. `pairs` are all of them as they were sent.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = tuple(pairs)
        super().__init__(self.pairs)

    @classmethod
    def parse(cls, query: str) -> QueryParameters:
        """Decode the part of a URI after the question mark (percent-encoded UTF-8)."""
        return cls(parse_qsl(query, keep_blank_values=True)) if query else cls()

    def get_all(self, name: str) -> list[str]:
        """Return every value of *name* in the order sent, `[]` when there is none."""
        return [value for key, value in self.pairs if key == name]


def as_method(name: str) -> HTTPMethod | str:
    """Return the member for a known method and any other name as it is."""
    return _METHODS.get(name, name)


_METHODS: dict[str, HTTPMethod] = {method.value: method for method in HTTPMethod}


class Request:
    """One request.

    Args:
        method: A member of `HTTPMethod` or its name.
        path: The path, decoded.
        headers: A mapping, a list of pairs or `MultiValueHeaders`.
        body: Text (sent as UTF-8), bytes or a binary file, which is read at once.
        query_params: A mapping or a list of pairs; a query in *path* is not looked at.
        path_params: Filled in by routing.
        tls: Whether the connection is encrypted.
        client_cert: The client's certificate as the ASGI TLS extension gives it.

    Attributes:
        csp_nonce: What the content security policy of the request allows scripts and styles by.
            There is no such attribute where no policy has a nonce.
    """

    __slots__ = (
        "_headers",
        "_query",
        "_raw_headers",
        "body",
        "client_cert",
        "csp_nonce",
        "method",
        "path",
        "path_params",
        "tls",
    )

    csp_nonce: str

    def __init__(
        self,
        method: HTTPMethod | str,
        path: str,
        headers: Mapping[str, str | list[str]]
        | Iterable[tuple[str, str]]
        | MultiValueHeaders
        | None = None,
        body: str | bytes | BinaryIO | None = None,
        query_params: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        path_params: dict[str, Any] | None = None,
        tls: bool = False,
        client_cert: dict[str, Any] | None = None,
    ) -> None:
        self.method = as_method(method)
        self.path = path
        self._headers: MultiValueHeaders | None = (
            headers if isinstance(headers, MultiValueHeaders) else MultiValueHeaders(headers)
        )
        self._raw_headers: Iterable[Pair] = ()
        self.body = as_body(body)
        pairs = query_params.items() if isinstance(query_params, Mapping) else query_params
        self._query: QueryParameters | bytes = QueryParameters(pairs or ())
        self.path_params: dict[str, Any] = {} if path_params is None else path_params
        self.tls = tls
        self.client_cert = client_cert

    @classmethod
    def from_wire(
        cls,
        method: str,
        path: str,
        raw_headers: Iterable[Pair],
        query_string: bytes,
        body: Body | None,
        path_params: dict[str, Any],
        *,
        tls: bool = False,
        client_cert: dict[str, Any] | None = None,
        decoded: MultiValueHeaders | None = None,
    ) -> Request:
        """Make a request whose header fields and query are decoded when first asked for.

        Args:
            decoded: The header fields if somebody has decoded them already.
        """
        request = cls.__new__(cls)
        request.method = as_method(method)
        request.path = path
        request._headers = decoded
        request._raw_headers = raw_headers
        request.body = body
        request._query = query_string
        request.path_params = path_params
        request.tls = tls
        request.client_cert = client_cert
        return request

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"

    @property
    def headers(self) -> MultiValueHeaders:
        """The header fields."""
        if self._headers is None:
            self._headers = MultiValueHeaders.received(self._raw_headers)
        return self._headers

    @property
    def query_params(self) -> QueryParameters:
        """The parameters of the query, empty when there is none."""
        if isinstance(self._query, bytes):
            self._query = QueryParameters.parse(self._query.decode("utf-8", "replace"))
        return self._query

    @property
    def target_bytes(self) -> int:
        """How long the path and the query are together when they are sent, in bytes."""
        query = self._query
        if not isinstance(query, bytes):
            query = urlencode(query.pairs).encode()
        return len(quote(self.path, safe=_PATH_CHARACTERS)) + len(query)

    def get_accept_header(self) -> str:
        """Return the Accept field, `*/*` when it is absent."""
        return self.headers.joined("Accept") or "*/*"

    def get_content_type(self) -> str | None:
        """Return the Content-Type field."""
        return self.headers.get("Content-Type")

    def get_authorization_header(self) -> str | None:
        """Return the Authorization field."""
        return self.headers.get("Authorization")

    def get_if_match(self) -> list[str] | None:
        """Return the entity tags of If-Match, `["*"]` for any, None when it is absent."""
        return self._entity_tags("If-Match")

    def get_if_none_match(self) -> list[str] | None:
        """Return the entity tags of If-None-Match, `["*"]` for any, None when it is absent."""
        return self._entity_tags("If-None-Match")

    def get_if_modified_since(self) -> datetime | None:
        """Return the date of If-Modified-Since, None when it is absent or not a date."""
        return parse_http_date(self.headers.get("If-Modified-Since") or "")

    def get_if_unmodified_since(self) -> datetime | None:
        """Return the date of If-Unmodified-Since, None when it is absent or not a date."""
        return parse_http_date(self.headers.get("If-Unmodified-Since") or "")

    def _entity_tags(self, name: str) -> list[str] | None:
        field = self.headers.joined(name)
        if field is None:
            return None
        if field.strip() == "*":
            return ["*"]
        return [str(tag) for tag in parse_entity_tags(field)]


def as_body(content: str | bytes | BinaryIO | None) -> Body | None:
    """Return content as `Body`: text in UTF-8, a file read to its end, None for none."""
    if content is None or isinstance(content, Body):
        return content
    if isinstance(content, str):
        return Body(content.encode())
    if isinstance(content, (bytes, bytearray, memoryview)):
        return Body(content)
    return Body(content.read())
