"""The content of errors: restmachine's own JSON, problem details (RFC 9457) or text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from restmachine.headers import Pair
from restmachine.negotiation import best_media_type
from restmachine.representations import JSON, TEXT, encode_json

PROBLEM = "application/problem+json"

_NONE: Mapping[str, str] = MappingProxyType({})

# Where the standard library's phrases lag behind RFC 9110 section 15.
_CURRENT_PHRASES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


class ErrorBody:
    """What a handler returns to answer with an error of its own; see `ErrorResponse`."""

    error: str | None
    status_code: int | None

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Return the members of the content."""
        raise NotImplementedError

    def fields_for(self, phrase: str) -> dict[str, Any]:
        """Return the content under a status with this phrase, which names it otherwise."""
        return {"error": phrase, **self.model_dump(exclude_none=True)}


def phrase(status: int) -> str:
    """Return the reason phrase of a status as RFC 9110 gives it."""
    if status in _CURRENT_PHRASES:
        return _CURRENT_PHRASES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem(
    status: int,
    detail: Any,
    accept: str | None,
    identifiers: Mapping[str, str] = _NONE,
    title: str | None = None,
) -> Pair:
    """Return the content of an error and its media type.

    Args:
        detail: What the client may know beside the phrase, or None.
        accept: The Accept field; JSON is sent where nothing offered is acceptable.
        identifiers: Names of the request, by which its user can speak of it.
        title: Stands instead of the phrase of the status.
    """
    media_type = JSON
    if accept is not None:
        media_type = best_media_type(accept, (JSON, PROBLEM, TEXT)) or JSON
    if detail is None and not identifiers and title is None:
        return _plain_problem(status, media_type), media_type.encode()
    content = _encode(status, title or phrase(status), detail, identifiers, media_type)
    return content, media_type.encode()


@lru_cache(maxsize=1024)
def _plain_problem(status: int, media_type: str) -> bytes:
    return _encode(status, phrase(status), None, _NONE, media_type)


def _encode(
    status: int, title: str, detail: Any, identifiers: Mapping[str, str], media_type: str
) -> bytes:
    if media_type == TEXT:
        return (title if detail is None else f"{title}: {detail}").encode()
    if media_type == PROBLEM:
        members: dict[str, Any] = {"title": title, "status": status}
        if detail is not None:
            members["detail" if isinstance(detail, str) else "errors"] = detail
        return encode_json({**members, **identifiers})
    body: dict[str, Any] = {"error": title}
    if detail is not None:
        body["details"] = detail
    return encode_json({**body, **identifiers})
