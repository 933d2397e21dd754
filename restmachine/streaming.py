"""Content that comes and goes piece by piece, never held whole.

What a handler returns as a stream is read by `stream_pieces` on an event loop, or by
`read_pieces` on a thread that may block; `ContentStream` gives a handler the content of a
request as it arrives.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from restmachine.errors import ClientDisconnected, ContentTooLarge
from restmachine.hooks import one_step
from restmachine.workers import WorkerPool

if TYPE_CHECKING:
    from restmachine.exchange import Exchange
    from restmachine.hooks import Steps

PIECE_BYTES: Final = 64 * 1024
"""How much of a file is read, and held, at a time."""

_LINE_BYTES: Final = 8192


class Readable(Protocol):
    """Whatever can be read like a file."""

    def read(self, size: int = -1, /) -> Any:
        """Return up to *size* bytes, all that is left if negative."""


class BytesStreamBuffer(io.BytesIO):
    """Bytes written by one function and then read by another.

    `writing_finished` tells whether `close_writing` was called, after which the buffer is
    only read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writing_finished = False

    def write(self, data: Any, /) -> int:
        """Append bytes at the current position.

        Raises:
            ValueError: Writing is finished.
        """
        if self.writing_finished:
            raise ValueError("Nothing can be written after close_writing().")
        return super().write(data)

    def close_writing(self) -> None:
        """Finish writing and rewind, so that reading begins at the first byte."""
        self.writing_finished = True
        self.seek(0)


class FileStreamWrapper:
    """Gives whatever can be read the other manners of a file.

    Raises:
        TypeError: The object cannot be read.
    """

    def __init__(self, source: Readable) -> None:
        if not callable(getattr(source, "read", None)):
            raise TypeError(f"{type(source).__name__} has no read() and so cannot be streamed.")
        self._source = source

    def read(self, size: int = -1) -> Any:
        """Return up to *size* bytes, all that is left if negative."""
        return self._source.read(size)

    def close(self) -> None:
        """Close the object, if it can be closed."""
        _close(self._source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._source, Iterable):
            return iter(self._source)
        return iter(lambda: self._source.read(_LINE_BYTES), b"")


def is_stream(body: Any) -> bool:
    """Return whether a body is sent piece by piece: a file or an iterator of bytes."""
    if isinstance(body, (str, bytes, Mapping, list, tuple, set, frozenset)):
        return False
    return (
        hasattr(body, "read")
        or isinstance(body, AsyncIterable)
        or (isinstance(body, Iterable) and hasattr(body, "__next__"))
    )


def is_seekable_stream(body: Any) -> bool:
    """Return whether a body is a binary file in which any place can be reached.

    A text file is none: its positions do not count bytes.
    """
    if not hasattr(body, "read") or hasattr(body, "encoding"):
        return False
    if not hasattr(body, "seek") or not hasattr(body, "tell"):
        return False
    return bool(body.seekable()) if hasattr(body, "seekable") else True


def get_stream_size(stream: Any) -> int | None:
    """Return how many bytes lie ahead in a stream, None if it cannot tell."""
    if not is_seekable_stream(stream):
        return None
    position: int = stream.tell()
    end: int = stream.seek(0, io.SEEK_END) or stream.tell()
    stream.seek(position)
    return max(0, end - position)


def discard(body: Any) -> None:
    """Close content that will not be sent."""
    if is_stream(body):
        _close(body)


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if callable(close):
        close()


def as_bytes(piece: Any) -> bytes:
    """Return a piece of a stream as bytes, text in UTF-8.

    Raises:
        TypeError: It is neither text nor bytes.
    """
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, (bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"A stream gave {type(piece).__name__}: give pieces of bytes or text.")


class _Reader:
    """Reads a file or an iterator piece by piece, on a thread that may block."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._pieces: Iterator[Any] | None = None if hasattr(content, "read") else iter(content)
        self.piece = b""
        self.ended = False
        self.error: BaseException | None = None

    def read(self) -> None:
        """Read the next piece, or set `ended` or `error`."""
        self.piece = b""  # the former piece must not live on while the next one is made
        try:
            if self._pieces is None:
                self.piece = as_bytes(self._content.read(PIECE_BYTES))
                self.ended = not self.piece
            else:
                self.piece = as_bytes(next(self._pieces))
        except StopIteration:
            self.ended = True
        except BaseException as error:
            self.error = error

    def close(self) -> None:
        """Close the file, or finish the generator; what that raises is an `error`."""
        try:
            _close(self._content)
        except BaseException as error:
            self.error = error


def read_pieces(content: Any) -> Generator[bytes, None, None]:
    """Yield a stream as bytes and close it, on a thread that may block."""
    reader = _Reader(content)
    with closing(reader):
        while not reader.ended:
            reader.read()
            if reader.error is not None:
                raise reader.error
            if reader.piece:
                yield reader.piece
    if reader.error is not None:
        raise reader.error


def stream_pieces(
    content: Any, pool: WorkerPool, inline: bool = False, steps: Steps | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield a stream as bytes and close it; pieces are made one at a time, when asked for.

    Args:
        inline: A generator does not block, so it needs no worker thread; a file always does.
        steps: Those who follow the request.
    """
    if isinstance(content, AsyncIterable):
        return _async_pieces(content)
    if inline and isinstance(content, Generator):
        return _inline_pieces(content)
    return _worker_pieces(content, pool, steps)


