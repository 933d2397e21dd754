"""A leak is told from a cache that fills."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import pytest

from perfkit.errors import PerfkitError
from perfkit.leaks import CONFIDENCE, is_leak, leak_check
from perfkit.stats import signed_rank_interval
from restmachine import Request, RestApplication

REQUESTS = 600


@pytest.fixture
def app() -> RestApplication:
    application = RestApplication()
    kept: list[Any] = []
    cached: dict[int, bytes] = {}
    numbers = itertools.count()

    @application.get("/clean")
    async def clean() -> dict[str, list[int]]:
        return {"numbers": list(range(100))}

    @application.get("/leak")
    def leak() -> int:
        kept.append(bytes(200))
        return 1

    @application.get("/cycle")
    def cycle() -> int:
        held: list[Any] = [bytes(200)]
        held.append(held)
        return 1

    @application.get("/cache")
    def cache() -> int:
        number = next(numbers)
        if number < 350:
            cached[number] = bytes(1000)
        return 1

    @application.get("/items/{item_id}")
    def item(item_id: str) -> str:
        kept.append(item_id)
        return item_id

    @application.get("/broken")
    def broken() -> None:
        raise RuntimeError("broken on purpose")

    return application


def test_a_route_that_keeps_nothing_has_no_leak(app: RestApplication) -> None:
    report = leak_check(app, Request("GET", "/clean"), REQUESTS)

    assert not report.leaks
    assert abs(report.bytes_per_request.estimate) < 10
    assert report.status == 200
    assert str(report).startswith("no leak: ")


def test_what_a_route_keeps_of_each_request_is_told_with_its_line(app: RestApplication) -> None:
    report = leak_check(app, Request("GET", "/leak"), REQUESTS)

    assert report.leaks
    assert report.bytes_per_request.estimate == pytest.approx(233, abs=20)
    assert report.blocks_per_request == pytest.approx(1, abs=0.2)
    assert report.lines[0].file == __file__
    assert report.lines[0].blocks == pytest.approx(report.requests, rel=0.05)
    assert f"{__file__}:{report.lines[0].line}" in str(report)


def test_cycles_that_the_collector_frees_are_no_leak(app: RestApplication) -> None:
    assert not leak_check(app, Request("GET", "/cycle"), REQUESTS).leaks


def test_a_cache_that_fills_during_the_check_is_no_leak(app: RestApplication) -> None:
    report = leak_check(app, Request("GET", "/cache"), REQUESTS)

    assert max(report.rounds) > 500
    assert not report.leaks


def test_requests_may_differ(app: RestApplication) -> None:
    numbers = itertools.count(1000)

    report = leak_check(app, lambda: Request("GET", f"/items/{next(numbers)}"), REQUESTS)

    assert report.leaks


@pytest.mark.parametrize(
    ("rounds", "leaks"),
    [
        ([100.0] * 12, True),
        ([80.0, 120.0] * 6, True),
        ([0.0, 1.0, -1.0] * 4, False),
        ([100.0] * 10 + [0.0, 0.0], False),
        ([1000.0] + [0.0] * 11, False),
        ([float(1000 // 2**round) for round in range(12)], False),
        ([100.0, -100.0] * 6, False),
    ],
    ids=["steady", "uneven", "noise", "filled", "warm", "slower and slower", "up and down"],
)
def test_only_growth_that_goes_on_is_a_leak(rounds: list[float], leaks: bool) -> None:
    interval = signed_rank_interval(rounds, CONFIDENCE)

    assert is_leak(tuple(rounds), interval) is leaks


def test_too_few_requests_are_refused(app: RestApplication) -> None:
    with pytest.raises(PerfkitError, match="n=11 requests are too few: give 12 at least"):
        leak_check(app, Request("GET", "/clean"), 11)


def test_a_request_that_fails_is_refused(app: RestApplication) -> None:
    with pytest.raises(PerfkitError, match="answered with 500: mend that first"):
        leak_check(app, Request("GET", "/broken"), REQUESTS)

    assert not tracemalloc.is_tracing()


def test_a_check_is_refused_while_others_trace(app: RestApplication) -> None:
    tracemalloc.start()

    try:
        with pytest.raises(PerfkitError, match="while tracemalloc is on"):
            leak_check(app, Request("GET", "/clean"), REQUESTS)
    finally:
        tracemalloc.stop()
