"""From the end of a plan to a response: status, header fields and content.

`take` reads what a handler returned, `conclude` turns it, or a status without a handler's
result, into what is sent, and `fail` does so for an exception.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restmachine.errors import HTTPError, InvalidResponseError
from restmachine.exchange import Exchange
from restmachine.headers import (
    InvalidHeaderError,
    MediaType,
    MultiValueHeaders,
    Pair,
    format_http_date,
    merged,
)
from restmachine.partial import (
    ACCEPT_NO_RANGES,
    ACCEPT_RANGES,
    become_not_modified,
    become_partial,
    find_parts,
    unsatisfied,
)
from restmachine.preconditions import CONDITIONAL_FIELDS, status_of_preconditions
from restmachine.problems import ErrorBody, phrase, problem
from restmachine.ranges import ByteRange
from restmachine.renditions import Rendition, vary_of
from restmachine.representations import (
    BYTES,
    JSON,
    encode_json,
    essence,
    file_type,
)
from restmachine.response import Response
from restmachine.streaming import discard, is_stream
from restmachine.validation import is_validation_error, validation_details

if TYPE_CHECKING:
    from restmachine.plan import Plan


logger = logging.getLogger("restmachine")

# Statuses without content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
_EMPTY = frozenset({204, 205, 304})
# Plain integers: a look at the enumeration costs more than the comparison.
_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED.value
_METHOD_NOT_ALLOWED = HTTPStatus.METHOD_NOT_ALLOWED.value
_NOT_ACCEPTABLE = HTTPStatus.NOT_ACCEPTABLE.value
_LENGTH = b"content-length"
_TYPE = b"content-type"
_VARY = b"vary"
_CHALLENGE = b"www-authenticate"
_ALLOW = b"allow"
TEXT_UTF8 = b"text/plain; charset=utf-8"
# Fields that describe the content which a handler meant to send; an error has its own.
_DESCRIBING = frozenset(
    {
        _LENGTH,
        _TYPE,
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-location",
        b"content-range",
        b"etag",
        b"last-modified",
        b"transfer-encoding",
    }
)


# What the server needs to know of the content, and who else says.
_FRAMING = frozenset({_LENGTH, b"transfer-encoding"})
# Fields of which a default one stands beside those that are stated.
_JOINED = frozenset({_VARY, b"set-cookie"})

_DATA: frozenset[type] = frozenset({dict, list})


def take(exchange: Exchange, value: Any) -> None:
    """Keep what a handler returned: its result, and the status and fields it states."""
    exchange.handled = True
    exchange.result = value
    if type(value) in _DATA or value is None:
        return
    if isinstance(value, tuple):
        _take_tuple(exchange, value)
    elif isinstance(value, ErrorBody):
        exchange.own_status = value.status_code or 500
        exchange.result = value.fields_for(phrase(exchange.own_status))
    elif isinstance(value, Response):
        exchange.own_status = value.status_code
        exchange.own_headers = value.headers
        exchange.result = value.body
        if value.range_start is not None and value.range_end is not None:
            exchange.own_part = ByteRange(value.range_start, value.range_end)
            exchange.unfinished = True
        if isinstance(value.body, str) and value.content_type is None:
            exchange.own_headers = value.headers.copy()
            exchange.own_headers.set("Content-Type", guessed_type(value.body))
    elif all(hasattr(value, name) for name in ("status_code", "headers", "content")):
        _forward(exchange, value)


def _take_tuple(exchange: Exchange, value: tuple[Any, ...]) -> None:
    """Read ``(body, status)`` and ``(body, status, headers)``; other tuples are data."""
    if len(value) not in (2, 3) or not isinstance(value[1], int) or isinstance(value[1], bool):
        return
    fields = value[2] if len(value) == 3 else None
    if fields is not None and not isinstance(fields, Mapping):
        return
    exchange.result = value[0]
    exchange.own_status = int(value[1])
    if fields:
        exchange.own_headers = MultiValueHeaders(fields)


def _forward(exchange: Exchange, answer: Any) -> None:
    """Take an HTTP client's response: status, content type and content."""
    exchange.own_status = int(answer.status_code)
    exchange.result = bytes(answer.content)
    exchange.own_headers = MultiValueHeaders(
        {"Content-Type": answer.headers.get("Content-Type", BYTES)}
    )


