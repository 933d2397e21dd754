"""The response message, without I/O (RFC 9110 sections 6, 8 and 15)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from restmachine.headers import EntityTag, MultiValueHeaders, format_http_date, merge_vary

if TYPE_CHECKING:
    from restmachine.request import Request

Headers = MultiValueHeaders | Mapping[str, Any] | Iterable[tuple[str, str]] | None


class Response:
    """One response; what a handler returns as one is sent as it is.

    Args:
        status_code: The status.
        body: Text (sent as UTF-8), bytes, a binary file, a path of a file, an iterator
            or async iterator of bytes, a dict or list (sent as JSON), or None.
        headers: Header fields; a Content-Type among them wins over every default.
        content_type: Sets Content-Type.
        request: The request answered; its Authorization puts that name into Vary.
        available_content_types: More than one puts Accept into Vary.
        pre_calculated_headers: Fields that an adapter computed beforehand.
        etag: An entity tag, quoted or not.
        last_modified: A moment; without a zone it means UTC.
        range_start, range_end: First and last byte of the part to send.
    """

    def __init__(
        self,
        status_code: int,
        body: Any = None,
        headers: Headers = None,
        content_type: str | None = None,
        request: Request | None = None,
        available_content_types: Iterable[str] | None = None,
        pre_calculated_headers: Headers = None,
        etag: str | None = None,
        last_modified: datetime | None = None,
        range_start: int | None = None,
        range_end: int | None = None,
    ) -> None:
        self.status_code = int(status_code)
        self.body = body
        self.headers = MultiValueHeaders(headers)
        if pre_calculated_headers is not None:
            self.headers.update(MultiValueHeaders(pre_calculated_headers))
        self.range_start = range_start
        self.range_end = range_end
        if content_type is not None:
            self.content_type = content_type
        if etag is not None and "ETag" not in self.headers:
            self.etag = etag
        if last_modified is not None and "Last-Modified" not in self.headers:
            self.last_modified = last_modified
        self._vary_on(request, available_content_types)
        self._measure()

    def __repr__(self) -> str:
        return f"<Response {self.status_code} {self.content_type or 'no content type'}>"

    @property
    def content_type(self) -> str | None:
        """The Content-Type field."""
        return self.headers.get("Content-Type")

    @content_type.setter
    def content_type(self, value: str) -> None:
        self.headers.set("Content-Type", value)

    @property
    def etag(self) -> str | None:
        """The entity tag without quotes and weakness, None when there is none."""
        field = self.headers.get("ETag")
        return None if field is None else EntityTag.of(field).opaque

    @etag.setter
    def etag(self, value: str) -> None:
        self.headers.set("ETag", str(EntityTag.of(value)))

    @property
    def last_modified(self) -> str | None:
        """The Last-Modified field as it is sent."""
        return self.headers.get("Last-Modified")

    @last_modified.setter
    def last_modified(self, moment: datetime) -> None:
        self.headers.set("Last-Modified", format_http_date(moment))

    def set_etag(self, value: str, weak: bool = False) -> None:
        """Set the entity tag from its bare value."""
        self.headers.set("ETag", str(EntityTag(EntityTag.of(value).opaque, weak)))

    def set_last_modified(self, moment: datetime) -> None:
        """Set Last-Modified; a moment without a zone means UTC."""
        self.last_modified = moment

    def generate_etag_from_content(self, weak: bool = False) -> None:
        """Set the entity tag to a digest (SHA-256) of the body, if there is one."""
        content = self._content()
        if content is not None:
            self.set_etag(hashlib.sha256(content).hexdigest(), weak)

    def is_range_response(self) -> bool:
        """Return whether only a part of the body is to be sent."""
        return self.range_start is not None and self.range_end is not None

    def _content(self) -> bytes | None:
        if isinstance(self.body, str):
            return self.body.encode()
        if isinstance(self.body, (bytes, bytearray, memoryview)):
            return bytes(self.body)
        if hasattr(self.body, "read") and hasattr(self.body, "seek"):
            position = self.body.tell()
            content = bytes(self.body.read())
            self.body.seek(position)
            return content
        return None

    def _vary_on(self, request: Request | None, available: Iterable[str] | None) -> None:
        names = []
        if request is not None and request.get_authorization_header() is not None:
            names.append("Authorization")
        if available is not None and len(list(available)) > 1:
            names.append("Accept")
        if names:
            self.headers.set("Vary", merge_vary(self.headers.get("Vary"), *names))

    def _measure(self) -> None:
        """State Content-Length where it is known and allowed (RFC 9110 section 8.6)."""
        if self.status_code < 200 or self.status_code in (204, 304):
            return
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            return
        if self.body is None:
            self.headers.set("Content-Length", "0")
        elif isinstance(self.body, (str, bytes)):
            content = self.body.encode() if isinstance(self.body, str) else self.body
            self.headers.set("Content-Length", str(len(content)))
