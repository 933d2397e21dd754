"""Requests for one response wait for each other, and none for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from restmachine import ASGIAdapter, Request, RestApplication
from restmachine.decorators import cache_response
from restmachine.testing import ClientResponse, TestClient

from .keeping import MANY, Counting, Serve, at_once, call_asgi


@pytest.mark.parametrize("is_async", [True, False])
def test_hundred_first_requests_run_the_handler_once(
    app: RestApplication, serve: Serve, is_async: bool
) -> None:
    counting = Counting()

    async def async_handler() -> Any:
        await asyncio.sleep(0.05)
        return counting.answer()

    def handler() -> Any:
        time.sleep(0.05)
        return counting.answer()

    chosen: Any = async_handler if is_async else handler
    app.get("/x")(cache_response(max_age=60, server=True)(chosen))
    client = serve(app)

    responses = at_once(client, MANY)

    assert counting.calls == 1
    assert [response.json() for response in responses] == [{"call": 1}] * MANY


def test_hundred_requests_past_a_blocking_check_run_the_handler_once(
    app: RestApplication, serve: Serve
) -> None:
    counting = Counting()
    app.default_service_available(lambda: True)

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> Any:
        await asyncio.sleep(0.05)
        return counting.answer()

    client = serve(app)

    responses = at_once(client, MANY)

    assert counting.calls == 1
    assert {response.status for response in responses} == {200}


def test_threads_and_loops_wait_for_one_handler(app: RestApplication) -> None:
    counting = Counting()
    inside, go_on = threading.Event(), threading.Event()

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Any:
        inside.set()
        go_on.wait(10)
        return counting.answer()

    app.compiled  # noqa: B018 - not while the threads race
    adapter = ASGIAdapter(app)

    def on_a_loop(_: int) -> int:
        start, _body = asyncio.run(call_asgi(adapter))
        return int(start["status"])

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(on_a_loop, 0)
        inside.wait(10)
        others = [pool.submit(on_a_loop, number) for number in range(6)]
        time.sleep(0.1)
        go_on.set()
        statuses = [first.result(10), *(each.result(10) for each in others)]

    assert statuses == [200] * 7
    assert counting.calls == 1
    app.shutdown_sync()


def test_direct_executions_on_many_threads_run_the_handler_once(app: RestApplication) -> None:
    counting = Counting()

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Any:
        time.sleep(0.05)
        return counting.answer()

    with ThreadPoolExecutor(20) as pool:
        answering = [pool.submit(app.execute, Request("GET", "/x")) for _ in range(20)]
        responses = [each.result(10) for each in answering]

    assert {response.status_code for response in responses} == {200}
    assert counting.calls == 1
    app.shutdown_sync()


def test_when_the_first_fails_one_of_the_others_takes_over(
    app: RestApplication, serve: Serve
) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> str:
        calls.append(1)
        await asyncio.sleep(0.01)
        if len(calls) == 1:
            raise RuntimeError("broken")
        return "made"

    client = serve(app)

    responses = at_once(client, MANY)

    assert len(calls) == 2
    assert sorted(response.status for response in responses) == [200] * (MANY - 1) + [500]


@pytest.mark.parametrize("is_async", [True, False])
def test_when_all_fail_none_waits_for_all_the_others(
    app: RestApplication, serve: Serve, is_async: bool
) -> None:
    at_work, most = 0, 0

    def enter() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)

    def leave() -> None:
        nonlocal at_work
        at_work -= 1
        raise RuntimeError("broken")

    async def async_handler() -> None:
        enter()
        await asyncio.sleep(0.01)
        leave()

    def handler() -> None:
        enter()
        time.sleep(0.01)
        leave()

    chosen: Any = async_handler if is_async else handler
    app.get("/x")(cache_response(max_age=60, server=True)(chosen))
    client = serve(app)

    responses = at_once(client, 30)

    assert {response.status for response in responses} == {500}
    assert most > 1


def test_those_who_wait_for_what_is_not_for_them_go_on_together(
    app: RestApplication, serve: Serve
) -> None:
    at_work: list[int] = []
    everybody = asyncio.Event()

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> Any:
        at_work.append(1)
        if len(at_work) == MANY:
            everybody.set()
        if len(at_work) == 1:  # the others come meanwhile
            await asyncio.sleep(0.01)
        else:
            await asyncio.wait_for(everybody.wait(), 10)
        return {}, 200, {"Set-Cookie": "a=b"}

    client = serve(app)

    responses = at_once(client, MANY)

    assert {response.status for response in responses} == {200}
    assert len(at_work) == MANY


def test_nobody_waits_for_the_end_of_a_stream(app: RestApplication) -> None:
    async def answer() -> list[int]:
        more = asyncio.Event()
        calls: list[int] = []

        @app.get("/x")
        @cache_response(max_age=60, server=True)
        async def handler() -> AsyncIterator[bytes]:
            calls.append(1)
            if len(calls) == 1:
                await more.wait()
            yield b"piece"

        adapter = ASGIAdapter(app)
        first = asyncio.create_task(call_asgi(adapter))
        await asyncio.sleep(0)
        await asyncio.wait_for(call_asgi(adapter), 10)
        more.set()
        await first
        return calls

    calls = asyncio.run(answer())

    assert len(calls) == 2


def test_streams_of_errors_take_no_thread_from_each_other(app: RestApplication) -> None:
    app.default_service_available(lambda: True)  # may block, so the rest is done on threads
    first = threading.Event()

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    def handler() -> Any:
        first.wait(0.2)  # the others come meanwhile
        return iter([b"no ", b"such"]), 404

    with TestClient(app) as client:
        responses = at_once(client, MANY)

    assert {(response.status, response.content) for response in responses} == {(404, b"no such")}


def test_stream_that_is_cancelled_at_its_end_lets_the_next_request_go_on(
    app: RestApplication,
) -> None:
    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"no such"

        return pieces(), 404

    async def answer() -> list[Any]:
        adapter, messages = ASGIAdapter(app), []
        for turns in range(1, 12):
            first = asyncio.create_task(call_asgi(adapter))
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait({first})
            messages.append(await asyncio.wait_for(call_asgi(adapter), 10))
        return messages

    answers = asyncio.run(answer())

    assert [messages[0]["status"] for messages in answers] == [404] * 11


@pytest.mark.parametrize("is_async", [True, False])
def test_when_the_first_is_cancelled_one_of_the_others_takes_over(
    app: RestApplication, is_async: bool
) -> None:
    calls: list[int] = []
    inside = asyncio.Event()

    async def slow() -> None:
        inside.set()
        await asyncio.sleep(30 if len(calls) == 1 else 0)

    app.dependency("slow")(slow)

    @app.dependency()
    async def counted() -> None:
        calls.append(1)

    async def later(counted: None, slow: None) -> str:
        return "made"

    def sooner(counted: None, slow: None) -> str:
        return "made"

    app.get("/x")(cache_response(max_age=60, server=True)(later if is_async else sooner))

    async def answer() -> list[Any]:
        adapter = ASGIAdapter(app)
        first = asyncio.create_task(call_asgi(adapter))
        await inside.wait()
        others = [asyncio.create_task(call_asgi(adapter)) for _ in range(10)]
        await asyncio.sleep(0.01)
        first.cancel()
        outcomes = await asyncio.wait_for(asyncio.gather(*others), 10)
        await asyncio.gather(first, return_exceptions=True)
        return outcomes

    outcomes = asyncio.run(answer())

    assert {start["status"] for start, _ in outcomes} == {200}
    assert len(calls) == 2


def test_one_that_is_cancelled_while_it_waits_leaves_the_others_alone(
    app: RestApplication,
) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> str:
        calls.append(1)
        await asyncio.sleep(0.05)
        return "made"

    async def answer() -> list[Any]:
        adapter = ASGIAdapter(app)
        tasks = [asyncio.create_task(call_asgi(adapter)) for _ in range(10)]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(answer())

    assert isinstance(outcomes.pop(1), asyncio.CancelledError)
    assert {start["status"] for start, _ in outcomes} == {200}
    assert len(calls) == 1


def test_client_that_leaves_lets_another_take_over(app: RestApplication) -> None:
    calls: list[int] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler() -> str:
        calls.append(1)
        await asyncio.sleep(30 if len(calls) == 1 else 0)
        return "made"

    async def answer() -> Any:
        adapter = ASGIAdapter(app)
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            raise AssertionError("nobody is there")

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": "/x", "raw_path": b"/x", "query_string": b"",
            "root_path": "", "headers": [],
        }  # fmt: skip
        first = asyncio.create_task(adapter(scope, receive, send))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(call_asgi(adapter))
        await asyncio.sleep(0.01)
        left.set()
        outcome = await asyncio.wait_for(second, 10)
        await first
        return outcome

    start, body = asyncio.run(answer())

    assert (start["status"], body["body"]) == (200, b"made")
    assert len(calls) == 2


def test_errors_that_two_share_leave_the_next_ones_waiting_for_each_other(
    app: RestApplication, serve: Serve
) -> None:
    calls: list[None] = []

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def handler(request_headers: Any) -> str:
        await asyncio.sleep(0.02)
        if "X-Wrong" in request_headers:
            raise ValueError
        calls.append(None)
        return "made"

    client = serve(app)

    wrong = at_once(client, 2, headers={"X-Wrong": "1"})
    right = at_once(client, MANY)

    assert [response.status for response in wrong] == [400, 400]
    assert [response.status for response in right] == [200] * MANY
    assert len(calls) == 1


def test_handlers_that_ask_for_each_others_answers_do_not_wait_for_ever(
    app: RestApplication, serve: Serve
) -> None:
    clients: list[TestClient] = []

    def ask_other(path: str, other: str) -> None:
        @app.get(path)
        @cache_response(max_age=60, server=True)
        async def handler(request_headers: Any) -> dict[str, str]:
            await asyncio.sleep(0.05)
            if "X-Deep" not in request_headers:
                await clients[0].request_async("GET", other, headers={"X-Deep": "1"})
            return {"path": path}

    ask_other("/a", "/b")
    ask_other("/b", "/a")
    client = serve(app)
    clients.append(client)

    async def both() -> list[ClientResponse]:
        asking = [client.request_async("GET", path) for path in ("/a", "/b")]
        return await asyncio.wait_for(asyncio.gather(*asking), timeout=60)

    responses = client.run(both())

    assert [response.json() for response in responses] == [{"path": "/a"}, {"path": "/b"}]


def test_threads_that_ask_for_each_others_answers_do_not_wait_for_ever(
    app: RestApplication,
) -> None:
    both_asked = threading.Barrier(2, timeout=60)

    def ask_other(path: str, other: str) -> None:
        @app.get(path)
        @cache_response(max_age=60, server=True)
        def handler(request_headers: Any) -> dict[str, str]:
            if "X-Deep" not in request_headers:
                both_asked.wait()
                app.execute(Request("GET", other, headers={"X-Deep": "1"}))
            return {"path": path}

    ask_other("/a", "/b")
    ask_other("/b", "/a")

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(app.execute, Request("GET", path)) for path in ("/a", "/b")]
        responses = [future.result(timeout=60) for future in asking]

    assert [response.status_code for response in responses] == [200, 200]
