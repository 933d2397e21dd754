"""Makes an answer one of less content: 206 with the parts that Range asks for, 416, or 304.

What may be asked for in parts says so itself, in its Accept-Ranges field
(RFC 9110 section 14.3); `restmachine.ranges` decides which parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from restmachine.errors import InvalidResponseError
from restmachine.exchange import Exchange
from restmachine.headers import EntityTag, Pair, parse_http_date
from restmachine.ranges import (
    ByteRange,
    content_range,
    if_range_matches,
    multipart_byteranges,
    parse_range,
    unsatisfied_range,
)

Parts = Iterable[bytes | ByteRange]
"""What to send in order: bytes as they are, and for each range those of the content."""

ACCEPT_RANGES: Final = (b"accept-ranges", b"bytes")
ACCEPT_NO_RANGES: Final = (b"accept-ranges", b"none")

_OF_THE_CONTENT: Final = frozenset(
    {
        b"accept-ranges",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-type",
    }
)
_REFRAMED: Final = frozenset({b"content-length", b"content-range", b"content-type"})


def find_parts(exchange: Exchange, size: int) -> list[ByteRange] | None:
    """Return the parts of *size* bytes of content that the request asks for.

    None means that the whole is sent. Only GET has ranges, and only where the answer is
    200 (RFC 9110 section 14.2). An empty list means 416.
    """
    if exchange.own_part is not None:
        return _own_parts(exchange, exchange.own_part, size)
    field = exchange.list_field(b"range")
    if field is None or exchange.method != "GET" or exchange.status != 200:
        return None
    head = dict(exchange.head)
    if head.get(ACCEPT_RANGES[0]) != ACCEPT_RANGES[1]:
        return None
    condition = exchange.field(b"if-range")
    if condition is not None:
        etag = EntityTag.parse(head.get(b"etag", b"").decode("latin-1"))
        modified = parse_http_date(head.get(b"last-modified", b"").decode("latin-1"))
        if not if_range_matches(condition, etag, modified):
            return None
    return parse_range(field, size)


def _own_parts(exchange: Exchange, part: ByteRange, size: int) -> list[ByteRange] | None:
    """Return the part that a handler wants to send instead of what is asked for."""
    if exchange.method != "GET" or exchange.status != 200:
        return None
    if not 0 <= part.start <= part.end:
        raise InvalidResponseError(f"Bytes {part.start} to {part.end} are no part of any content.")
    return [ByteRange(part.start, min(part.end, size - 1))] if part.start < size else []


def become_partial(exchange: Exchange, parts: list[ByteRange], size: int) -> Parts:
    """Make the answer a 206 for these parts and return what to send.

    Its other fields stay those of the 200 (RFC 9110 section 15.3.7).
    """
    head = [pair for pair in exchange.head if pair[0] not in _REFRAMED]
    whole_type = dict(exchange.head).get(b"content-type", b"").decode("latin-1") or None
    exchange.status = 206
    if len(parts) > 1:
        multipart = multipart_byteranges(parts, size, whole_type)
        exchange.head = [
            (b"content-type", multipart.content_type.encode()),
            *head,
            (b"content-length", b"%d" % multipart.content_length),
        ]
        return multipart
    described = [(b"content-type", whole_type.encode("latin-1"))] if whole_type else []
    exchange.head = [
        *described,
        *head,
        (b"content-range", content_range(parts[0], size).encode()),
        (b"content-length", b"%d" % parts[0].length),
    ]
    return parts


def become_not_modified(exchange: Exchange) -> None:
    """Make the answer a 304, which keeps what is not about the content (section 15.4.5)."""
    exchange.status, exchange.content = 304, b""
    exchange.head = [pair for pair in exchange.head if pair[0] not in _OF_THE_CONTENT]


def unsatisfied(size: int) -> Pair:
    """Return the field which a 416 carries."""
    return (b"content-range", unsatisfied_range(size).encode())