def guessed_type(text: str) -> str:
    """Return JSON's media type for text that looks like it, else plain text."""
    return JSON if text.lstrip()[:1] in ("{", "[", '"') else "text/plain; charset=utf-8"


def conclude(exchange: Exchange, status: int) -> None:
    """Turn the end of a plan into the response.

    Raises:
        InvalidResponseError: The result cannot be sent, which is no fault of the client.
    """
    if not exchange.handled:
        if status == 304:
            _not_modified(exchange)
        elif status == 204:
            exchange.status, exchange.content = 204, b""
            allow = (_ALLOW, ", ".join(exchange.plan.allowed).encode())
            exchange.head = merged([allow], exchange.response_fields)
        elif status == 200:  # a stored response was found
            exchange.status = status
            _finish(exchange)
        else:
            _without_result(exchange, status)
        return
    if exchange.own_status is not None:
        status = checked_status(exchange.own_status)
    exchange.status = status
    try:
        head = _content(exchange, status)
    except ValueError as error:
        raise InvalidResponseError("The handler's result cannot be rendered.") from error
    plan = exchange.plan
    if 200 <= status < 300 and plan.validates:
        head += _validators(exchange)
    if exchange.own_headers is not None or exchange.response_fields is not None:
        if exchange.flight is not None:
            exchange.flight.plain_head = head
        head = merged(merged(head, exchange.response_fields), exchange.own_headers)
        if plan.options.charsets and status < 300:
            head = recoded(exchange, head)
        head = reframed(exchange, head)
        if not exchange.fields.keys().isdisjoint(CONDITIONAL_FIELDS):
            exchange.unfinished = True
    exchange.head = completed(exchange, head) if status >= 400 else head
    if b"range" in exchange.fields or exchange.unfinished:
        _finish(exchange)


def _finish(exchange: Exchange) -> None:
    """Judge what had to wait for the answer: preconditions, then Range (section 13.2.2).

    Both wait longer for a file that has still to be opened.
    """
    if exchange.flight is not None:
        exchange.flight.keep(exchange)
    if isinstance(exchange.content, Path) or not meets_preconditions(exchange):
        return
    if exchange.content.__class__ is bytes:
        _cut(exchange)


def meets_preconditions(exchange: Exchange) -> bool:
    """Return whether a ready answer is sent; if not it is 304 or 412 now."""
    status = status_of_preconditions(exchange)
    if status == 200:
        return True
    discard(exchange.content)
    if status == 304:
        become_not_modified(exchange)
    else:
        refuse(exchange, status)
    return False


def _cut(exchange: Exchange) -> None:
    """Send only the parts that Range asks for, if it may."""
    content = exchange.content
    size = len(content)
    parts = find_parts(exchange, size)
    if parts:
        exchange.content = b"".join(
            part if isinstance(part, bytes) else content[part.start : part.end + 1]
            for part in become_partial(exchange, parts, size)
        )
    elif parts is not None:
        refuse(exchange, 416, unsatisfied(size))


def recoded(exchange: Exchange, head: list[Pair]) -> list[Pair]:
    """Return the fields with the charset that was chosen for text, and put the text into it.

    Bytes are the handler's, and in that charset by its word; what it states itself stays.

    Raises:
        InvalidResponseError: The charset lacks a character of the text.
    """
    stated = next((value.decode("latin-1") for name, value in head if name == _TYPE), "")
    media_type = MediaType.parse(stated)
    charset = exchange.charset or exchange.plan.options.charsets[0]
    by_handler = isinstance(exchange.result, (bytes, bytearray, memoryview))
    own = exchange.own_headers is not None and "Content-Type" in exchange.own_headers
    if media_type is None or not media_type.essence.startswith("text/"):
        return head
    if media_type.parameter("charset") and (by_handler or own):
        return head
    if exchange.content.__class__ is bytes and not by_handler:
        try:
            exchange.content = exchange.content.decode().encode(charset)
        except (UnicodeError, LookupError) as error:
            raise InvalidResponseError(f"The result cannot be sent in {charset}.") from error
    described = (_TYPE, f"{media_type.essence}; charset={charset}".encode("latin-1"))
    return [described if name == _TYPE else (name, value) for name, value in head]


