import asyncio
from typing import Any

import pytest

from perfkit.contender import Channels, Recorder, answer_of, batch, scope_of, started
from perfkit.workload import Workload

ROW = Workload("post", "post", "/users", method="POST", body=b"{}", callers=4)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 201, "headers": [(b"ETag", b'"1"')]})
    await send({"type": "http.response.body", "body": message["body"], "more_body": True})
    await send({"type": "http.response.body"})


def test_an_answer_is_put_together() -> None:
    answer = asyncio.run(answer_of(echo, ROW))

    assert answer == (201, {"etag": '"1"'}, b"{}")


def test_nothing_sent_is_no_status() -> None:
    assert Recorder({}).answer().status == 0


def test_content_comes_once_and_then_nothing_does() -> None:
    async def twice() -> Any:
        channels = Channels({"body": b"x"})
        first = await channels.receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channels.receive(), 0.01)
        return first

    assert asyncio.run(twice()) == {"body": b"x"}


def test_a_batch_asks_as_often_as_it_is_told_by_all_its_callers() -> None:
    asked = []
    most = under_way = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        asked.append(scope)
        await asyncio.sleep(0)
        under_way -= 1

    nanoseconds = asyncio.run(batch(app, ROW, 12))

    assert nanoseconds > 0
    assert len(asked) == 12
    assert most == 4


def test_each_request_has_a_scope_of_its_own() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append("mark" in scope)
        scope["mark"] = True

    asyncio.run(batch(app, Workload("small", "small", "/"), 3))

    assert seen == [False, False, False]


def test_a_scope_is_what_a_server_makes_of_the_request() -> None:
    scope = scope_of(ROW)

    assert (scope["method"], scope["path"], scope["raw_path"]) == ("POST", "/users", b"/users")
    assert (b"content-length", b"2") in scope["headers"]


def test_an_application_is_started_before_it_is_asked() -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        events.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        await receive()

    asyncio.run(started(app))

    assert events == ["lifespan.startup"]


def test_an_application_need_not_know_of_lifespans() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"

    asyncio.run(started(app))


def test_an_application_that_cannot_start_says_why() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        asyncio.run(started(app))
