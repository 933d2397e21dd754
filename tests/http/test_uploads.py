"""Content of requests as it arrives: limits, disconnects, and answers given meanwhile."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from restmachine import RestApplication
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]
Converse = Callable[..., Any]
Listen = Callable[[RestApplication], tuple[str, int]]

MEBIBYTE = 1024 * 1024


def test_content_arrives_piece_by_piece(serve: Serve) -> None:
    app = RestApplication()

    @app.post("/async")
    async def upload(body_stream):
        return {"sizes": [len(piece) async for piece in body_stream]}

    @app.post("/sync")
    def sync_upload(body_stream):
        return {"sizes": [len(piece) for piece in body_stream]}

    client = serve(app)

    for_async = client.post("/async", content=[b"12345", b"", b"678"])
    for_sync = client.post("/sync", content=[b"12345", b"", b"678"])

    assert for_async.json() == for_sync.json() == {"sizes": [5, 3]}


def test_without_content_there_are_no_pieces(serve: Serve) -> None:
    app = RestApplication()

    @app.post("/")
    async def upload(body_stream):
        return {"pieces": [piece async for piece in body_stream]}

    assert serve(app).post("/").json() == {"pieces": []}


def test_b4_a_stated_length_beyond_the_limit_is_413_before_anything_is_read(serve: Serve) -> None:
    app = RestApplication()
    called = []

    @app.post("/", max_content=10)
    async def upload(body_stream):
        called.append(True)

    response = serve(app).post("/", content=b"x" * 11)

    assert response.status == 413
    assert called == []


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_content_is_413_as_soon_as_it_passes_the_limit(
    app: RestApplication, converse: Converse, path: str
) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 4
            yield b"1234"

    @app.post("/async", max_content=10)
    async def upload(body_stream):
        async for _ in body_stream:
            pass

    @app.post("/sync", max_content=10)
    def sync_upload(body_stream):
        for _ in body_stream:
            pass

    conversation = converse(app, endless())
    asyncio.run(conversation.run("POST", path))

    assert conversation.sent[0]["status"] == 413
    assert read == 12


def test_the_request_can_be_asked_for_beside_its_stream(serve: Serve) -> None:
    app = RestApplication()

    @app.resource_exists
    def folder(request):
        return request.path_params["folder"]

    @app.post("/{folder}")
    async def upload(folder, request, body_stream):
        content = b"".join([piece async for piece in body_stream])
        return {"folder": folder, "type": request.get_content_type(), "size": len(content)}

    response = serve(app).post("/a", content=b"12345", headers={"Content-Type": "image/png"})

    assert response.json() == {"folder": "a", "type": "image/png", "size": 5}


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_a_client_that_leaves_halfway_ends_the_handler(
    app: RestApplication, converse: Converse, path: str
) -> None:
    events: list[str] = []

    @app.post("/async")
    async def upload(body_stream):
        try:
            async for _ in body_stream:
                pass
        except BaseException as error:
            events.append(type(error).__name__)
            raise

    @app.post("/sync")
    def sync_upload(body_stream):
        try:
            for _ in body_stream:
                pass
        except BaseException as error:
            events.append(type(error).__name__)
            raise

    conversation = converse(app)
    conversation.messages = iter([{"type": "http.request", "body": b"1234", "more_body": True}])
    conversation.left.set()
    asyncio.run(conversation.run("POST", path))

    assert events == ["ClientDisconnected"]
    assert conversation.sent == []


@pytest.mark.parametrize("path", ["/sync", "/async"])
def test_content_can_be_answered_while_it_arrives(
    app: RestApplication, converse: Converse, path: str
) -> None:
    @app.post("/async")
    async def shout(body_stream):
        async for piece in body_stream:
            yield piece.upper()

    @app.post("/sync")
    def sync_shout(body_stream):
        for piece in body_stream:
            yield piece.upper()

    conversation = converse(app, [b"one", b"two", b"three"])
    asyncio.run(conversation.run("POST", path))

    bodies = [message["body"] for message in conversation.sent[1:]]
    assert bodies == [b"ONE", b"TWO", b"THREE", b""]


def test_a_long_upload_holds_no_more_than_a_few_pieces(
    app: RestApplication, converse: Converse
) -> None:
    sizes = []

    @app.post("/", max_content=64 * MEBIBYTE)
    async def upload(body_stream):
        async for piece in body_stream:
            sizes.append(len(piece))

    conversation = converse(app, (bytes(64 * 1024) for _ in range(512)))
    tracemalloc.start()
    try:
        asyncio.run(conversation.run("POST", "/"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sum(sizes) == 32 * MEBIBYTE
    assert peak < MEBIBYTE


def test_over_a_socket_an_upload_is_taken_as_it_comes(listen: Listen) -> None:
    app = RestApplication()

    @app.post("/", max_content=64 * MEBIBYTE)
    async def upload(body_stream):
        return {"size": sum([len(piece) async for piece in body_stream])}

    connection = HTTPConnection(*listen(app), timeout=10)
    connection.request("POST", "/", body=(bytes(MEBIBYTE) for _ in range(16)))
    response = connection.getresponse()

    assert response.read() == b'{"size":%d}' % (16 * MEBIBYTE)
    connection.close()