def reframed(exchange: Exchange, head: list[Pair]) -> list[Pair]:
    """Return the fields with the length that the content has, whatever a handler stated.

    What HEAD and 304 state is the length of content that is not there, and only the handler
    knows that of a stream.
    """
    content = exchange.content
    head = [pair for pair in head if pair[0] != b"transfer-encoding"]
    if exchange.status == 304 or content.__class__ is not bytes:
        return head
    if exchange.method == "HEAD" and not content:
        return head
    head = [pair for pair in head if pair[0] != _LENGTH]
    if exchange.status not in _EMPTY:
        head.append((_LENGTH, b"%d" % len(content)))
    return head


def _content(exchange: Exchange, status: int) -> list[Pair]:
    """Render the result and return the fields that describe it."""
    body = exchange.result
    plan = exchange.plan
    if status in _EMPTY:
        return _no_content(exchange, status)
    if body is None:
        exchange.content = b""
        return [*_varying(plan), (_LENGTH, b"0")]
    rendition = plan.default_rendition
    if exchange.own_headers is not None and "Content-Type" in exchange.own_headers:
        stated = essence(exchange.own_headers["Content-Type"]) or JSON
        rendition = plan.renditions.get(stated) or plan.renditions.get(JSON, rendition)
    elif exchange.media_type is not None:
        rendition = plan.renditions[exchange.media_type]
    head = rendition.success_head if status < 300 else rendition.head
    # Hot path: nearly every result is one of these, and the tests for the others are slow
    # (bench_asgi.py::bench_bare_get).
    if type(body) in _DATA:
        content = exchange.content = rendition.encode(body, exchange)
        return [*head, (_LENGTH, b"%d" % len(content))]
    return _other_content(exchange, rendition, head)


def _no_content(exchange: Exchange, status: int) -> list[Pair]:
    exchange.content = b""
    discard(exchange.result)
    return _varying(exchange.plan) if status == 304 else []


def _varying(plan: Plan) -> list[Pair]:
    vary = vary_of(plan, len(plan.renditions) > 1)
    return [(_VARY, vary)] if vary else []


def _other_content(exchange: Exchange, rendition: Rendition, head: tuple[Pair, ...]) -> list[Pair]:
    """Return the fields of what is not data, with Accept-Ranges where that has a meaning."""
    body, own = exchange.result, exchange.own_headers
    as_it_is = [(_TYPE, BYTES.encode()), *head[1:]]
    is_whole = exchange.status == 200 and exchange.method in ("GET", "HEAD")
    if isinstance(body, Path):
        exchange.content = body
        return [(_TYPE, file_type(body.name).encode()), *head[1:]]
    if is_stream(body):
        if hasattr(body, "read"):
            exchange.content = body
            return as_it_is
        if exchange.method == "HEAD":
            discard(body)
        else:
            exchange.content = body
        return [*as_it_is, ACCEPT_NO_RANGES] if is_whole else as_it_is
    if isinstance(body, (bytes, bytearray, memoryview)):
        content = bytes(body)
        described = as_it_is
    elif isinstance(body, str) and own is not None and "Content-Type" in own:
        content = body.encode()
        described = list(head)
    else:
        content = rendition.encode(body, exchange)
        described = list(head)
    if is_whole and isinstance(body, (str, bytes, bytearray, memoryview)):
        described.append(ACCEPT_RANGES)
    exchange.content = content
    return [*described, (_LENGTH, b"%d" % len(content))]


def _validators(exchange: Exchange) -> list[Pair]:
    pairs = []
    etag, modified = exchange.etag, exchange.last_modified
    if etag is not None:
        pairs.append((b"etag", str(etag).encode("latin-1")))
    if modified is not None:
        pairs.append((b"last-modified", format_http_date(modified).encode()))
    return pairs


