"""What injection costs: a bound call against one that builds its list of arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from restmachine import Request, RestApplication
from restmachine.binding import bind, bind_prepared
from restmachine.exchange import DirectExchange
from restmachine.recipes import Parameter

app = RestApplication(blocking=False)


@app.get("/bare")
def bare() -> str:
    return ""


PLAN, _ = app.dispatch("GET", "/bare")
EXCHANGE = DirectExchange(PLAN, Request("GET", "/bare"), [])


def add(first: int, second: int) -> int:
    return first + second


def add_many(first: int, second: int, third: int, fourth: int) -> int:
    return first + second + third + fourth


def arguments(number: int) -> list[tuple[Parameter, Callable[[Any], int]]]:
    return [(Parameter(f"p{index}", int, False, False), lambda x: 1) for index in range(number)]


def bench_bound_call(benchmark: Callable[..., Any]) -> None:
    assert benchmark(bind(add, arguments(2)), EXCHANGE) == 2


def bench_listed_call(benchmark: Callable[..., Any]) -> None:
    assert benchmark(bind(add_many, arguments(4)), EXCHANGE) == 4


def bench_prepared_call(benchmark: Callable[..., Any]) -> None:
    assert benchmark(bind_prepared(add, [0, 1]), [1, 1]) == 2
