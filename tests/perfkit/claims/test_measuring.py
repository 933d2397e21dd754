"""One round is measured as its metric says, for plain and for async variants."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from perfkit.claims import CALLS, CPU, LATENCY, LOOP_STALL, PEAK_MEMORY, THROUGHPUT, Metric
from perfkit.claims.experiment import OTHERS_WAIT, ExperimentError
from perfkit.claims.measuring import Fixture, Opened


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def opened(operation: Any, metric: Metric, runner: asyncio.Runner) -> Opened:
    return Opened(Fixture(lambda: operation, {}, runner), metric, runner)


def test_a_latency_is_seconds_of_one_call(runner: asyncio.Runner) -> None:
    value, _ = opened(lambda: time.sleep(0.005), LATENCY, runner).round(2)

    assert 0.005 <= value < 0.05


def test_an_async_latency_is_seconds_of_one_call(runner: asyncio.Runner) -> None:
    value, _ = opened(lambda: asyncio.sleep(0.005), LATENCY, runner).round(2)

    assert 0.004 <= value < 0.05


def test_processor_time_leaves_waiting_out(runner: asyncio.Runner) -> None:
    value, _ = opened(lambda: time.sleep(0.01), CPU, runner).round(1)

    assert value < 0.005


def test_a_rate_is_what_was_done_per_second(runner: asyncio.Runner) -> None:
    def ten() -> int:
        time.sleep(0.01)
        return 10

    value, _ = opened(ten, THROUGHPUT, runner).round(1)

    assert 100 < value <= 1000


def test_a_count_is_what_the_operation_returns(runner: asyncio.Runner) -> None:
    async def counted() -> int:
        return 21

    assert opened(counted, CALLS, runner).round(1)[0] == 21.0


def test_a_told_time_is_what_the_operation_returns(runner: asyncio.Runner) -> None:
    assert opened(lambda: 0.25, OTHERS_WAIT, runner).round(1)[0] == 0.25


def test_peak_memory_is_what_was_allocated_at_once(runner: asyncio.Runner) -> None:
    value, _ = opened(lambda: len(bytes(1_000_000)), PEAK_MEMORY, runner).round(1)

    assert 1_000_000 <= value < 1_100_000


def test_a_stall_is_how_long_others_had_to_wait(runner: asyncio.Runner) -> None:
    async def blocking() -> None:
        time.sleep(0.03)  # noqa: ASYNC251 (what is to be noticed)

    value, _ = opened(blocking, LOOP_STALL, runner).round(1)

    assert value >= 0.029


def test_short_calls_are_repeated_for_a_round(runner: asyncio.Runner) -> None:
    assert opened(lambda: None, LATENCY, runner).calls() > 1000
    assert opened(lambda: time.sleep(0.002), LATENCY, runner).calls() == 1


def test_counts_are_taken_once(runner: asyncio.Runner) -> None:
    assert opened(lambda: 1, CALLS, runner).calls() == 1


@pytest.mark.parametrize(
    ("operation", "metric", "says"),
    [
        ("text", LATENCY, "return or yield a function"),
        (lambda: None, CALLS, "return what it counts, not None"),
        (lambda: None, LOOP_STALL, "only an async operation"),
    ],
)
def test_an_operation_that_does_not_fit_is_told(
    runner: asyncio.Runner, operation: Any, metric: Metric, says: str
) -> None:
    with pytest.raises(ExperimentError, match=says):
        opened(operation, metric, runner)


def plain(events: list[str]) -> Callable[[], None]:
    events.append("set up")
    return lambda: None


def generator(events: list[str]) -> Iterator[Callable[[], None]]:
    events.append("set up")
    yield lambda: None
    events.append("cleared up")


async def coroutine(events: list[str]) -> Callable[[], None]:
    events.append("set up")
    return lambda: None


async def async_generator(events: list[str]) -> AsyncIterator[Callable[[], None]]:
    events.append("set up")
    yield lambda: None
    events.append("cleared up")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, ["set up"]),
        (generator, ["set up", "cleared up"]),
        (coroutine, ["set up"]),
        (async_generator, ["set up", "cleared up"]),
    ],
)
def test_a_variant_may_be_written_in_any_of_four_ways(
    runner: asyncio.Runner, function: Callable[..., Any], expected: list[str]
) -> None:
    events: list[str] = []

    fixture = Fixture(function, {"events": events, "unused": 1}, runner)
    fixture.close()

    assert callable(fixture.value)
    assert events == expected
