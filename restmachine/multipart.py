"""Forms with files (RFC 7578), parsed while they come and kept on disk past a limit.

The extra ``multipart`` brings the parser. At most `MEMORY_BYTES` of a form's files and as
much of its texts stay in memory; the next file that grows goes to a temporary file, which
is gone when the request is over.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import aclosing
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

from restmachine.dependencies import NOTHING
from restmachine.errors import (
    BadRequest,
    ContentTooLarge,
    MissingExtraError,
    UnsupportedMediaType,
)
from restmachine.exchange import Exchange
from restmachine.headers import MediaType
from restmachine.parsing import Form, put_value, too_many_fields
from restmachine.recipes import start
from restmachine.representations import MULTIPART, TEXT, decode_text

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

try:
    import python_multipart
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import parse_options_header
except ModuleNotFoundError:
    python_multipart = None  # type: ignore[assignment]  # the extra is not installed

MEMORY_BYTES = 1024 * 1024
"""How much of all files of a form, and how much of all its texts, may stay in memory."""

MAX_FILES = 100
"""How many files a form may have: each may take a descriptor of the process."""

_INLINE_BYTES = 64 * 1024  # parsing this much never holds up the event loop noticeably


# The parser would log a line about each malformed form, of which a client may send a million.
# What it finds is in the exception of the 400; other users of the library keep their log.
_SILENT = logging.Logger("restmachine.multipart.parser", logging.CRITICAL + 1)


class UploadedFile:
    """A file of a form; it is closed when the request is over.

    Attributes:
        filename: The name that the client gave it, without folders; never a path to trust.
        content_type: What the client says it is, ``text/plain`` if it says nothing.
        size: Its length in bytes.
        file: The content, open for reading at its start.
    """

    __slots__ = ("content_type", "file", "filename", "size")

    def __init__(self, filename: str, content_type: str) -> None:
        self.filename = filename
        self.content_type = content_type
        self.size = 0
        self.file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile()  # noqa: SIM115 - lives as long as the request

    def __repr__(self) -> str:
        return f"<UploadedFile {self.filename!r} of {self.size} bytes>"

    def read(self, size: int = -1) -> bytes:
        """Return up to *size* bytes from where reading stands, all that is left if negative."""
        return self.file.read(size)


def require_parser() -> None:
    """Look for the parser.

    Raises:
        MissingExtraError: It is not installed.
    """
    if python_multipart is None:
        raise MissingExtraError("multipart_body", "python-multipart", "multipart")


class MultipartCall:
    """Makes `multipart_body`: texts and `UploadedFile` objects by name."""

    name = "multipart_body"
    blocks = False
    before = NOTHING

    def run(self, exchange: Exchange) -> Form | None:
        """Return the form, on a thread that may block.

        Raises:
            BadRequest: The content is no such form.
            ContentTooLarge: It has too many parts, or too much text.
            UnsupportedMediaType: The content is of another media type.
        """
        if exchange.unread:
            return exchange.wait_for(self.run_async(exchange))
        content = exchange.body
        if not content:
            return None
        reader = _reader(exchange)
        reader.feed(content)
        return reader.finish()

    async def run_async(self, exchange: Exchange) -> Form | None:
        """Return the form, on an event loop; see `run`."""
        reader: _FormReader | None = None
        size = 0
        async with aclosing(exchange.content_pieces()) as pieces:
            async for piece in pieces:
                size += len(piece)
                reader = reader or _reader(exchange)
                if size <= _INLINE_BYTES:
                    reader.feed(piece)
                else:
                    await _in_thread(reader.feed, piece)
        return None if reader is None else reader.finish()


async def _in_thread(function: Callable[[bytes], None], piece: bytes) -> None:
    """Call a function on a thread, and leave it only when it has ended."""
    job = asyncio.ensure_future(asyncio.to_thread(function, piece))
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait({job})
        raise


def _reader(exchange: Exchange) -> _FormReader:
    """Return the reader of an exchange's form, closed with the exchange."""
    media_type = MediaType.parse(exchange.field(b"content-type") or "")
    if python_multipart is None or media_type is None or media_type.essence != MULTIPART:
        raise UnsupportedMediaType(f"Send the form as {MULTIPART}.")
    boundary = media_type.parameter("boundary") or ""
    if not _is_boundary(boundary):
        raise BadRequest("The Content-Type of a multipart form needs a boundary.")
    reader = _FormReader(boundary, exchange)
    closing = _closing(reader)
    start("multipart_body", closing)
    exchange.close_later("multipart_body", closing, False)
    return reader


