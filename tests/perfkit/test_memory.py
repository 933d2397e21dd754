"""What a sampled request is told to have taken, while many others run beside it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from perfkit import timing
from perfkit.errors import PerfkitError
from perfkit.memory import MemoryReading, MemorySampler, RequestMemory, attach
from restmachine import ASGIAdapter, Observer, Request, RestApplication
from restmachine.testing import TestClient

MIB = 2**20
OTHERS = 49
PATIENCE = 60.0

KEPT: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    KEPT.clear()


def noisy(app: RestApplication) -> None:
    """Add two routes that allocate and free all the time, one on the loop, one on threads."""

    @app.get("/noise/loop")
    async def on_the_loop() -> int:
        held = [bytearray(50_000) for _ in range(4)]
        await asyncio.sleep(0.002)
        return len(held)

    @app.get("/noise/thread")
    def on_a_thread() -> int:
        held = [bytearray(50_000) for _ in range(4)]
        time.sleep(0.002)
        return len(held)


def application(sampler: MemorySampler) -> RestApplication:
    app = RestApplication()
    attach(app, sampler)
    noisy(app)

    @app.get("/async/{mib}")
    async def in_pieces(mib: int) -> int:
        await asyncio.sleep(0.01)
        held = []
        for _ in range(10):
            held.append(bytes(mib * MIB // 10))
            await asyncio.sleep(0.001)
        return len(held)

    @app.get("/sync/{mib}")
    def in_one_go(mib: int) -> int:
        held = [bytes(mib * MIB // 10) for _ in range(10)]
        time.sleep(0.01)
        return len(held)

    @app.get("/brief/{mib}")
    async def for_a_moment(mib: int) -> int:
        await asyncio.sleep(0.01)
        size = len(bytes(mib * MIB))
        await asyncio.sleep(0.01)
        return size

    @app.get("/kept/{mib}")
    async def for_ever(mib: int) -> int:
        await asyncio.sleep(0.01)
        KEPT.append(bytes(mib * MIB))
        await asyncio.sleep(0.01)
        return 0

    @app.get("/body/{mib}")
    async def body(mib: int) -> bytes:
        return b"x" * (mib * MIB)

    @app.get("/stream/{mib}")
    async def stream(mib: int) -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * (mib * MIB)

    @app.get("/thread-stream/{mib}")
    def thread_stream(mib: int) -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * (mib * MIB)

    @app.get("/reading/{mib}")
    async def reading(mib: int, memory_monitor: MemoryReading) -> list[Any]:
        held = bytes(mib * MIB)
        return [memory_monitor.sampled, memory_monitor.allocated_bytes, len(held)]

    @app.get("/broken")
    async def broken() -> None:
        raise KeyError("broken on purpose")

    return app


async def among_others(client: TestClient, path: str) -> None:
    """Send one request while 49 others are under way at any moment."""
    done = asyncio.Event()

    async def noise(number: int) -> None:
        where = "thread" if number % 2 else "loop"
        while not done.is_set():
            await client.request_async("GET", f"/noise/{where}")

    async with asyncio.TaskGroup() as group:
        for number in range(OTHERS):
            group.create_task(noise(number))
        await asyncio.sleep(0.1)
        await client.request_async("GET", path)
        await asyncio.sleep(0.01)
        done.set()


def always(taken: list[RequestMemory], *routes: str) -> MemorySampler:
    return MemorySampler(0, routes=routes, share=1, longest=PATIENCE, on_sample=taken.append)


def sampled(path: str) -> RequestMemory:
    """Return what one request took, alone on its loop, from a client that keeps no content."""
    taken: list[RequestMemory] = []
    _, kind, *_ = path.split("/")
    adapter = ASGIAdapter(application(always(taken, f"/{kind}/{{mib}}", f"/{kind}")))
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [], "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> Any:
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        await adapter(scope, receive, send)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    (one,) = taken
    return one


@pytest.mark.parametrize("mib", [1, 10, 100])
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_what_one_of_fifty_allocates_is_attributed_to_it(kind: str, mib: int) -> None:
    taken: list[RequestMemory] = []

    with TestClient(application(always(taken, f"/{kind}/{{mib}}"))) as client:
        client.run(among_others(client, f"/{kind}/{mib}"))

    (one,) = taken
    assert one.route == f"/{kind}/{{mib}}"
    assert one.allocated_bytes == pytest.approx(mib * MIB, rel=0.05)
    assert one.peak_bytes == pytest.approx(mib * MIB, rel=0.05)
    assert one.kept_bytes < 0.05 * MIB


def test_what_one_of_fifty_keeps_is_attributed_to_it() -> None:
    taken: list[RequestMemory] = []

    with TestClient(application(always(taken, "/kept/{mib}"))) as client:
        client.run(among_others(client, "/kept/10"))

    (one,) = taken
    assert one.kept_bytes == pytest.approx(10 * MIB, rel=0.01)
    assert one.lines[0].size == pytest.approx(10 * MIB, rel=0.01)
    assert one.lines[0].file == __file__
    line = Path(__file__).read_text().splitlines()[one.lines[0].line - 1]
    assert line.strip() == "KEPT.append(bytes(mib * MIB))"


def test_others_that_are_followed_too_keep_what_is_theirs() -> None:
    taken: list[RequestMemory] = []
    app = application(always(taken, "/kept/{mib}"))
    timing.attach(app, cpu=True)

    @app.get("/others")
    async def others() -> None:
        await asyncio.sleep(0.005)
        KEPT.append(bytes(5 * MIB))

    async def together(client: TestClient) -> None:
        sampled = client.request_async("GET", "/kept/1")
        await asyncio.gather(sampled, client.request_async("GET", "/others"))
        await asyncio.sleep(0.01)

    with TestClient(app) as client:
        client.run(together(client))

    (one,) = taken
    assert one.kept_bytes == pytest.approx(MIB, rel=0.02)


def test_what_is_freed_at_once_counts_as_allocated_and_peak_but_not_as_kept() -> None:
    one = sampled("/brief/4")

    assert one.allocated_bytes == pytest.approx(4 * MIB, rel=0.05)
    assert one.peak_bytes == pytest.approx(4 * MIB, rel=0.05)
    assert one.kept_bytes < 0.05 * MIB


def test_the_content_of_a_response_is_not_kept() -> None:
    one = sampled("/body/4")

    assert one.peak_bytes == pytest.approx(4 * MIB, rel=0.05)
    assert one.kept_bytes < 0.05 * MIB


@pytest.mark.parametrize("kind", ["stream", "thread-stream"])
def test_a_streams_pieces_are_never_there_together(kind: str) -> None:
    one = sampled(f"/{kind}/2")

    assert 2 * MIB < one.peak_bytes < 5 * MIB
    assert one.kept_bytes < 0.05 * MIB


def test_a_handler_reads_what_its_own_request_took_so_far() -> None:
    taken: list[RequestMemory] = []
    with TestClient(application(always(taken, "/reading/{mib}"))) as client:
        was_sampled, allocated, _ = client.get("/reading/3").json()

    assert was_sampled
    assert allocated == pytest.approx(3 * MIB, rel=0.05)


def test_a_reading_outside_of_a_sample_is_zero() -> None:
    with TestClient(application(always([]))) as client:
        answer = client.get("/reading/3").json()

    assert answer[:2] == [False, 0]


def test_a_request_that_fails_is_reported_with_its_status() -> None:
    one = sampled("/broken")

    assert (one.route, one.status, one.complete) == ("/broken", 500, True)


def test_one_request_in_so_many_is_sampled() -> None:
    taken: list[RequestMemory] = []
    sampler = MemorySampler(3, share=1, on_sample=taken.append)

    with TestClient(application(sampler)) as client:
        statuses = [client.get(f"/brief/{number}").status for number in range(1, 8)]
        client.run(asyncio.sleep(0.01))

    assert statuses == [200] * 7
    assert [round(one.allocated_bytes / MIB) for one in taken] == [3, 6]


class Passing(Observer):
    """Counts the requests that nobody wants more of than that they came and went."""

    passings = 0

    def enters(self, now: float) -> bool:
        return True

    def passed(self, marks: list[float], sent_bytes: int) -> None:
        self.passings += 1


def test_a_request_that_is_not_sampled_goes_the_direct_way() -> None:
    taken: list[RequestMemory] = []
    passing = Passing()
    app = RestApplication()
    attach(app, MemorySampler(3, share=1, on_sample=taken.append))
    app.observe(passing)

    @app.get("/")
    async def hold() -> dict[str, int]:
        return {"size": len(bytes(MIB))}

    with TestClient(app) as client:
        statuses = [client.get("/").status for _ in range(7)]
        client.run(asyncio.sleep(0.01))

    assert statuses == [200] * 7
    assert [round(one.allocated_bytes / MIB) for one in taken] == [1, 1]
    assert passing.passings == 5


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_every_request_of_a_window_of_time_is_sampled() -> None:
    taken: list[RequestMemory] = []
    clock = Clock()
    sampler = MemorySampler(0, share=1, on_sample=taken.append, clock=clock)

    with TestClient(application(sampler)) as client:
        client.get("/brief/1")
        sampler.window(10.0)
        clock.now += 9.0
        client.get("/brief/2")
        client.run(asyncio.sleep(0.01))
        clock.now += 1.0
        client.get("/brief/3")
        client.run(asyncio.sleep(0.01))

    assert [round(one.allocated_bytes / MIB) for one in taken] == [2]


class CpuClock(Clock):
    """A clock that goes on by a second at each look."""

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_samples_are_passed_over_that_would_take_too_much_of_the_processor() -> None:
    taken: list[RequestMemory] = []
    sampler = MemorySampler(1, share=0.25, on_sample=taken.append, cpu_clock=CpuClock())

    with TestClient(application(sampler)) as client:
        [
            (client.get(f"/brief/{number}"), client.run(asyncio.sleep(0.01)))
            for number in range(1, 5)
        ]

    # One second was traced, so three must pass.
    assert [round(one.allocated_bytes / MIB) for one in taken] == [1, 4]
    assert sampler.passed_over == 2


def test_of_two_requests_at_once_one_is_sampled() -> None:
    taken: list[RequestMemory] = []
    sampler = MemorySampler(1, share=1, on_sample=taken.append)

    async def both(client: TestClient) -> None:
        first = client.request_async("GET", "/brief/1")
        await asyncio.gather(first, client.request_async("GET", "/brief/9"))

    with TestClient(application(sampler)) as client:
        client.run(both(client))
        client.run(asyncio.sleep(0.01))

    assert [round(one.allocated_bytes / MIB) for one in taken] == [1]
    assert sampler.passed_over == 1


def test_nothing_is_traced_between_samples() -> None:
    sampled("/brief/1")

    assert not tracemalloc.is_tracing()


def test_a_request_that_lasts_long_is_sampled_no_further() -> None:
    taken: list[RequestMemory] = []
    sampler = MemorySampler(1, share=1, longest=0.2, on_sample=taken.append)
    app = RestApplication()
    attach(app, sampler)

    @app.get("/endless")
    async def endless() -> bool:
        held = bytes(2 * MIB)
        async with asyncio.timeout(PATIENCE):
            while tracemalloc.is_tracing():  # noqa: ASYNC110 - the sampler's timer ends it
                await asyncio.sleep(0.01)
        return len(held) == 2 * MIB

    with TestClient(app) as client:
        answer = client.get("/endless")

    assert answer.json() is True
    assert [(one.complete, one.status) for one in taken] == [(False, 0)]
    assert taken[0].peak_bytes == pytest.approx(2 * MIB, rel=0.05)


def test_while_others_trace_nothing_is_sampled_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken: list[RequestMemory] = []
    tracemalloc.start()

    try:
        with TestClient(application(MemorySampler(1, on_sample=taken.append))) as client:
            statuses = [client.get("/brief/1").status for _ in range(2)]
    finally:
        tracemalloc.stop()

    assert statuses == [200, 200]
    assert taken == []
    (said,) = caplog.messages
    assert said.startswith("memory is not sampled while tracemalloc is on: do without")


def test_a_listener_that_fails_is_logged_once_and_the_requests_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(taken: RequestMemory) -> None:
        raise RuntimeError("broken on purpose")

    with TestClient(application(MemorySampler(1, share=1, on_sample=fail))) as client:
        statuses = [client.get("/brief/1").status for _ in range(3)]
        client.run(asyncio.sleep(0.01))

    assert statuses == [200] * 3
    assert len(caplog.records) == 1


def test_execute_answers_as_ever_without_a_sample() -> None:
    taken: list[RequestMemory] = []
    app = application(MemorySampler(1, on_sample=taken.append))

    response = app.execute(Request("GET", "/sync/1"))

    assert response.status_code == 200
    assert taken == []


def test_a_sample_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="perfkit")

    with TestClient(application(MemorySampler(1))) as client:
        client.get("/kept/2")
        client.run(asyncio.sleep(0.01))

    (message,) = caplog.messages
    assert message.startswith("GET /kept/{mib} allocated 2.0")
    assert f"{__file__}:" in message
    assert "\n" not in message


def test_another_profiler_of_a_worker_thread_keeps_its_place() -> None:
    taken: list[RequestMemory] = []
    app = RestApplication()
    attach(app, MemorySampler(1, share=1, on_sample=taken.append))

    def profile(frame: object, event: str, argument: object) -> None:
        return None

    @app.dependency()
    def profiled() -> Iterator[None]:
        sys.setprofile(profile)
        yield
        sys.setprofile(None)

    @app.get("/")
    def handler(profiled: None) -> bool:
        return sys.getprofile() is profile

    with TestClient(app) as client:
        assert client.get("/").json() is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": -1}, "every=-1: give 0 or how many"),
        ({"share": 0}, "share=0: give a part of the time"),
        ({"share": 1.5}, r"share=1.5: give a part of the time"),
        ({"routes": "/items"}, r'routes=\["/items"\]'),
    ],
)
def test_an_option_out_of_its_range_is_told_with_the_right_one(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PerfkitError, match=message):
        MemorySampler(**options)


def test_tracing_goes_on_and_off_beside_threads_that_allocate_without_the_lock() -> None:
    # In a process of its own, for what this guards against is a segmentation fault.
    code = """
import lzma, os, threading, time, zlib
from perfkit.allocations import tracing
packed, small = zlib.compress(os.urandom(200_000) * 3), lzma.compress(os.urandom(100_000))
over = threading.Event()
def unpack():
    while not over.is_set():
        zlib.decompress(packed)
        lzma.decompress(small)
threads = [threading.Thread(target=unpack) for _ in range(4)]
for thread in threads:
    thread.start()
end, cycles = time.monotonic() + 5, 0
while time.monotonic() < end:
    tracing.start()
    held = [bytearray(100) for _ in range(200)]
    time.sleep(0)
    tracing.stop()
    cycles += 1
over.set()
for thread in threads:
    thread.join()
print(cycles > 10)
"""

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip

    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def test_a_sample_leaves_no_cycle_for_the_collector() -> None:
    taken: list[RequestMemory] = []
    with TestClient(application(always(taken, "/brief/{mib}"))) as client:
        client.get("/brief/1")
        client.run(asyncio.sleep(0.01))
        gc.collect()
        client.get("/brief/1")
        client.run(asyncio.sleep(0.01))

    assert taken[1].kept_bytes < 16 * 1024
