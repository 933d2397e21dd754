"""Renderers and parsers by media type: data to content and back.

JSON is compact UTF-8. With the extra ``json`` it goes through orjson, which writes the same
bytes as the standard library does here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from uuid import UUID

from restmachine.errors import BadRequest, UnsupportedMediaType
from restmachine.headers import MediaType
from restmachine.negotiation import best_media_type

if TYPE_CHECKING:
    from restmachine.exchange import Exchange
    from restmachine.request import Request

try:
    import orjson
except ModuleNotFoundError:
    orjson = None  # type: ignore[assignment]  # the extra is not installed

JSON = "application/json"
HTML = "text/html"
TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"
BYTES = "application/octet-stream"


def plain(value: Any) -> Any:
    """Return what JSON shall make of a value that it does not know.

    Dates and times are ISO 8601, `Decimal` and `UUID` their text, a set or tuple a list, an
    enumeration its value, a dataclass or Pydantic model its fields, and Ellipsis ``"..."``.

    Raises:
        TypeError: The value has no representation.
    """
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if value is ...:
        return "..."
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"A value of type {type(value).__name__} has no JSON representation.")


def _encode_plainly(data: Any) -> bytes:
    """Return JSON by the standard library; the reference for `encode_json`."""
    text = json.dumps(
        data, default=plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return text.encode()


def _encode_fast(data: Any) -> bytes:
    try:
        return orjson.dumps(data, default=plain, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # An integer beyond 64 bits, which orjson does not write, or no JSON at all.
        return _encode_plainly(data)


encode_json: Callable[[Any], bytes] = _encode_plainly if orjson is None else _encode_fast
"""Return data as JSON; `TypeError` or `ValueError` when it has no representation."""


def _decode_plainly(content: bytes) -> Any:
    """Return JSON data by the standard library, as strict as orjson is."""
    data = json.loads(content.decode(), parse_constant=_no_number)
    if b"\\u" in content:
        _encode_plainly(data)  # refuses halves of surrogate pairs, which no text may hold
    return data


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def decode_json(content: bytes) -> Any:
    """Return the data of JSON content.

    Raises:
        BadRequest: It is not JSON in UTF-8.
    """
    try:
        return _decode_plainly(content) if orjson is None else orjson.loads(memoryview(content))
    except (ValueError, RecursionError) as error:
        raise BadRequest("The content is not valid JSON.") from error


class ContentRenderer:
    """Turns what a handler returned into content of one media type."""

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    @property
    def content_type(self) -> str:
        """The Content-Type field of what this renders."""
        return self.media_type

    def can_render(self, accept: str) -> bool:
        """Return whether an Accept field takes this media type."""
        return best_media_type(accept, [self.media_type]) is not None

    def render(self, data: Any, request: Request) -> str | bytes:
        """Return the content for *data*."""
        raise NotImplementedError

    def encode(self, data: Any, exchange: Exchange) -> bytes:
        """Return the content as bytes, text in UTF-8."""
        content = self.render(data, exchange.message)
        return content.encode() if isinstance(content, str) else content


class JSONRenderer(ContentRenderer):
    """Compact JSON; a string is taken to be JSON already."""

    def __init__(self) -> None:
        super().__init__(JSON)

    def render(self, data: Any, request: Request) -> bytes:
        """Return *data* as JSON."""
        return data.encode() if isinstance(data, str) else encode_json(data)

    def encode(self, data: Any, exchange: Exchange) -> bytes:
        """Return *data* as JSON, without asking for the request."""
        return data.encode() if isinstance(data, str) else encode_json(data)


class PlainTextRenderer(ContentRenderer):
    """Text: a mapping as ``key: value`` lines, a list one item a line."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    @property
    def content_type(self) -> str:
        """The Content-Type field, which states the charset."""
        return "text/plain; charset=utf-8"

    def render(self, data: Any, request: Request) -> str:
        """Return *data* as text."""
        data = opened(data)
        if isinstance(data, Mapping):
            return "\n".join(f"{key}: {value}" for key, value in data.items())
        if isinstance(data, (list, tuple)):
            return "\n".join(str(item) for item in data)
        return str(data)


class HTMLRenderer(ContentRenderer):
    """A page of nested lists; text that starts with ``<`` is taken to be HTML already."""

    def __init__(self) -> None:
        super().__init__(HTML)

    @property
    def content_type(self) -> str:
        """The Content-Type field, which states the charset."""
        return "text/html; charset=utf-8"

    def render(self, data: Any, request: Request) -> str:
        """Return *data* as a page; every value is escaped."""
        data = opened(data)
        if isinstance(data, str) and data.lstrip().startswith("<"):
            return data
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>'
            f"{escape(request.path)}</title></head><body>{_as_html(data)}</body></html>"
        )


def opened(data: Any) -> Any:
    """Return a Pydantic model, or those of a list, as its fields, and other data as it is."""
    if isinstance(data, list):
        return [opened(item) for item in data]
    return data.model_dump(mode="json") if hasattr(data, "model_dump") else data


def _as_html(data: Any) -> str:
    if isinstance(data, Mapping):
        items = (f"<li>{escape(str(key))}: {_inner(value)}</li>" for key, value in data.items())
        return f"<ul>{''.join(items)}</ul>"
    if isinstance(data, (list, tuple, set, frozenset)):
        return f"<ul>{''.join(f'<li>{_inner(item)}</li>' for item in data)}</ul>"
    return f"<p>{escape(str(data))}</p>"


def _inner(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _as_html(value)
    return escape(str(value))


def decode_text(content: bytes, content_type: str | None) -> str:
    """Return content as text in its stated charset, else UTF-8, else Latin-1."""
    media_type = MediaType.parse(content_type or "")
    stated = media_type.parameter("charset") if media_type else None
    for charset in (stated, "utf-8"):
        if charset:
            try:
                return content.decode(charset)
            except (LookupError, UnicodeError):
                continue
    return content.decode("latin-1")


def essence(content_type: str | None) -> str | None:
    """Return type and subtype of a Content-Type field in lower case, None if unreadable."""
    media_type = MediaType.parse(content_type or "")
    return media_type.essence if media_type else None


def is_json(media_type: str | None) -> bool:
    """Return whether a media type is JSON or built on it (RFC 6839 section 3.1)."""
    return media_type == JSON or (media_type or "").endswith("+json")


def json_content(exchange: Exchange) -> Any:
    """Return the content as JSON data, None when there is none."""
    content = exchange.request.body
    return decode_json(content) if content else None


def text_content(exchange: Exchange) -> str | None:
    """Return the content as text, None when there is none."""
    content = exchange.request.body
    return decode_text(content, exchange.field(b"content-type")) if content else None


def form_content(exchange: Exchange) -> dict[str, str | list[str]] | None:
    """Return a URL-encoded form; a repeated name gives a list, blank values are kept.

    Raises:
        UnsupportedMediaType: The content is of another type.
    """
    content = exchange.request.body
    if not content:
        return None
    content_type = exchange.field(b"content-type")
    if essence(content_type) != FORM:
        raise UnsupportedMediaType(f"Send the content as {FORM}.")
    form: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(decode_text(content, content_type), keep_blank_values=True):
        former = form.get(name)
        if former is None:
            form[name] = value
        elif isinstance(former, list):
            former.append(value)
        else:
            form[name] = [former, value]
    return form
