"""Renderers and parsers by media type: data to content and back.

JSON is compact UTF-8. With the extra ``json`` it goes through orjson, which writes the same
bytes as the standard library does here.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from encodings import normalize_encoding
from encodings.aliases import aliases
from enum import Enum
from functools import lru_cache
from html import escape
from math import isfinite
from mimetypes import MimeTypes
from typing import TYPE_CHECKING, Any
from uuid import UUID

from restmachine.errors import BadRequest
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
MULTIPART = "multipart/form-data"
BYTES = "application/octet-stream"


def plain(value: Any) -> Any:
    """Return what JSON shall make of a value that it does not know.

    Dates and times are ISO 8601, `Decimal` and `UUID` their text, a set or tuple a list, an
    enumeration its value, a Pydantic model its fields, a dataclass those whose names do not
    begin with an underscore, and Ellipsis ``"..."``.

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
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if not name.startswith("_")}
    raise TypeError(f"A value of type {type(value).__name__} has no JSON representation.")


def _encode_plainly(data: Any) -> bytes:
    """Return JSON by the standard library; the reference for `encode_json`.

    It writes the bytes that orjson writes: a float that is no number is null.
    """
    try:
        text = _dumps(data)
    except TypeError:
        text = _dumps(_with_text_keys(data))
    if "e-0" in text or "NaN" in text or "Infinity" in text:
        if _has_odd_key(text):
            text = _dumps(_with_text_keys(data))
        text = _odd_numbers(_respelt, text)
    return text.encode()


def _dumps(data: Any) -> str:
    return json.dumps(data, default=plain, ensure_ascii=False, separators=(",", ":"))