async def _async_pieces(content: AsyncIterable[Any]) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in content:
            yield as_bytes(piece)
            del piece
    finally:
        if hasattr(content, "aclose"):
            await content.aclose()


async def _inline_pieces(content: Any) -> AsyncGenerator[bytes, None]:
    with closing(read_pieces(content)) as pieces:
        for piece in pieces:
            yield piece
            del piece
            await asyncio.sleep(0)  # others have their turn


async def _worker_pieces(
    content: Any, pool: WorkerPool, steps: Steps | None
) -> AsyncGenerator[bytes, None]:
    read = partial(one_step, steps, _Reader.read)
    reader = _Reader(content)
    try:
        while True:
            await pool.run(read, reader)
            if reader.error is not None:
                raise reader.error
            if reader.ended:
                return
            piece, reader.piece = reader.piece, b""
            yield piece
            del piece
    finally:
        await _run_surely(pool, reader, steps)


async def _run_surely(pool: WorkerPool, reader: _Reader, steps: Steps | None) -> None:
    """Close on a worker thread what was read there, also when this task is cancelled."""
    failed = reader.error
    close = partial(one_step, steps, _Reader.close)
    closing_it = asyncio.ensure_future(pool.run(close, reader))
    try:
        await asyncio.shield(closing_it)
    except asyncio.CancelledError:
        await asyncio.wait({closing_it})
        raise
    if reader.error is not failed and reader.error is not None:
        raise reader.error


class ContentStream:
    """The content of a request as it arrives; a handler asks for it as `body_stream`.

    Iterate over it, with ``async for`` on the event loop and ``for`` in a sync function. It
    is read once: what was read is gone.

    Raises:
        ContentTooLarge: While reading, when it is longer than the route takes.
        ClientDisconnected: While reading, when the client left before it had sent everything.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._size = 0
        self._ahead: deque[bytes] = deque()  # pieces that came before somebody asked for them
        self._has_all = not exchange.may_have_content
        self._client_left = False
        self._receiving = asyncio.Lock()
        self._taken = asyncio.Event()

    async def read_piece(self) -> bytes:
        """Return the next piece, of whatever size it came in; empty after the last."""
        while True:
            if not self._ahead:
                async with self._receiving:
                    if not self._ahead:  # nobody else received one meanwhile
                        if self._has_all:
                            return b""
                        await self._receive()
            piece = self._ahead.popleft()
            self._taken.set()
            self._size += len(piece)
            if self._size > self._exchange.plan.max_content:
                raise ContentTooLarge
            if piece:
                return piece

    async def receive_ahead(self) -> None:
        """Receive what may be read later, to its end or until the client leaves.

        Only so does the server tell that it leaves. No more than some pieces are kept: behind
        those a departure is not seen before somebody reads them.
        """
        with suppress(ClientDisconnected):
            while not self._has_all:
                if sum(map(len, self._ahead)) >= PIECE_BYTES:
                    self._taken.clear()
                    await self._taken.wait()
                    continue
                async with self._receiving:
                    if not self._has_all:
                        await self._receive()

    async def _receive(self) -> None:
        if self._client_left:
            raise ClientDisconnected
        try:
            piece, more = await self._exchange.receive_piece()
        except ClientDisconnected:
            self._client_left = True
            raise
        self._has_all = not more
        self._ahead.append(piece)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if piece := await self.read_piece():
            return piece
        raise StopAsyncIteration

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if piece := self._exchange.wait_for(self.read_piece()):
            return piece
        raise StopIteration


def content_stream(exchange: Exchange) -> ContentStream:
    """Return the one stream of an exchange's content."""
    if exchange.stream is None:
        exchange.stream = ContentStream(exchange)
    return exchange.stream
