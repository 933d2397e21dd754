"""Streams either way: what counts as one, and how it is read."""

from __future__ import annotations

import io
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from restmachine import (
    BytesStreamBuffer,
    ConfigurationError,
    FileStreamWrapper,
    Request,
    RestApplication,
)
from restmachine.exchange import DirectExchange
from restmachine.streaming import (
    as_bytes,
    get_stream_size,
    is_seekable_stream,
    is_stream,
    read_pieces,
)


class OnlyReads:
    """Gives its pieces one by one to whoever reads, and can nothing else."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read(self, size: int = -1) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


async def async_pieces() -> AsyncIterator[bytes]:
    yield b"piece"


class TestWhatIsAStream:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(io.BytesIO(), id="binary file"),
            pytest.param(io.StringIO(), id="text file"),
            pytest.param(iter([b"piece"]), id="iterator"),
            pytest.param((piece for piece in [b"piece"]), id="generator"),
            pytest.param(async_pieces(), id="async generator"),
            pytest.param(BytesStreamBuffer(), id="buffer"),
            pytest.param(FileStreamWrapper(OnlyReads()), id="wrapper"),
            pytest.param(OnlyReads(), id="whatever can be read"),
        ],
    )
    def test_files_and_iterators_are(self, body: Any) -> None:
        assert is_stream(body)

    @pytest.mark.parametrize(
        "body", ["text", b"bytes", [1], {"a": 1}, {1}, (1, 2), None, 5, range(3), Path("a")]
    )
    def test_data_is_none(self, body: Any) -> None:
        assert not is_stream(body)


class TestSize:
    def test_it_is_what_lies_ahead_and_the_position_stays(self) -> None:
        stream = io.BytesIO(b"0123456789")
        stream.seek(4)

        assert get_stream_size(stream) == 6
        assert stream.read() == b"456789"

    def test_a_position_beyond_the_end_leaves_nothing(self) -> None:
        stream = io.BytesIO(b"0123")
        stream.seek(9)

        assert get_stream_size(stream) == 0

    @pytest.mark.parametrize(
        "stream",
        [
            pytest.param(io.StringIO("text"), id="text, whose positions count no bytes"),
            pytest.param(Unseekable(b"bytes"), id="not seekable"),
            pytest.param(OnlyReads(b"bytes"), id="only reads"),
            pytest.param(iter([b"bytes"]), id="iterator"),
        ],
    )
    def test_others_cannot_tell(self, stream: Any) -> None:
        assert not is_seekable_stream(stream)
        assert get_stream_size(stream) is None

    def test_a_temporary_text_file_is_text_and_a_binary_one_is_not(self) -> None:
        with tempfile.NamedTemporaryFile("w+") as text, tempfile.SpooledTemporaryFile() as binary:
            binary.write(b"1234")
            binary.seek(1)

            assert get_stream_size(text) is None
            assert get_stream_size(binary) == 3


class TestPieces:
    @pytest.mark.parametrize(
        ("piece", "content"),
        [
            (b"bytes", b"bytes"),
            (bytearray(b"array"), b"array"),
            (memoryview(b"view"), b"view"),
            ("täxt", "täxt".encode()),
        ],
    )
    def test_bytes_are_taken_and_text_becomes_utf8(self, piece: Any, content: bytes) -> None:
        assert as_bytes(piece) == content

    def test_anything_else_is_a_mistake_that_names_its_type(self) -> None:
        with pytest.raises(TypeError, match="A stream gave int"):
            as_bytes(5)

    def test_a_stream_is_closed_after_its_last_piece(self) -> None:
        file = io.BytesIO(b"0123456789")

        assert b"".join(read_pieces(file)) == b"0123456789"
        assert file.closed

    def test_a_stream_is_closed_when_nobody_wants_the_rest(self) -> None:
        file = io.BytesIO(b"0123456789")
        pieces = read_pieces(file)
        next(pieces)

        pieces.close()

        assert file.closed

    def test_a_stream_that_fails_is_closed_and_its_error_told(self) -> None:
        events = []

        def failing() -> Iterator[bytes]:
            try:
                yield b"piece"
                raise LookupError("lost")
            finally:
                events.append("closed")

        with pytest.raises(LookupError, match="lost"):
            list(read_pieces(failing()))
        assert events == ["closed"]

    def test_what_closing_raises_is_told(self) -> None:
        class Stubborn(io.BytesIO):
            def close(self) -> None:
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            list(read_pieces(Stubborn(b"piece")))


class TestBytesStreamBuffer:
    def test_what_was_written_is_read_once_writing_is_finished(self) -> None:
        with BytesStreamBuffer() as buffer:
            buffer.write(b"0123")
            buffer.write(b"45")
            assert not buffer.writing_finished

            buffer.close_writing()

            assert buffer.writing_finished
            assert buffer.read(4) == b"0123"
            assert buffer.read() == b"45"
        assert buffer.closed

    def test_nothing_is_written_after_the_end(self) -> None:
        buffer = BytesStreamBuffer()
        buffer.close_writing()

        with pytest.raises(ValueError, match="close_writing"):
            buffer.write(b"more")


class TestFileStreamWrapper:
    def test_it_reads_and_closes_what_it_wraps(self) -> None:
        file = io.BytesIO(b"0123456789")

        with FileStreamWrapper(file) as wrapped:
            assert wrapped.read(4) == b"0123"
            assert wrapped.read() == b"456789"

        assert file.closed

    def test_it_gives_chunks_of_what_has_none(self) -> None:
        assert list(FileStreamWrapper(OnlyReads(b"one", b"two"))) == [b"one", b"two"]

    def test_it_iterates_as_the_object_does_if_it_can(self) -> None:
        assert list(FileStreamWrapper(io.BytesIO(b"a\nb\n"))) == [b"a\n", b"b\n"]

    def test_closing_what_cannot_be_closed_does_nothing(self) -> None:
        FileStreamWrapper(OnlyReads()).close()

    def test_what_cannot_be_read_is_refused_by_name(self) -> None:
        with pytest.raises(TypeError, match=r"list has no read\(\)"):
            FileStreamWrapper([b"piece"])  # type: ignore[arg-type]


class TestDirectExecution:
    """Streams where there is neither a server nor an event loop."""

    def test_a_stream_is_read_whole_and_closed(self, app: RestApplication) -> None:
        file = io.BytesIO(b"0123456789")

        @app.get("/")
        def read():
            return file

        assert app.execute(Request("GET", "/")).body == b"0123456789"
        assert file.closed

    def test_an_async_stream_needs_no_loop_of_the_caller(self, app: RestApplication) -> None:
        @app.get("/")
        async def read():
            return async_pieces()

        assert app.execute(Request("GET", "/")).body == b"piece"

    def test_a_handler_that_is_an_async_generator_needs_none_either(
        self, app: RestApplication
    ) -> None:
        @app.get("/")
        async def read():
            yield "text"
            yield b" and bytes"

        assert app.execute(Request("GET", "/")).body == b"text and bytes"

    def test_a_stream_that_fails_is_a_500(self, app: RestApplication) -> None:
        @app.get("/")
        def read():
            yield b"piece"
            raise LookupError("secret")

        response = app.execute(Request("GET", "/"))

        assert response.status_code == 500
        assert b"secret" not in response.body

    def test_content_is_streamed_to_sync_and_async_handlers(self, app: RestApplication) -> None:
        @app.post("/sync")
        def read(body_stream):
            return b"".join(body_stream)

        @app.post("/async")
        async def read_async(body_stream):
            return b"".join([piece async for piece in body_stream])

        for_sync = app.execute(Request("POST", "/sync", body=b"content"))
        for_async = app.execute(Request("POST", "/async", body=b"content"))

        assert (for_sync.body, for_async.body) == (b"content", b"content")

    def test_content_beyond_the_limit_is_413(self, app: RestApplication) -> None:
        @app.post("/", max_content=6)
        def read(body_stream):
            return b"".join(body_stream)

        assert app.execute(Request("POST", "/", body=b"content")).status_code == 413


class TestConfiguration:
    @pytest.mark.parametrize("name", ["body", "json_body", "form_body", "text_body", "parsed_body"])
    def test_content_cannot_be_streamed_and_read_whole(
        self, app: RestApplication, name: str
    ) -> None:
        namespace: dict[str, Callable[..., Any]] = {}
        exec(f"def upload(body_stream, {name}): ...", namespace)
        app.post("/uploads")(namespace["upload"])

        with pytest.raises(ConfigurationError, match=f'"body_stream" and for "{name}"'):
            app.dispatch("POST", "/uploads")

    def test_a_session_dependency_cannot_have_the_stream_of_one_request(
        self, app: RestApplication
    ) -> None:
        @app.dependency(scope="session")
        def storage(body_stream): ...

        @app.post("/uploads")
        def upload(storage): ...

        with pytest.raises(ConfigurationError, match='"body_stream"'):
            app.dispatch("POST", "/uploads")

    def test_a_plan_that_streams_does_not_read_the_content_for_the_request(
        self, app: RestApplication
    ) -> None:
        @app.post("/uploads")
        async def upload(request, body_stream):
            return request.path

        plan, values = app.dispatch("POST", "/uploads")
        exchange = DirectExchange(plan, Request("POST", "/uploads", body=b"content"), values)

        assert plan.streams_content
        assert not plan.reads_content
        assert exchange.stream is None
