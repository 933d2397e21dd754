"""What finding a route costs, whatever the number of routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from restmachine.routing import Table, Template


def table_of(number: int) -> Table[str]:
    """Return a table of routes without and with a parameter."""
    table: Table[str] = Table()
    for index in range(number):
        table.add(Template(f"/static/{index}"), "GET", "static")
        table.add(Template(f"/items{index}/{{item_id}}"), "GET", "item")
    table.close()
    return table


SMALL, MIDDLE, LARGE = table_of(5), table_of(100), table_of(5000)


def bench_static_among_200(benchmark: Callable[..., Any]) -> None:
    assert benchmark(MIDDLE.find, "GET", "/static/99") == ("static", [])


def bench_static_searched_among_200(benchmark: Callable[..., Any]) -> None:
    """The same route by its segments, as a path with a trailing slash is found."""
    assert benchmark(MIDDLE.find, "GET", "/static/99/") == ("static", [])


def bench_parameter_among_10(benchmark: Callable[..., Any]) -> None:
    assert benchmark(SMALL.find, "GET", "/items4/7") == ("item", ["7"])


def bench_parameter_among_10000(benchmark: Callable[..., Any]) -> None:
    assert benchmark(LARGE.find, "GET", "/items4999/7") == ("item", ["7"])


def bench_unknown_path(benchmark: Callable[..., Any]) -> None:
    assert benchmark(MIDDLE.find, "GET", "/nowhere/at/all") is None


def bench_deep_unknown_path(benchmark: Callable[..., Any]) -> None:
    """A path with more segments than any template."""
    assert benchmark(MIDDLE.find, "GET", "/items99/7/more") is None