def _not_modified(exchange: Exchange) -> None:
    """Answer 304 with what a 200 would state about the representation (section 15.4.5)."""
    plan = exchange.plan
    exchange.status, exchange.content = 304, b""
    rendition = plan.default_rendition
    if exchange.media_type is not None:
        rendition = plan.renditions[exchange.media_type]
    exchange.head = [pair for pair in rendition.success_head if pair[0] != _TYPE]
    exchange.head += _validators(exchange)
    exchange.head = merged(exchange.head, exchange.response_fields)


def _without_result(exchange: Exchange, status: int) -> None:
    """Answer with the content of an error, or of a redirection."""
    plan = exchange.plan
    exchange.status = status
    exchange.head = []
    state_problem(exchange)
    head = exchange.head
    if status == _METHOD_NOT_ALLOWED:
        head.append((_ALLOW, _other_methods(plan)))
    elif status == _UNAUTHORIZED:
        head.append((_CHALLENGE, plan.challenge.encode("latin-1")))
    elif status in (301, 307):
        kind = "moved_permanently" if status == 301 else "moved_temporarily"
        for check in plan.checks[kind]:
            place = check.need.get(exchange)
            if isinstance(place, str):
                head += MultiValueHeaders({"Location": place}).encoded()
                break
    if exchange.response_fields:
        fields = exchange.response_fields.encoded()
        kept = [pair for pair in fields if pair[0] not in _DESCRIBING]
        exchange.head = merged(head, MultiValueHeaders.received(kept))


def refuse(exchange: Exchange, status: int, *fields: Pair) -> None:
    """Answer with an error instead of what the handler gave."""
    exchange.handled = False
    exchange.detail = None
    _without_result(exchange, status)
    exchange.head = [*exchange.head, *fields]


def state_problem(exchange: Exchange) -> None:
    """Make the default content of an error, and the fields that describe it."""
    status, title = exchange.status, None
    if status == _NOT_ACCEPTABLE and exchange.detail is None:
        content, media_type = _what_is_acceptable(exchange), TEXT_UTF8
    else:
        if exchange.error is not None and is_validation_error(exchange.error):
            title = "Validation failed"
        accept = exchange.accept
        content, media_type = problem(status, exchange.detail, accept, exchange.identifiers, title)
    exchange.content = content
    # An error is sent in what Accept prefers; a 406 also tells what else found nothing.
    vary = vary_of(exchange.plan, several_types=True) if status == _NOT_ACCEPTABLE else b"Accept"
    described = [(_TYPE, media_type), (_VARY, vary), (_LENGTH, b"%d" % len(content))]
    stated = {name for name, _ in described}
    exchange.head = [*described, *(pair for pair in exchange.head if pair[0] not in stated)]


def _what_is_acceptable(exchange: Exchange) -> bytes:
    """Return the text of a 406: what the client may choose from (section 15.5.7)."""
    plan, options = exchange.plan, exchange.plan.options
    if plan.negotiates and exchange.media_type is None and b"accept" in exchange.fields:
        offered, kind = plan.media_types, "media types"
    elif options.languages and exchange.language is None:
        offered, kind = options.languages, "languages"
    elif options.charsets and exchange.charset is None:
        offered, kind = options.charsets, "charsets"
    else:
        offered, kind = options.encodings, "codings"
    return f"Not Acceptable. Available {kind}: {', '.join(offered)}".encode()


def explain(exchange: Exchange, value: Any, content_type: str | None) -> None:
    """Answer an error with what an error handler returned; None leaves the default content.

    The status stays, unless the handler states another, and so do the fields that it
    requires.

    Raises:
        InvalidResponseError: This cannot be sent; the response stays as it was.
    """
    if value is None:
        return
    exchange.own_status = exchange.own_headers = None
    take(exchange, value)
    own = exchange.own_headers or MultiValueHeaders()
    status = checked_status(exchange.own_status or exchange.status)
    stated = own.get("Content-Type") or content_type or _type_of(exchange.result)
    content = exchange.result
    only_head = exchange.method == "HEAD" and not hasattr(content, "read")
    if status in _EMPTY or (only_head and is_stream(content)):
        discard(content)
        content = b""
    elif not is_stream(content) and not isinstance(content, Path):
        content = _error_content(exchange, content, stated)
    dropped = _DESCRIBING - {b"content-range"} if exchange.status == 416 else _DESCRIBING
    head = [pair for pair in exchange.head if pair[0] not in dropped]
    if status not in _EMPTY:
        head.insert(0, (_TYPE, stated.encode("latin-1")))
    exchange.status, exchange.content = status, content
    exchange.head = completed(exchange, reframed(exchange, merged(head, own)))


