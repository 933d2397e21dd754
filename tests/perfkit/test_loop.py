"""The watchdog names what blocks an event loop, nothing else.

``make stalls`` tries the first often, ``make idle`` the second for an hour.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop

import perfkit
from perfkit import loop, record
from perfkit.errors import PerfkitError
from perfkit.instrument import RECORDS
from perfkit.loop import BEATS, THRESHOLD_SECONDS, Stall, Watchdog, attach
from restmachine import ASGIAdapter, RestApplication
from restmachine.testing import TestClient

STALLS = int(os.environ.get("STALLS", "100"))
IDLE_MINUTES = float(os.environ.get("IDLE_MINUTES", "60"))
HERE = Path(__file__)
PATIENCE = 30.0
LONG = 0.25
"""A threshold above what a busy machine's own pauses take, in seconds."""
UNLIKELY = 0.5
"""A threshold where nothing may be told at all."""
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
on_every_loop = pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])

NewLoop = Callable[[], asyncio.AbstractEventLoop]


def line_with(mark: str) -> int:
    """Return the number of the line of this file that ends with a comment."""
    lines = HERE.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}"))


def block_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)  # blocks


class Told(list[Stall]):
    """The stalls that a watchdog told of, and ways to block until it has."""

    def __init__(self) -> None:
        self.heard = threading.Event()

    def append(self, stall: Stall) -> None:
        super().append(stall)
        self.heard.set()

    def block(self, count: int = 1) -> None:
        block_until(lambda: len(self) >= count)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0.01)


async def watch(watchdog: Watchdog) -> None:
    """Watch the running loop, and wait for the first heartbeat: nothing is named before."""
    watchdog.watch()
    heart = watchdog._hearts[asyncio.get_running_loop()]
    await until(lambda: heart._base is not None)


def run(new_loop: NewLoop, main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main)


@contextmanager
def watchdog_thread_ends() -> Iterator[None]:
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert "perfkit-watchdog" not in names


@on_every_loop
def test_a_stall_is_told_while_it_lasts_and_once_more_when_it_is_over(new_loop: NewLoop) -> None:
    told = Told()

    async def main() -> None:
        watchdog = Watchdog(LONG, on_stall=told.append)
        await watch(watchdog)
        told.block()
        assert len(told) == 1
        await until(lambda: len(told) > 1)
        watchdog.unwatch()

    with watchdog_thread_ends():
        run(new_loop, main())

    begun, over = told
    assert (begun.ended, over.ended) == (False, True)
    assert LONG <= begun.seconds <= over.seconds
    assert (begun.file, begun.line) == (__file__, line_with("blocks"))
    assert begun.function == "block_until"


def application(told: Told) -> RestApplication:
    app = RestApplication()

    @app.get("/items/{item_id}")
    async def item(item_id: str) -> str:
        told.block()  # blocks a request
        return item_id

    @app.get("/library")
    async def library() -> str:
        told.heard.wait(PATIENCE)  # blocks in a library
        return ""

    @app.get("/worker")
    def worker() -> str:
        time.sleep(2.5 * UNLIKELY)
        return ""

    return app


async def asked(client: TestClient, path: str, watchdog: Watchdog) -> None:
    await watch(watchdog)
    await client.request_async("GET", path)


def test_the_request_that_blocks_is_named_by_its_route() -> None:
    told = Told()
    app = application(told)
    watchdog = Watchdog(LONG, on_stall=told.append)
    attach(app, watchdog)

    with watchdog_thread_ends(), TestClient(app) as client:
        client.run(asked(client, "/items/secret", watchdog))

    assert (told[0].method, told[0].route) == ("GET", "/items/{item_id}")
    assert "secret" not in str(told[0])
    assert str(told[0]).endswith(f"({__file__}:{told[0].line}), GET /items/{{item_id}}")


def test_the_line_is_the_applications_and_not_the_librarys() -> None:
    told = Told()
    app = application(told)
    watchdog = Watchdog(LONG, on_stall=told.append)
    attach(app, watchdog)

    with TestClient(app) as client:
        client.run(asked(client, "/library", watchdog))

    assert (told[0].file, told[0].line) == (__file__, line_with("blocks in a library"))
    assert told[0].stack[-1].split("/")[-1].startswith("threading.py:")


def test_a_worker_thread_that_is_busy_stalls_no_loop() -> None:
    told = Told()
    app = application(told)
    watchdog = Watchdog(UNLIKELY, on_stall=told.append)
    attach(app, watchdog)

    with TestClient(app) as client:
        client.run(asked(client, "/worker", watchdog))

    assert told == []


@on_every_loop
def test_a_request_in_whose_context_a_task_blocks_is_named(new_loop: NewLoop) -> None:
    told = Told()

    async def child() -> None:
        told.block()

    async def main() -> None:
        watchdog = Watchdog(LONG, on_stall=told.append)
        await watch(watchdog)
        record.current.set(record.Record("PUT", "/parents", 0.0))
        await asyncio.create_task(child())
        watchdog.unwatch()

    run(new_loop, main())

    assert (told[0].method, told[0].route) == ("PUT", "/parents")


