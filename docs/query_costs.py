"""Measures what watching costs each query, beside the same query unwatched.

``python docs/query_costs.py measure`` asks a private PostgreSQL and Redis, and SQLite in memory,
by two connections of each library, one of them watched. They take turns, A B B A, in one process.
What they take of the processor is counted, not what they wait: servers and other processes disturb
that by more than watching costs. The result is kept under ``reports/published/``. ``write`` puts
its table into ``docs/queries.md``, and ``check`` tells whether that says the same.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median, quantiles
from time import thread_time
from typing import Any

import asyncpg
import psycopg
import psycopg2
import redis
import sqlalchemy

from perfkit import operations
from perfkit.record import Record, current
from perfkit.services import Services, start_services
from perfkit.sqlite_driver import Connection

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "reports" / "published" / "queries.json"
PAGE = ROOT / "docs" / "queries.md"
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
ROUNDS = 2_000
QUERIES = 5

Round = Callable[[], object]


def rounds(services: Services, stack: ExitStack) -> dict[str, tuple[Round, Round]]:
    """Return for each library what asks `QUERIES` times, unwatched and watched."""
    url = services.postgres_url

    def pair(connect: Callable[[], Any], ask: Callable[[Any], object]) -> tuple[Round, Round]:
        plain, watched = (stack.enter_context(closing(connect())) for _ in range(2))
        operations.watch(watched)
        return tuple(repeated(ask, each) for each in (plain, watched))  # type: ignore[return-value]  # two

    engines = [sqlalchemy.create_engine(url.replace("://", "+psycopg://")) for _ in range(2)]
    connections = [stack.enter_context(engine.connect()) for engine in engines]
    operations.watch(engines[1])
    text = sqlalchemy.text("SELECT 1")
    sqlite = [
        stack.enter_context(closing(sqlite3.connect(":memory:", factory=factory)))
        for factory in (sqlite3.Connection, Connection)
    ]
    return {
        "sqlite3": pairs(sqlite, lambda each: each.execute("SELECT 1").fetchall()),
        "psycopg": pair(
            lambda: psycopg.connect(url, autocommit=True),
            lambda each: each.execute("SELECT 1").fetchall(),
        ),
        "psycopg2": pair(lambda: psycopg2.connect(url), ask_psycopg2),
        "SQLAlchemy": pairs(connections, lambda each: each.execute(text).all()),
        "redis-py": pair(
            lambda: redis.Redis.from_url(services.redis_url), lambda each: each.get("key")
        ),
        "asyncpg": asyncpg_rounds(url, stack),
    }


def pairs(targets: list[Any], ask: Callable[[Any], object]) -> tuple[Round, Round]:
    """Return what asks each of two targets."""
    return repeated(ask, targets[0]), repeated(ask, targets[1])


def repeated(ask: Callable[[Any], object], target: Any) -> Round:
    """Return what asks one target `QUERIES` times."""

    def run() -> None:
        for _ in range(QUERIES):
            ask(target)

    return run


def ask_psycopg2(connection: Any) -> object:
    """Ask with a cursor of its own, as an application does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchall()


def asyncpg_rounds(url: str, stack: ExitStack) -> tuple[Round, Round]:
    """Return the rounds of asyncpg, on an event loop that both share."""
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    plain, watched = (loop.run_until_complete(asyncpg.connect(url)) for _ in range(2))
    operations.watch(watched)

    async def ask(connection: Any) -> None:
        for _ in range(QUERIES):
            await connection.fetch("SELECT 1")

    for connection in (plain, watched):
        stack.callback(lambda each=connection: loop.run_until_complete(each.close()))
    return (
        lambda: loop.run_until_complete(ask(plain)),
        lambda: loop.run_until_complete(ask(watched)),
    )


def measure() -> None:
    """Time all libraries, and keep what watching adds to a query."""
    with start_services() as services, ExitStack() as stack:
        libraries = {name: costs(*both) for name, both in rounds(services, stack).items()}
    result = {
        "command": "python docs/query_costs.py measure",
        "python": platform.python_version(),
        "rounds": ROUNDS,
        "queries_in_a_round": QUERIES,
        "libraries": libraries,
    }
    REPORT.write_text(json.dumps(result, indent=2) + "\n")


def costs(plain: Round, watched: Round) -> dict[str, float]:
    """Return the CPU seconds of a query unwatched, and what watching adds: quartiles of pairs."""
    taken: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        first, second = (plain, watched) if number % 4 in (0, 3) else (watched, plain)
        times = timed(first), timed(second)
        taken.append(times if first is plain else times[::-1])  # type: ignore[arg-type]  # two
    added = quantiles([(on - off) / QUERIES for off, on in taken], n=4)
    return {
        "unwatched_s": median(off for off, _ in taken) / QUERIES,
        "added_s": added[1],
        "added_lower_quartile_s": added[0],
        "added_upper_quartile_s": added[2],
    }


def timed(run: Round) -> float:
    """Return the seconds of processor time of one round, which is a request of its own."""
    current.set(Record("GET", "/", 0.0))
    started = thread_time()
    run()
    return thread_time() - started


def table() -> str:
    """Return the table of the page, from the report that is kept."""
    report = json.loads(REPORT.read_text())
    lines = [
        "| library | CPU of a query, µs | watching adds, µs | quartiles |",
        "|---|---|---|---|",
    ]
    for name, cost in report["libraries"].items():
        unwatched, added, lower, upper = (f"{value * 1e6:.1f}" for value in cost.values())
        lines.append(f"| {name} | {unwatched} | {added} | {lower} to {upper} |")
    told = f"`{report['command']}`, Python {report['python']}, {report['rounds']} pairs of rounds"
    return "\n".join([BEGIN, *lines, "", f"Measured by {told}.", END])


def written() -> str:
    """Return the page with the table of the report."""
    text = PAGE.read_text()
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    return text[:begin] + table() + text[end:]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure"]:
            measure()
        case ["write"]:
            PAGE.write_text(written())
        case ["check"]:
            sys.exit(PAGE.read_text() != written())
        case _:
            sys.exit("usage: python docs/query_costs.py measure|write|check")
