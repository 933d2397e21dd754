"""Streams over HTTP: one piece at a time, closed and torn down whatever happens."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from restmachine import NotFound, Observer, RestApplication
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]
Converse = Callable[..., Any]
Listen = Callable[[RestApplication], tuple[str, int]]

MEBIBYTE = 1024 * 1024


class ClosingFile(io.BytesIO):
    """A file that tells how often it was closed, and may fail to be read."""

    def __init__(self, content: bytes = b"content", fails: bool = False) -> None:
        super().__init__(content)
        self.fails = fails
        self.closings = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self.fails:
            raise OSError("the disk is gone")
        return super().read(size)

    def close(self) -> None:
        self.closings += 1
        super().close()


class Finished(Observer):
    """Remembers what each request came to."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[int, int]] = []

    def request_finished(self, exchange: object, status: int, sent_bytes: int, now: float) -> None:
        self.outcomes.append((status, sent_bytes))


class TestPieces:
    def test_iterators_and_files_of_every_kind_are_sent(self, serve: Serve) -> None:
        app = RestApplication()

        @app.get("/generator")
        def generator():
            yield b"by"
            yield "täs"

        @app.get("/async-generator")
        async def async_generator():
            yield b"by"
            yield "täs"

        @app.get("/iterator")
        async def iterator():
            return iter([b"by", "täs"])

        @app.get("/text-file")
        async def text_file():
            return io.StringIO("bytäs")

        @app.get("/binary-file")
        def binary_file():
            return io.BytesIO("bytäs".encode())

        client = serve(app)
        paths = ["/generator", "/async-generator", "/iterator", "/text-file", "/binary-file"]

        responses = [client.get(path) for path in paths]

        assert {response.status for response in responses} == {200}
        assert {response.text for response in responses} == {"bytäs"}
        assert {r.headers["Content-Type"] for r in responses} == {"application/octet-stream"}

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_a_piece_is_made_only_when_the_one_before_has_been_taken(
        self, app: RestApplication, converse: Converse, kind: str
    ) -> None:
        made = 0
        ahead = []

        @app.get("/sync")
        def sync_stream():
            nonlocal made
            for made in range(1, 51):  # noqa: B007 - the test looks at it
                yield b"x"

        @app.get("/async")
        async def async_stream():
            nonlocal made
            for made in range(1, 51):  # noqa: B007 - the test looks at it
                yield b"x"

        conversation = converse(app)
        taken = 0

        def take(message: dict[str, Any]) -> None:
            nonlocal taken
            ahead.append(made - taken)
            taken += len(message.get("body", b""))

        conversation.on_send = take
        asyncio.run(conversation.run("GET", f"/{kind}"))

        assert taken == 50
        assert max(ahead) == 1

    @pytest.mark.parametrize("path", ["/file", "/generator", "/path"])
    def test_a_long_stream_holds_no_more_than_a_few_pieces(
        self, app: RestApplication, converse: Converse, tmp_path: Path, path: str
    ) -> None:
        long_file = tmp_path / "long"
        with long_file.open("wb") as file:
            file.truncate(32 * MEBIBYTE)

        @app.get("/path")
        async def as_path():
            return long_file

        @app.get("/file")
        def as_file():
            return long_file.open("rb")

        @app.get("/generator")
        def generator():
            for _ in range(512):
                yield bytes(64 * 1024)

        conversation = converse(app)
        sizes = []
        conversation.on_send = lambda message: sizes.append(len(message.get("body", b"")))
        tracemalloc.start()
        try:
            asyncio.run(conversation.run("GET", path))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert sum(sizes) == 32 * MEBIBYTE
        assert peak < MEBIBYTE

    def test_an_empty_piece_starts_the_response_without_content(
        self, app: RestApplication, converse: Converse
    ) -> None:
        seen: list[list[str]] = []
        conversation = converse(app)

        @app.get("/")
        async def events():
            yield b""
            seen.append([message["type"] for message in conversation.sent])
            yield b"event"

        asyncio.run(conversation.run("GET", "/"))

        assert seen == [["http.response.start"]]
        assert [m["body"] for m in conversation.sent[1:]] == [b"event", b""]

    def test_a_stream_without_pieces_is_an_empty_200(self, serve: Serve) -> None:
        app = RestApplication()

        @app.get("/")
        def nothing():
            yield from ()

        response = serve(app).get("/")

        assert (response.status, response.content) == (200, b"")