def _error_content(exchange: Exchange, value: Any, content_type: str) -> bytes:
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        media_type = MediaType.parse(content_type)
        return value.encode((media_type and media_type.parameter("charset")) or "utf-8")
    renderer = exchange.plan.renditions.get(essence(content_type) or JSON)
    return encode_json(value) if renderer is None else renderer.encode(value, exchange)


def _type_of(value: Any) -> str:
    """Return the content type of what an error handler returned without one."""
    if isinstance(value, str):
        return "text/plain; charset=utf-8"
    if isinstance(value, Path):
        return file_type(value.name)
    if isinstance(value, (bytes, bytearray, memoryview)) or is_stream(value):
        return BYTES
    return JSON


def checked_status(status: int) -> int:
    """Return a status that a handler stated.

    Raises:
        InvalidResponseError: No final response has it.
    """
    if not 200 <= status <= 599:
        raise InvalidResponseError(f"{status} is no status of a response.")
    return status


def completed(exchange: Exchange, head: list[Pair]) -> list[Pair]:
    """Return the fields with the one that 401 or 405 demands (sections 15.5.2 and 15.5.6)."""
    if exchange.status == _UNAUTHORIZED:
        demanded = (_CHALLENGE, exchange.plan.challenge.encode("latin-1"))
    elif exchange.status == _METHOD_NOT_ALLOWED:
        demanded = (_ALLOW, _other_methods(exchange.plan))
    else:
        return head
    return head if any(name == demanded[0] for name, _ in head) else [*head, demanded]


def _other_methods(plan: Plan) -> bytes:
    """Return what a 405 allows: not the method refused, and HEAD no more than GET."""
    refused = {"GET", "HEAD"} if plan.method == "GET" else {plan.method}
    return ", ".join(name for name in plan.allowed if name not in refused).encode()


def add_fields(exchange: Exchange) -> None:
    """Add the default header fields that the response does not state itself; Vary is joined."""
    if exchange.default_headers:
        fields = exchange.default_headers.encoded()
        exchange.head = with_defaults(exchange.head, fields, exchange.status)


def with_defaults(head: list[Pair], fields: Iterable[Pair], status: int) -> list[Pair]:
    """Return the fields of a response with default ones that it does not state itself."""
    left_out = {name for name, _ in head} - _JOINED | _FRAMING
    if status >= 400 or status in _EMPTY:
        left_out |= _DESCRIBING
    added = [pair for pair in fields if pair[0] not in left_out]
    if any(name == _VARY for name, _ in added):
        return merged(head, MultiValueHeaders.received(added))
    return [*head, *added]


def fail(exchange: Exchange, error: Exception) -> None:
    """Turn an exception into the response; what it says is logged, and not sent."""
    exchange.error = error
    exchange.handled = False
    status, exchange.detail, headers = status_of(exchange, error)
    try:
        if exchange.result is not None:
            discard(exchange.result)  # a file of the handler's, which nobody else would close
        _without_result(exchange, status)
        exchange.head = merged(exchange.head, MultiValueHeaders(headers))
    except Exception:
        logger.exception("What %r says cannot be sent, so its answer is 500", error)
        exchange.detail = None
        _without_result(exchange, 500)


def status_of(exchange: Exchange, error: Exception) -> tuple[int, Any, Mapping[str, str]]:
    """Return the status of an exception, what the client may know of it, and its fields."""
    if isinstance(error, HTTPError):
        return int(error.status), error.detail, error.headers
    if isinstance(error, PermissionError):
        return 403, None, {}
    if is_validation_error(error):
        return 422, validation_details(error), {}
    request = f"{exchange.method} {exchange.route_template}"
    if isinstance(error, ValueError) and not isinstance(error, InvalidHeaderError):
        logger.warning("A ValueError in %s was answered with 400", request, exc_info=error)
        return 400, None, {}
    logger.error("An exception in %s was answered with 500", request, exc_info=error)
    return 500, None, {}
