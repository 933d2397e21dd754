"""What it costs to report a query: the smallest of all, in memory, watched and not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import perf_counter
from typing import Any

from perfkit.record import Record, current
from perfkit.sqlite_driver import Connection
from perfkit.statements import fingerprint

STATEMENT = "SELECT name, price FROM products WHERE id = ? AND kind IN (1, 2, 3)"
UNWATCHED = sqlite3.connect(":memory:")
WATCHED = sqlite3.connect(":memory:", factory=Connection)
RECORD = Record("GET", "/products/{id}", perf_counter())
LONG = "INSERT INTO products VALUES " + ", ".join(f"({n}, 'name {n}', 1.5)" for n in range(150))


def ask_watched() -> Any:
    current.set(RECORD)
    RECORD.operations.clear()
    return WATCHED.execute("SELECT 1")


def bench_unwatched_query(benchmark: Callable[..., Any]) -> None:
    assert benchmark(UNWATCHED.execute, "SELECT 1").fetchone() == (1,)


def bench_watched_query(benchmark: Callable[..., Any]) -> None:
    assert benchmark(ask_watched).fetchone() == (1,)
    assert [each.name for each in RECORD.operations] == ["SELECT ?"]


def bench_known_fingerprint(benchmark: Callable[..., Any]) -> None:
    expected = "SELECT name, price FROM products WHERE id = ? AND kind IN (?)"

    assert benchmark(fingerprint, STATEMENT) == expected


def bench_new_fingerprint(benchmark: Callable[..., Any]) -> None:
    numbers = iter(range(10**9))

    name = benchmark(lambda: fingerprint(f"{STATEMENT} AND 5 = {next(numbers)}"))

    assert name.endswith("AND ? = ?")


def bench_new_long_fingerprint(benchmark: Callable[..., Any]) -> None:
    numbers = iter(range(10**9))

    assert benchmark(lambda: fingerprint(f"/*{next(numbers)}*/{LONG}")).endswith("VALUES (?) …")