class TestThreads:
    @pytest.mark.parametrize(
        ("path", "on_loop"),
        [
            pytest.param("/may-block", False, id="as a rule"),
            pytest.param("/does-not", True, id="declared not to block"),
            pytest.param("/file", False, id="a file always blocks"),
        ],
    )
    def test_what_may_block_is_read_on_a_worker(
        self, app: RestApplication, converse: Converse, path: str, on_loop: bool
    ) -> None:
        threads = set()

        class Watched(ClosingFile):
            def read(self, size: int | None = -1, /) -> bytes:
                threads.add(threading.current_thread())
                return super().read(size)

        @app.get("/may-block")
        def may_block():
            threads.add(threading.current_thread())
            yield b"piece"

        @app.get("/does-not", blocking=False)
        def does_not():
            threads.add(threading.current_thread())
            yield b"piece"

        @app.get("/file", blocking=False)
        def file():
            return Watched()

        asyncio.run(converse(app).run("GET", path))

        assert [thread is threading.current_thread() for thread in threads] == [on_loop]

    def test_a_generator_that_does_not_block_lets_others_have_their_turn(
        self, app: RestApplication, converse: Converse
    ) -> None:
        conversation = converse(app)
        conversation.gives_way = False

        @app.get("/", blocking=False)
        def endless():
            while True:
                yield b"x"

        async def leave_soon() -> None:
            running = asyncio.create_task(conversation.run("GET", "/"))
            while len(conversation.sent) < 2:  # noqa: ASYNC110 - the turns are what is tested
                await asyncio.sleep(0)
            conversation.left.set()
            await running

        asyncio.run(leave_soon())

        assert conversation.sent[-1]["more_body"]

    def test_a_generator_that_does_not_block_is_closed_when_it_fails(
        self, app: RestApplication, converse: Converse
    ) -> None:
        events = []

        @app.get("/", blocking=False)
        def failing():
            try:
                yield b"piece"
                raise LookupError("lost")
            finally:
                events.append("closed")

        with pytest.raises(LookupError, match="lost"):
            asyncio.run(converse(app).run("GET", "/"))

        assert events == ["closed"]


class TestClosing:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("status", [200, 204])
    def test_a_file_is_closed_once_it_is_sent_or_not_needed(
        self, serve: Serve, method: str, status: int
    ) -> None:
        file = ClosingFile()
        app = RestApplication()

        @app.get("/")
        async def read():
            return file, status

        response = serve(app).request(method, "/")

        assert response.status == status
        assert file.closings >= 1

    @pytest.mark.parametrize(
        ("field", "status"), [("bytes=0-1", 206), ("bytes=0-1,4-5", 206), ("bytes=99-", 416)]
    )
    def test_a_file_is_closed_when_only_a_part_is_sent(
        self, serve: Serve, field: str, status: int
    ) -> None:
        file = ClosingFile()
        app = RestApplication()

        @app.get("/")
        async def read():
            return file

        response = serve(app).get("/", headers={"Range": field})

        assert response.status == status
        assert file.closings >= 1

    def test_a_file_that_cannot_be_read_is_closed(self, serve: Serve) -> None:
        file = ClosingFile(fails=True)
        app = RestApplication()

        @app.get("/")
        def read():
            return file

        response = serve(app).get("/")

        assert response.status == 500
        assert file.closings >= 1

    @pytest.mark.parametrize(
        ("own_status", "own_fields", "sent", "status"),
        [
            pytest.param(999, {}, {}, 500, id="a status that is none"),
            pytest.param(200, {"X-A": "a\r\nb"}, {}, 500, id="a field that would split"),
            pytest.param(200, {}, {"If-Match": '"a",' * 300}, 431, id="a condition too long"),
            pytest.param(200, {}, {"If-Match": '"a"'}, 412, id="a condition that fails"),
            pytest.param(200, {}, {"If-None-Match": "*"}, 304, id="a client that has it"),
        ],
    )
    @pytest.mark.parametrize("path", ["/sync", "/async"])
    def test_a_file_is_closed_when_another_answer_is_sent(
        self,
        serve: Serve,
        path: str,
        own_status: int,
        own_fields: dict[str, str],
        sent: dict[str, str],
        status: int,
    ) -> None:
        file = ClosingFile()
        app = RestApplication(max_headers=1000)

        @app.get("/sync")
        def read():
            return file, own_status, own_fields

        @app.get("/async")
        async def read_later():
            return file, own_status, own_fields

        response = serve(app).get(path, headers=sent)

        assert response.status == status
        assert file.closings >= 1

    @pytest.mark.parametrize("path", ["/sync", "/async"])
    def test_a_client_that_leaves_ends_the_work_and_the_dependencies(
        self, app: RestApplication, converse: Converse, path: str
    ) -> None:
        events: list[str] = []
        finished = Finished()
        app.observe(finished)

        @app.dependency()
        def session():
            try:
                yield
            except BaseException as error:
                events.append(type(error).__name__)
                raise

        @app.get("/sync")
        def endless(session):
            def pieces() -> Iterator[bytes]:
                try:
                    while True:
                        yield b"x"
                finally:
                    events.append("closed")

            return pieces()

        @app.get("/async")
        async def async_endless(session):
            async def pieces() -> AsyncIterator[bytes]:
                try:
                    while True:
                        yield b"x"
                        await asyncio.sleep(0)
                finally:
                    events.append("closed")

            return pieces()

        conversation = converse(app)

        def leave_after_three(message: dict[str, Any]) -> None:
            conversation.sent.append(message)
            if len(conversation.sent) == 4:
                conversation.left.set()

        conversation.on_send = leave_after_three
        asyncio.run(conversation.run("GET", path))

        assert events == ["closed", "ClientDisconnected"]
        assert conversation.sent[-1]["more_body"]
        assert [status for status, _ in finished.outcomes] == [200]

    def test_a_server_that_refuses_more_counts_as_a_client_that_left(
        self, app: RestApplication, converse: Converse
    ) -> None:
        file = ClosingFile(bytes(MEBIBYTE))
        conversation = converse(app)

        def refuse(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                raise ConnectionResetError("gone")

        @app.get("/")
        def read():
            return file

        conversation.on_send = refuse
        asyncio.run(conversation.run("GET", "/"))

        assert file.closings == 1

    def test_a_cancelled_request_closes_its_stream(
        self, app: RestApplication, converse: Converse
    ) -> None:
        events: list[str] = []

        @app.dependency()
        async def session():
            try:
                yield
            except BaseException as error:
                events.append(type(error).__name__)
                raise

        @app.get("/")
        async def endless(session):
            async def pieces() -> AsyncIterator[bytes]:
                try:
                    while True:
                        yield b"x"
                        await asyncio.sleep(0)
                finally:
                    events.append("closed")

            return pieces()

        async def cancel_soon() -> None:
            conversation = converse(app)
            begun = asyncio.Event()
            conversation.on_send = lambda message: begun.set()
            task = asyncio.create_task(conversation.run("GET", "/"))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel_soon())

        assert events == ["closed", "CancelledError"]