@on_every_loop
def test_a_callback_of_no_request_is_named_by_its_line(new_loop: NewLoop) -> None:
    told = Told()

    async def main() -> None:
        watchdog = Watchdog(LONG, on_stall=told.append)
        await watch(watchdog)
        asyncio.get_running_loop().call_soon(told.block)
        await until(lambda: len(told) > 1)
        watchdog.unwatch()

    run(new_loop, main())

    assert (told[0].method, told[0].route) == (None, None)
    assert told[0].line == line_with("blocks")
    assert str(told[0]).endswith("no request")


@on_every_loop
def test_a_loop_that_waits_or_rests_is_not_blocked(new_loop: NewLoop) -> None:
    told = Told()
    watchdog = Watchdog(0.05, on_stall=told.append)
    loop = new_loop()

    async def wait() -> None:
        watchdog.watch()
        await asyncio.sleep(0.3)

    loop.run_until_complete(wait())
    time.sleep(0.2)  # the loop does not run
    loop.run_until_complete(asyncio.sleep(0.2))
    watchdog.close()
    loop.close()

    named = [stall for stall in told if "test_loop.py" in stall.file]
    assert named == []


def test_a_loop_that_was_closed_is_forgotten() -> None:
    told = Told()
    watchdog = Watchdog(0.1, on_stall=told.append)

    async def begin() -> None:
        watchdog.watch()

    asyncio.run(begin())
    asyncio.run(until(lambda: not watchdog._hearts))
    watchdog.close()

    assert told == []


class CoreTimes:
    """What a system tells of a thread that never ran, but *waited* for a core, or is *queued*."""

    def __init__(self, waited: float = 0.0, queued: bool = False) -> None:
        self.looks = 0
        self.waited = waited
        self.queued = queued

    def since_last(self) -> tuple[float, float]:
        self.looks += 1
        waited, self.waited = self.waited, 0.0
        return 0.0, waited

    def is_queued(self) -> bool:
        return self.queued


@pytest.mark.parametrize("waits", [{"waited": 10**6}, {"queued": True}], ids=["waited", "queued"])
def test_a_loop_that_gets_no_core_is_not_blocked(waits: dict[str, Any]) -> None:
    told = Told()
    times = CoreTimes(**waits)

    async def main() -> None:
        watchdog = Watchdog(UNLIKELY, on_stall=told.append)
        await watch(watchdog)
        (heart,) = watchdog._hearts.values()
        heart._times = times  # type: ignore[assignment]  # a double of it
        time.sleep(2.5 * UNLIKELY)  # noqa: ASYNC251 - a stall, were it not for the wait
        watchdog.unwatch()

    asyncio.run(main())

    assert times.looks > 0
    assert told == []


def test_a_loop_that_has_got_a_core_and_blocks_is_named() -> None:
    told = Told()
    times = CoreTimes(queued=True)

    async def main() -> None:
        watchdog = Watchdog(LONG, on_stall=told.append)
        await watch(watchdog)
        (heart,) = watchdog._hearts.values()
        heart._times = times  # type: ignore[assignment]  # a double of it
        time.sleep(2 * LONG)  # noqa: ASYNC251 - it waits for a core
        times.queued = False
        told.block()
        watchdog.unwatch()

    asyncio.run(main())

    assert [stall.line for stall in told] == [line_with("blocks")]