def _closing(reader: _FormReader) -> Iterator[None]:
    try:
        yield
    finally:
        reader.close()


# RFC 2046 section 5.1.1.
_is_boundary = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]").fullmatch


class _FormReader:
    """Takes the pieces of a form as they come, and gives the form at its end."""

    def __init__(self, boundary: str, exchange: Exchange) -> None:
        self._exchange = exchange
        self._parts: list[tuple[str, UploadedFile | bytearray, str]] = []
        self._files: list[UploadedFile] = []
        self._part: UploadedFile | bytearray = bytearray()
        self._fields: dict[str, bytes] = {}
        self._field_name = b""
        self._field_value = b""
        self._texts_bytes = 0
        self._files_bytes = 0
        self._ended = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._fields.clear,
            "on_header_field": self._on_field_name,
            "on_header_value": self._on_field_value,
            "on_header_end": self._on_field,
            "on_headers_finished": self._on_part,
            "on_part_data": self._on_content,
            "on_end": self._on_end,
        }
        self._parser = python_multipart.MultipartParser(boundary.encode("latin-1"), callbacks)
        self._parser.logger = _SILENT

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the content.

        Raises:
            BadRequest, ContentTooLarge.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise BadRequest("The content is not a well-formed multipart form.") from error

    def finish(self) -> Form:
        """Return the form.

        Raises:
            BadRequest: Its last boundary is missing.
        """
        if not self._ended:
            raise BadRequest("The multipart form is cut short: its last boundary is missing.")
        charset = "utf-8"
        for name, part, _ in self._parts:
            if name == "_charset_" and isinstance(part, bytearray):
                charset = part.decode("latin-1")
        text_type = f"{TEXT}; charset={charset}"
        form: Form = {}
        for name, part, content_type in self._parts:
            if isinstance(part, UploadedFile):
                part.file.seek(0)
                put_value(form, name, part)
            else:
                put_value(form, name, decode_text(bytes(part), content_type or text_type))
        return form

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.file.close()

    def _on_field_name(self, data: bytes, start: int, end: int) -> None:
        self._field_name += data[start:end]

    def _on_field_value(self, data: bytes, start: int, end: int) -> None:
        self._field_value += data[start:end]

    def _on_field(self) -> None:
        self._fields[self._field_name.decode("latin-1").lower()] = self._field_value
        self._field_name = self._field_value = b""

    def _on_part(self) -> None:
        disposition, options = parse_options_header(
            self._fields.get("content-disposition", b"").decode("latin-1")
        )
        if disposition != b"form-data" or b"name" not in options:
            raise BadRequest("Each part of a multipart form needs a name.")
        if len(self._parts) >= self._exchange.plan.max_form_fields:
            raise too_many_fields(self._exchange)
        content_type = self._fields.get("content-type", b"").decode("latin-1")
        if b"filename" in options:
            if len(self._files) >= MAX_FILES:
                raise ContentTooLarge(f"A form has at most {MAX_FILES} files.")
            filename = _without_folders(decode_text(options[b"filename"], None))
            self._part = UploadedFile(filename, content_type or TEXT)
            self._files.append(self._part)
        else:
            self._part = bytearray()
        name = decode_text(options[b"name"], None)
        self._parts.append((name, self._part, content_type))

    def _on_content(self, data: bytes, start: int, end: int) -> None:
        part, size = self._part, end - start
        if isinstance(part, bytearray):
            self._texts_bytes += size
            if self._texts_bytes > MEMORY_BYTES:
                raise ContentTooLarge(f"The texts of a form have at most {MEMORY_BYTES} bytes.")
            part += data[start:end]
            return
        self._files_bytes += size
        if self._files_bytes > MEMORY_BYTES:
            part.file.rollover()
        part.file.write(data[start:end])
        part.size += size

    def _on_end(self) -> None:
        self._ended = True


def _without_folders(filename: str) -> str:
    return re.split(r"[/\\]", filename)[-1]