class TestErrors:
    @pytest.mark.parametrize("path", ["/sync", "/async"])
    def test_what_fails_before_the_first_piece_has_a_status_of_its_own(
        self, serve: Serve, path: str
    ) -> None:
        app = RestApplication()

        @app.get("/sync")
        def missing():
            raise NotFound("No such stream.")
            yield b"piece"

        @app.get("/async")
        async def async_missing():
            raise NotFound("No such stream.")
            yield b"piece"

        response = serve(app).get(path)

        assert response.status == 404
        assert response.json()["details"] == "No such stream."

    @pytest.mark.parametrize("path", ["/sync", "/async"])
    def test_what_fails_later_is_told_to_the_server_and_starts_no_second_response(
        self, app: RestApplication, converse: Converse, path: str
    ) -> None:
        seen: list[str] = []

        @app.dependency()
        def session():
            try:
                yield
            except BaseException as error:
                seen.append(type(error).__name__)
                raise

        @app.get("/sync")
        def failing(session):
            def pieces() -> Iterator[bytes]:
                yield b"piece"
                raise LookupError("lost")

            return pieces()

        @app.get("/async")
        async def async_failing(session):
            async def pieces() -> AsyncIterator[bytes]:
                yield b"piece"
                raise LookupError("lost")

            return pieces()

        conversation = converse(app)

        with pytest.raises(LookupError, match="lost"):
            asyncio.run(conversation.run("GET", path))

        assert [message["type"] for message in conversation.sent] == [
            "http.response.start",
            "http.response.body",
        ]
        assert conversation.sent[-1]["more_body"]
        assert seen == ["LookupError"]

    def test_observers_hear_the_status_that_was_sent_when_the_teardown_of_a_stream_fails(
        self, app: RestApplication, converse: Converse
    ) -> None:
        finished = Finished()
        app.observe(finished)

        @app.dependency()
        def session():
            yield
            raise LookupError("the commit failed")

        @app.get("/")
        def read(session):
            return iter([b"piece"])

        asyncio.run(converse(app).run("GET", "/"))

        assert finished.outcomes == [(200, 5)]


class TestOverASocket:
    def test_a_stream_that_fails_halfway_is_cut_off(self, listen: Listen) -> None:
        app = RestApplication()

        @app.get("/")
        def failing():
            yield b"piece"
            raise LookupError("secret")

        with socket.create_connection(listen(app), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            received = b"".join(iter(lambda: client.recv(65536), b""))

        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.endswith(b"5\r\npiece\r\n")  # without the chunk that says it is all
        assert b"secret" not in received

    def test_a_client_that_leaves_ends_the_stream(self, listen: Listen) -> None:
        app = RestApplication()
        closed = threading.Event()

        @app.get("/")
        def endless():
            try:
                while True:
                    yield b"x" * 1024
            finally:
                closed.set()

        with socket.create_connection(listen(app), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            client.recv(1024)

        assert closed.wait(10)

    def test_a_slow_reader_holds_the_stream_back(self, listen: Listen) -> None:
        app = RestApplication()
        made = 0
        paused = threading.Event()

        @app.get("/")
        def long_stream():
            nonlocal made
            for made in range(1, 1001):  # noqa: B007 - the test looks at it
                yield bytes(64 * 1024)
            paused.set()

        with socket.create_connection(listen(app), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")
            client.recv(1024)
            ended_unread = paused.wait(0.5)
            made_unread = made
            rest = sum(map(len, iter(lambda: client.recv(1 << 20), b"")))

        assert not ended_unread
        assert made_unread < 500
        assert rest > 1000 * 64 * 1024 - 1024