class Pausing(threading.Event):
    """An event whose wait takes longer than asked for, as if the machine had paused."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        if self.pauses:
            time.sleep(self.pauses.pop())
        return super().wait(timeout)


def test_a_machine_that_was_paused_has_not_blocked_a_loop() -> None:
    told = Told()
    wake = Pausing()

    async def main() -> None:
        watchdog = Watchdog(UNLIKELY, on_stall=told.append)
        watchdog._wake = wake
        await watch(watchdog)
        wake.pauses.append(3 * UNLIKELY)
        await until(lambda: not wake.pauses)
        await asyncio.sleep(UNLIKELY)  # the next beat comes well after what the thread waits for
        during = wake.waits
        block_until(lambda: wake.waits > during)
        watchdog.unwatch()

    asyncio.run(main())

    assert told == []


def test_a_system_may_tell_nothing_of_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "get_native_id", lambda: 2**31 - 1)

    times = loop._CoreTimes()

    assert times.since_last() == (0.0, 0.0)
    assert not times.is_queued()


def test_a_system_tells_for_how_long_a_thread_ran() -> None:
    times = loop._CoreTimes()

    sum(range(3_000_000))

    assert times.since_last().ran > 0.0
    assert times.is_queued()


def test_two_loops_are_watched_by_one_thread() -> None:
    told = Told()
    watchdog = Watchdog(LONG, on_stall=told.append)
    both = threading.Barrier(2)

    async def block() -> None:
        await watch(watchdog)
        both.wait(PATIENCE)
        told.block(2)
        await until(lambda: len(told) == 4)

    threads = [threading.Thread(target=lambda: asyncio.run(block())) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    watchdog.close()

    assert sorted(stall.ended for stall in told) == [False, False, True, True]


def test_watching_twice_changes_nothing() -> None:
    lags: list[float] = []

    async def main() -> None:
        watchdog = Watchdog(2.0, on_lag=lags.append)
        watchdog.watch()
        watchdog.watch()
        await until(lambda: len(lags) > 0)
        watchdog.unwatch()

    asyncio.run(main())

    assert len(lags) == 1


def test_the_lag_of_a_blocked_loop_is_how_late_its_heartbeat_came() -> None:
    lags: list[float] = []

    async def main() -> None:
        watchdog = Watchdog(on_lag=lags.append, on_stall=lambda stall: None)
        await watch(watchdog)
        time.sleep(0.3)  # noqa: ASYNC251 - a stall
        await asyncio.sleep(0.1)
        watchdog.unwatch()

    asyncio.run(main())

    assert max(lags) >= 0.28
    assert min(lags) >= 0.0


def test_a_listener_that_fails_is_logged_once_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()

    def fail(stall: Stall) -> None:
        told.append(stall)
        raise RuntimeError("broken on purpose")

    async def main() -> None:
        watchdog = Watchdog(LONG, on_stall=fail)
        await watch(watchdog)
        told.block()
        await until(lambda: len(told) == 2)
        watchdog.unwatch()

    asyncio.run(main())

    assert [entry.exc_text is not None for entry in caplog.records] == [True]


def test_a_stall_is_a_warning_in_the_log_by_default(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        watchdog = Watchdog(LONG)
        await watch(watchdog)
        block_until(lambda: len(caplog.records) > 0)
        await until(lambda: len(caplog.records) == 2)
        watchdog.unwatch()

    asyncio.run(main())

    first, second = caplog.messages
    assert first.startswith("the event loop has been blocked for ")
    assert second.startswith("the event loop was blocked for ")


@pytest.mark.parametrize("threshold", [0, -1, float("nan")])
def test_a_threshold_is_above_zero(threshold: float) -> None:
    with pytest.raises(PerfkitError, match="give a threshold above"):
        Watchdog(threshold)


def named_stalls(new_loop: NewLoop, count: int) -> list[bool]:
    """Block for 0.2 s so often, and return whether each was named with its route and line."""
    told = Told()
    app = RestApplication()
    adapter = ASGIAdapter(app)
    attach(app, Watchdog(on_stall=told.append))
    named: list[bool] = []

    @app.get("/blocking")
    async def blocking() -> int:
        time.sleep(0.2)  # noqa: ASYNC251 # blocks for 0.2 s
        return len(told)

    wanted = ("/blocking", __file__, line_with("blocks for 0.2 s"))

    async def main() -> None:
        client = TestClient(adapter)
        await app.startup()
        for _ in range(count):
            await asyncio.sleep(0.1)  # the end of the stall before is told as well
            told.clear()
            seen = (await client.request_async("GET", "/blocking")).json()
            place = [(stall.route, stall.file, stall.line) for stall in told[:1]]
            named.append(seen == 1 and place == [wanted])
        await app.shutdown()

    run(new_loop, main())
    return named


def stalls_are_named_in_99_of_100() -> None:
    named = [named_stalls(new_loop, STALLS) for new_loop in LOOPS]

    missed = [each.count(False) for each in named]
    print(f"{STALLS} stalls on each loop; missed by asyncio, uvloop: {missed}", file=sys.stderr)
    assert max(missed) <= STALLS // 100


class Idle:
    """A server on a loop whose application nobody asks anything, and what a watchdog made of it."""

    def __init__(self, new_loop: NewLoop) -> None:
        self.told = Told()
        self.lags: list[float] = []
        app = perfkit.instrument(RestApplication(), record=RECORDS.keys() - {"loop"})
        attach(app, Watchdog(on_stall=self.told.append, on_lag=self.lags.append))
        config = uvicorn.Config(
            ASGIAdapter(app), port=0, log_level="error", lifespan="on", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: run(new_loop, self._server.serve()))
        self._thread.start()

    def stop(self) -> None:
        """Stop the server, and wait until it has."""
        self._server.should_exit = True
        self._thread.join()

    def __str__(self) -> str:
        latest = max(self.lags, default=0.0) * 1000
        return f"{len(self.told)} told of, {len(self.lags)} beats, the latest {latest:.0f} ms late"


def idle_loops_are_not_blocked() -> None:
    idle = {
        name: Idle(new_loop) for name, new_loop in zip(("asyncio", "uvloop"), LOOPS, strict=True)
    }
    time.sleep(60 * IDLE_MINUTES)
    [each.stop() for each in idle.values()]

    for name, each in idle.items():
        print(f"{IDLE_MINUTES:g} idle minutes, {name}: {each}", file=sys.stderr)
    beats_at_rest = 60 * IDLE_MINUTES / (THRESHOLD_SECONDS / BEATS)
    assert all(len(each.lags) > beats_at_rest / 4 for each in idle.values())
    assert [str(stall) for each in idle.values() for stall in each.told] == []
