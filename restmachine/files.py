"""Files as content: opened, validated and cut on a thread that may block.

A handler returns a `pathlib.Path`, a `FileResponse` or an open binary file. Until `settle`
has run, the exchange's content is what the handler gave; afterwards it is bytes, or a stream
that is open and whose length is stated.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from restmachine.errors import InvalidResponseError
from restmachine.exchange import Exchange
from restmachine.headers import Pair, format_http_date
from restmachine.outcome import meets_preconditions, refuse
from restmachine.partial import (
    ACCEPT_NO_RANGES,
    ACCEPT_RANGES,
    Parts,
    become_partial,
    find_parts,
    unsatisfied,
)
from restmachine.ranges import ByteRange
from restmachine.representations import file_type
from restmachine.response import Headers, Response
from restmachine.streaming import (
    PIECE_BYTES,
    as_bytes,
    discard,
    get_stream_size,
    is_stream,
    read_pieces,
)

_CLIENTS_FAULT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
)


def FileResponse(  # noqa: N802 - it is used like the class Response, which it returns
    path: str | Path,
    status_code: int = 200,
    headers: Headers = None,
    content_type: str | None = None,
    filename: str | None = None,
    as_attachment: bool = False,
) -> Response:
    """Return a response with the content of a file.

    Args:
        path: The file; where there is none the answer is 404.
        content_type: Its media type, by default guessed from the name.
        filename: What to call it when it is saved.
        as_attachment: Ask browsers to save it instead of showing it.
    """
    response = Response(status_code, Path(path), headers)
    if content_type is not None:
        response.content_type = content_type
    elif response.content_type is None:
        response.content_type = file_type(Path(path).name)
    if as_attachment or filename is not None:
        kind = "attachment" if as_attachment else "inline"
        name = filename if filename is not None else Path(path).name
        response.headers.set("Content-Disposition", content_disposition(kind, name))
    return response


def content_disposition(kind: str, filename: str) -> str:
    """Return a Content-Disposition field (RFC 6266 section 4).

    A name beyond ASCII is given twice: as it is in `filename*`, and as `filename` with
    underscores for what older clients cannot read (section 4.3).
    """
    name = "".join(char if char.isprintable() else "_" for char in filename)
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_")
    quoted = _escape(r"\\\g<0>", name if name.isascii() else ascii_name)
    field = f'{kind}; filename="{quoted}"'
    if not name.isascii():
        field += f"; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE_CHARACTERS)}"
    return field


_escape = re.compile(r'["\\]').sub
_ATTRIBUTE_CHARACTERS: Final = "!#$&+^`|"  # what RFC 8187 allows beside those of `quote`


def is_unsettled(content: Any) -> bool:
    """Return whether content must go through `settle`: a path, or what can be read."""
    return isinstance(content, Path) or hasattr(content, "read")


def is_independent(content: Any) -> bool:
    """Return whether what made the content may be torn down before it is sent.

    So it is with bytes and with a file that was opened here. What a handler streams may need
    its dependencies until the last byte.
    """
    return not is_stream(content) or (isinstance(content, Excerpt) and content.opened_here)


def settle(exchange: Exchange) -> None:
    """Open a file and state what is known of it, or answer 304, 404, 412 or 416 instead.

    This blocks. What is not a file stays as it is.
    """
    content = exchange.content
    try:
        if isinstance(content, Path):
            _settle_path(exchange, content)
        elif hasattr(content, "read"):
            _settle_readable(exchange, content)
    except BaseException:
        discard(exchange.content)
        raise


class _Details(NamedTuple):
    """What a file system says of a file."""

    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Details | None:
        """Return the details of a regular file, None for anything else."""
        if not stat.S_ISREG(status.st_mode):
            return None
        return cls(status.st_size, status.st_mtime_ns)

    @property
    def validators(self) -> list[Pair]:
        """ETag, which changes whenever the file is written, and Last-Modified (8.8)."""
        modified = datetime.fromtimestamp(self.modified_ns // 1_000_000_000, UTC)
        return [
            (b"etag", b'"%x-%x"' % (self.modified_ns, self.size)),
            (b"last-modified", format_http_date(modified).encode()),
        ]


def _settle_path(exchange: Exchange, path: Path) -> None:
    details = _look_at(path)
    if details is None:
        refuse(exchange, 404)
        return
    content: Any = b""
    if exchange.method != "HEAD":
        exchange.content = content = path.open("rb", buffering=0)
        details = _Details.of(os.fstat(content.fileno())) or details
    if exchange.method in ("GET", "HEAD") and exchange.status == 200:
        exchange.head = with_defaults(exchange.head, details.validators)
    exchange.content = content
    if meets_preconditions(exchange):
        _send(exchange, content, details.size, opened_here=True)


def _look_at(path: Path) -> _Details | None:
    """Return the details of a file, None if there is no such file.

    Raises:
        OSError: There is one, but it cannot be reached.
    """
    try:
        # Before it is opened: opening a pipe would wait for somebody to write to it.
        return _Details.of(path.stat())
    except ValueError:  # a zero byte in the name
        return None
    except OSError as error:
        if error.errno in _CLIENTS_FAULT:
            return None
        raise


def _settle_readable(exchange: Exchange, content: Any) -> None:
    size = get_stream_size(content)
    if size is not None:
        _send(exchange, content, size)
    elif exchange.method in ("GET", "HEAD") and exchange.status == 200:
        exchange.head = with_defaults(exchange.head, [ACCEPT_NO_RANGES])
    if exchange.method == "HEAD":
        discard(content)
        exchange.content = b""


def _send(exchange: Exchange, content: Any, size: int, opened_here: bool = False) -> None:
    """Send an open file of *size* bytes from its position on, or the parts asked for."""
    head = [pair for pair in exchange.head if pair[0] != b"content-length"]
    head.append((b"content-length", b"%d" % size))
    if exchange.method in ("GET", "HEAD") and exchange.status == 200:
        head = with_defaults(head, [ACCEPT_RANGES])
    exchange.head, exchange.content = head, content
    if exchange.method == "HEAD":
        return
    parts = find_parts(exchange, size)
    if parts is not None and not parts:
        discard(content)
        refuse(exchange, 416, unsatisfied(size))
        return
    asked: Parts = [ByteRange(0, size - 1)]
    if parts:
        asked = become_partial(exchange, parts, size)
    excerpt = exchange.content = Excerpt(content, asked, opened_here)
    # Hot path: what fits into one piece is read at once; three more hops to a worker thread
    # would cost 170 of 260 us (bench_files.py::bench_file).
    if opened_here and int(dict(exchange.head)[b"content-length"]) <= PIECE_BYTES:
        exchange.content = b"".join(read_pieces(excerpt))


def with_defaults(head: list[Pair], defaults: Iterable[Pair]) -> list[Pair]:
    """Return the fields with those of *defaults* that are not among them."""
    stated = {name for name, _ in head}
    return [*head, *(pair for pair in defaults if pair[0] not in stated)]


class Excerpt(Iterator[bytes]):
    """Parts of an open file, in pieces; exactly as many bytes as were promised.

    Positions count from where the file stood when this was made. `opened_here` tells that
    no handler or dependency has the file.
    """

    def __init__(self, file: Any, parts: Parts, opened_here: bool = False) -> None:
        self.opened_here = opened_here
        self._file = file
        self._start: int = file.tell()
        self._parts = iter(parts)
        self._left = 0

    def __next__(self) -> bytes:
        while self._left == 0:
            part = next(self._parts)
            if isinstance(part, bytes):
                return part
            self._file.seek(self._start + part.start)
            self._left = part.length
        piece = as_bytes(self._file.read(min(PIECE_BYTES, self._left)))
        if not piece:
            raise InvalidResponseError(
                f"A file became {self._left} bytes shorter while it was sent. "
                "Replace files by renaming others into their place."
            )
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        discard(self._file)
