"""The client that other tests rely on refuses every answer that breaks its framing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from restmachine import RestApplication
from restmachine.testing import TestClient

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"abc"}


def sending(*messages: dict[str, Any]) -> Any:
    """Return an ASGI application that sends these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "never ended"),
        ([START], "never ended"),
        ([START, {**END, "more_body": True}], "never ended"),
        ([END], "before the status"),
        ([START, START], "started twice"),
        ([START, END, END], "after the end"),
        ([START, {**END, "body": "text"}], "not bytes"),
        ([START, {"type": "http.response.trailers"}], "answers no request"),
        ([{**START, "status": 99}], "no status"),
        ([{**START, "status": 103}], "no status"),
        ([{**START, "headers": [(b"Upper", b"x")]}], "bad field name"),
        ([{**START, "headers": [("text", b"x")]}], "bad field name"),
        ([{**START, "headers": [(b"a", "text")]}], "bad value"),
        ([{**START, "headers": [(b"a", b"x\r\ny")]}], "bad value"),
        ([{**START, "headers": [(b"content-length", b"4")]}, END], "has 3 bytes"),
        ([{**START, "headers": [(b"content-length", b"3")] * 2}, END], "several lengths"),
        ([{**START, "status": 204}, END], "204 with content"),
        ([{**START, "status": 304}, END], "304 with content"),
        ([{**START, "status": 204, "headers": [(b"content-length", b"0")]}, {**END, "body": b""}],
            "states a length"),
    ],
)  # fmt: skip
def test_a_broken_answer_is_refused(messages: list[dict[str, Any]], complaint: str) -> None:
    client = TestClient(sending(*messages))

    with pytest.raises(AssertionError, match=complaint):
        client.get("/")


def test_content_after_head_is_refused() -> None:
    client = TestClient(sending(START, END))

    with pytest.raises(AssertionError, match="HEAD was answered 200 with content"):
        client.head("/")


def test_an_answer_in_pieces_is_put_together() -> None:
    response = TestClient(sending(START, {**END, "more_body": True}, END)).get("/")

    assert (response.status, response.content) == (200, b"abcabc")


def echo() -> RestApplication:
    """Return an application that tells what it was sent."""
    app = RestApplication()

    @app.post("/{name}")
    def tell(name: str, body: str, query_params: Any, request_headers: Any) -> Any:
        return {"name": name, "body": body, "query": query_params, "fields": dict(request_headers)}

    return app


def test_every_part_of_a_request_is_sent() -> None:
    response = TestClient(echo()).post(
        "/a%20b?c=1", params={"d": "ü"}, json=[1], headers={"X-A": "1"}
    )

    assert response.json() == {
        "name": "a b", "body": "[1]", "query": {"c": "1", "d": "ü"},
        "fields": {"x-a": "1", "content-type": "application/json", "content-length": "3",
                   "host": "testserver"},
    }  # fmt: skip


def test_pieces_are_sent_without_a_length() -> None:
    response = TestClient(echo()).post("/x", content=[b"a", b"b"])

    assert response.json()["body"] == "ab"
    assert response.json()["fields"]["transfer-encoding"] == "chunked"


def test_text_is_read_in_the_charset_that_is_stated() -> None:
    start = {**START, "headers": [(b"content-type", b"text/plain; charset=latin-1")]}

    response = TestClient(sending(start, {**END, "body": b"\xfc"})).get("/")

    assert response.text == "ü"


def test_requests_may_overlap() -> None:
    app = RestApplication()
    both = asyncio.Barrier(2)

    @app.get("/x")
    async def meet() -> dict[str, bool]:
        await both.wait()
        return {"met": True}

    async def ask(client: TestClient) -> list[int]:
        answers = await asyncio.gather(*(client.request_async("GET", "/x") for _ in range(2)))
        return [answer.status for answer in answers]

    client = TestClient(app)

    assert client.run(ask(client)) == [200, 200]


def test_an_application_without_lifespan_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return None

    with pytest.raises(AssertionError, match="without an answer to startup"):
        TestClient(app).__enter__()


def test_a_lifespan_that_raises_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("lifespan")

    with pytest.raises(KeyError, match="lifespan"):
        TestClient(app).__enter__()
