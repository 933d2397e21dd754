"""The content of errors: restmachine's own JSON, problem details (RFC 9457) or text."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Any

from restmachine.negotiation import best_media_type
from restmachine.representations import JSON, TEXT, encode_json

PROBLEM = "application/problem+json"

# Where the standard library's phrases lag behind RFC 9110 section 15.
_CURRENT_PHRASES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def phrase(status: int) -> str:
    """Return the reason phrase of a status as RFC 9110 gives it."""
    if status in _CURRENT_PHRASES:
        return _CURRENT_PHRASES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


@lru_cache(maxsize=1024)
def _without_detail(status: int, media_type: str) -> bytes:
    return _encode(status, None, media_type)


def problem(status: int, detail: Any, accept: str | None) -> tuple[bytes, bytes]:
    """Return the content of an error and its media type.

    Args:
        detail: What the client may know beside the phrase, or None.
        accept: The Accept field; JSON is sent where nothing offered is acceptable.
    """
    media_type = JSON
    if accept is not None:
        media_type = best_media_type(accept, (JSON, PROBLEM, TEXT)) or JSON
    if detail is None:
        return _without_detail(status, media_type), media_type.encode()
    return _encode(status, detail, media_type), media_type.encode()


def _encode(status: int, detail: Any, media_type: str) -> bytes:
    if media_type == TEXT:
        return (phrase(status) if detail is None else f"{phrase(status)}: {detail}").encode()
    if media_type == PROBLEM:
        members: dict[str, Any] = {"title": phrase(status), "status": status}
        if detail is not None:
            members["detail" if isinstance(detail, str) else "errors"] = detail
        return encode_json(members)
    body: dict[str, Any] = {"error": phrase(status)}
    if detail is not None:
        body["details"] = detail
    return encode_json(body)
