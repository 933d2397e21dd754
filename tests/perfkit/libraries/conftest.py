"""Real services for all tests here, and requests in whose contexts they ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from time import monotonic, perf_counter, sleep

import psycopg
import pytest

from perfkit.record import Record, current
from perfkit.services import Services, start_services

Serving = Callable[..., AbstractContextManager[Record]]


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """PostgreSQL with a table of three fruits, and an empty Redis: private, whatever is given."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("PERFKIT_POSTGRES_URL", raising=False)
            patch.delenv("PERFKIT_REDIS_URL", raising=False)
            started = stack.enter_context(start_services())
        with psycopg.connect(started.postgres_url) as connection:
            connection.execute("CREATE TABLE fruits (id int, name text UNIQUE)")
            connection.execute("INSERT INTO fruits VALUES (1, 'fig'), (2, 'kiwi'), (3, 'plum')")
        yield started


@pytest.fixture
def postgres_url(services: Services) -> str:
    return services.postgres_url


@pytest.fixture
def redis_url(services: Services) -> str:
    return services.redis_url


@pytest.fixture
def serving() -> Serving:
    """A request that runs as long as the block; it is given as its record."""

    @contextmanager
    def serve(route: str = "/fruits") -> Iterator[Record]:
        record = Record("GET", route, perf_counter())
        token = current.set(record)
        try:
            yield record
        finally:
            current.reset(token)

    return serve


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition that another thread makes true."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = monotonic() + 60
        while not condition():
            assert monotonic() < deadline, "it never came true"
            sleep(0.001)

    return wait