def _with_text_keys(data: Any) -> Any:
    """Return data with keys that only orjson writes made text."""
    if data is None or isinstance(data, (str, int, float)):
        return data
    if isinstance(data, Mapping):
        return {_text_key(key): _with_text_keys(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_with_text_keys(item) for item in data]
    return _with_text_keys(plain(data))


class _Name(str):
    """A name that equals no other: two keys may be spelt alike, and both are written."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


def _text_key(key: Any) -> Any:
    if isinstance(key, float):
        return _Name(_odd_numbers(_respelt, _dumps(key)))
    if isinstance(key, Enum):
        return _text_key(key.value)
    if isinstance(key, (date, time, UUID)):
        return _Name(plain(key))
    return _Name(_dumps(key)) if key is None or isinstance(key, int) else key


_has_odd_key = re.compile(r'(?:e-0[0-9]|NaN|Infinity)":').search

# A text, so that what is in it is left alone, or a number whose spelling differs.
_odd_numbers = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9.]+e-0[0-9](?![0-9])|-?(?:NaN|Infinity)').sub


def _respelt(token: re.Match[str]) -> str:
    text = token[0]
    if text.startswith('"'):
        return text
    if text.endswith(("NaN", "Infinity")):
        return "null"
    if text.endswith("e-05"):
        return format(Decimal(text), "f")
    return text.replace("e-0", "e-")


def _encode_fast(data: Any) -> bytes:
    try:
        # Hot path: the option for other keys than texts makes long lists cost 1.8 times as
        # much (bench_asgi.py::bench_list_of_20_kilobytes).
        return orjson.dumps(data, plain)
    except TypeError:
        return _encode_odd(data)


def _encode_odd(data: Any) -> bytes:
    try:
        return orjson.dumps(data, plain, orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # An integer beyond 64 bits, which orjson does not write, or no JSON at all.
        return _encode_plainly(data)


encode_json: Callable[[Any], bytes] = _encode_plainly if orjson is None else _encode_fast
"""Return data as JSON; `TypeError` or `ValueError` when it has no representation."""


# Hot path: a call less than `encode_json` (bench_asgi.py::bench_bare_get).
_dumps_usual: Callable[[Any, Callable[[Any], Any]], bytes] = (
    (lambda data, default: _encode_plainly(data)) if orjson is None else orjson.dumps
)


def encode_data(data: Any) -> bytes | None:
    """Return a dict, list or model as JSON, None for anything else and what cannot be written."""
    kind = data.__class__
    try:
        if kind is dict or kind is list:
            return _dumps_usual(data, plain)
        if is_model(kind):
            # Hot path: what `encode_json` makes of it takes four times as long
            # (bench_asgi.py::bench_post_model).
            content: bytes = data.__pydantic_serializer__.to_json(data)
            return content
    except TypeError:
        return _encode_unusual(data) if kind is dict or kind is list else None
    except Exception:  # who asks again is told; a user's own types may raise anything
        return None
    return None


def _encode_unusual(data: Any) -> bytes | None:
    """Return a dict or list that asks for more, such as one with other keys than texts."""
    try:
        return encode_json(data)
    except Exception:
        return None


@lru_cache(maxsize=1024)
def is_model(kind: type) -> bool:
    """Return whether values of a type are Pydantic models that are data and nothing else.

    One with the attributes of a client's response is taken for that.
    """
    names = getattr(kind, "model_fields", {})
    looks_like_response = all(name in names for name in ("status_code", "headers", "content"))
    return hasattr(kind, "__pydantic_serializer__") and not (
        looks_like_response or hasattr(kind, "fields_for")
    )


MAX_JSON_DEPTH = 128
"""How deep lists and objects of received JSON may be nested."""

_TOO_DEEP = f"The content is nested deeper than {MAX_JSON_DEPTH} levels."


def _decode_plainly(content: bytes) -> Any:
    """Return JSON data by the standard library, as strict as orjson is."""
    text = content.decode()
    data = _loads(text)
    if "\\u" in text:
        # Refuses halves of surrogate pairs, which no text may hold, in members that do not count
        # either.
        _encode_plainly(_loads(text, object_pairs_hook=list))
    return data


def _loads(text: str, **options: Any) -> Any:
    return json.loads(
        text, parse_int=_integer, parse_float=_number, parse_constant=_number, **options
    )


def _integer(text: str) -> int | float:
    """Return an integer of up to 64 bits, and the nearest float beyond (RFC 8259 section 6)."""
    if len(text) <= len(str(-(2**63))):
        number = int(text)
        if -(2**63) <= number < 2**64:
            return number
    return _number(text)


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text:.40} is no JSON number")
    return number


def decode_json(content: bytes) -> Any:
    """Return the data of JSON content; of members with one name the last one counts.

    Raises:
        BadRequest: It is not JSON in UTF-8, or nested deeper than `MAX_JSON_DEPTH`.
    """
    try:
        data = _decode_plainly(content) if orjson is None else orjson.loads(content)
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except ValueError as error:
        if _opens_too_many(content):
            raise BadRequest(_TOO_DEEP) from error
        raise BadRequest("The content is not valid JSON.") from error
    # Each level takes two bytes, so most content need not be looked at.
    if (
        len(content) > 2 * MAX_JSON_DEPTH
        and content.count(b"[") + content.count(b"{") > MAX_JSON_DEPTH
        and _is_too_deep(data)
    ):
        raise BadRequest(_TOO_DEEP)
    return data


def _is_too_deep(data: Any) -> bool:
    level = [data] if type(data) in (dict, list) else []
    for _ in range(MAX_JSON_DEPTH):
        level = [
            item
            for parent in level
            for item in (parent.values() if type(parent) is dict else parent)
            if type(item) in (dict, list)
        ]
    return bool(level)


_json_tokens = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL).finditer


def _opens_too_many(content: bytes) -> bool:
    """Return whether text that is no JSON is nested too deep: decoders may say so first."""
    depth = 0
    for token in _json_tokens(content):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth > MAX_JSON_DEPTH:
                return True
        elif token[0] in (b"]", b"}"):
            depth -= 1
    return False


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


# Not `codecs.lookup`: it keeps every name that a client makes up, and knows codecs of other
# things than text.
_CHARSETS = frozenset(aliases.values()).difference(
    ("base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "uu_codec", "zlib_codec"),
    ("mbcs", "rot_13"),
)
_LONGEST_CHARSET = 40


def charset_of(content_type: str | None) -> str | None:
    """Return the charset that a Content-Type field states, None if it is not known."""
    media_type = MediaType.parse(content_type or "")
    stated = media_type.parameter("charset") if media_type else None
    if stated is None or len(stated) > _LONGEST_CHARSET:
        return None
    name = normalize_encoding(stated).lower()
    name = aliases.get(name, name)
    return name if name in _CHARSETS else None


def decode_text(content: bytes, content_type: str | None) -> str:
    """Return content as text in its stated charset, else UTF-8, else Latin-1."""
    for charset in (charset_of(content_type), "utf-8"):
        if charset is not None:
            try:
                return content.decode(charset)
            except UnicodeError:
                continue
    return content.decode("latin-1")


def essence(content_type: str | None) -> str | None:
    """Return type and subtype of a Content-Type field in lower case, None if unreadable."""
    media_type = MediaType.parse(content_type or "")
    return media_type.essence if media_type else None


def is_json(media_type: str | None) -> bool:
    """Return whether a media type is JSON or built on it (RFC 6839 section 3.1)."""
    return media_type == JSON or (media_type or "").endswith("+json")


def file_type(name: str) -> str:
    """Return the media type of a file by its name, octet-stream if that says nothing.

    The answer is the same on every machine: its own tables of types are not read.
    """
    media_type, coding = _FILE_TYPES.guess_type(name, strict=False)
    if coding is not None:  # the file is sent as it is, so it is the archive that counts
        return _ARCHIVES.get(coding, BYTES)
    return media_type or BYTES


_FILE_TYPES = MimeTypes()
for _suffix, _type in {
    ".avif": "image/avif",
    ".gz": "application/gzip",
    ".js": "text/javascript",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}.items():
    _FILE_TYPES.add_type(_type, _suffix)
_ARCHIVES = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
