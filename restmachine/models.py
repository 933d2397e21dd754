"""The messages and their parts, under the names by which applications import them."""

from __future__ import annotations

from restmachine.files import FileResponse
from restmachine.headers import ANY_TAG, EntityTag, MultiValueHeaders, parse_entity_tags
from restmachine.ranges import parse_range
from restmachine.request import HTTPMethod, Request
from restmachine.response import Response
from restmachine.streaming import get_stream_size, is_seekable_stream

__all__ = [
    "CaseInsensitiveDict",
    "FileResponse",
    "HTTPMethod",
    "MultiValueHeaders",
    "Request",
    "Response",
    "etags_match",
    "get_stream_size",
    "is_seekable_stream",
    "parse_etags",
    "parse_range_header",
]

CaseInsensitiveDict = MultiValueHeaders


def parse_etags(header: str | None) -> list[str]:
    """Return the entity tags of a field as they are written, `["*"]` for any."""
    if header is None:
        return []
    if header.strip() == ANY_TAG:
        return [ANY_TAG]
    return [str(tag) for tag in parse_entity_tags(header)]


def etags_match(one: str | None, other: str | None, strong_comparison: bool = True) -> bool:
    """Return whether two entity tags match (RFC 9110 section 8.8.3.2); an empty one never does."""
    if not one or not other:
        return False
    tag, another = EntityTag.of(one), EntityTag.of(other)
    return tag.matches_strongly(another) if strong_comparison else tag.matches_weakly(another)


def parse_range_header(value: str | None, size: int) -> list[tuple[int, int]]:
    """Return first and last byte of each part that Range asks for; `[]` if it is not valid."""
    return [(part.start, part.end) for part in parse_range(value or "", size) or ()]
