"""The seed writes the same rows every time, or says in one line why it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo

from loadtests.cache import PREFIX
from loadtests.settings import POSTGRES_VARIABLE, REDIS_VARIABLE
from perfkit.services import Services

CONTENT = """
SELECT count(*), md5(string_agg(row::text, '' ORDER BY id)) FROM loadtests.{table} AS row
"""


@pytest.fixture
def apart(services: Services) -> Iterator[dict[str, str]]:
    """Variables that name an empty database of each service, away from other tests."""
    name = "seed_test"
    with psycopg.connect(services.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield {
            POSTGRES_VARIABLE: make_conninfo(services.postgres_url, dbname=name),
            REDIS_VARIABLE: f"{services.redis_url.rpartition('/')[0]}/1",
        }
        connection.execute(f"DROP DATABASE {name}")


def content(variables: dict[str, str]) -> dict[str, Any]:
    """Return the number of rows of each table and a digest of them."""
    with psycopg.connect(variables[POSTGRES_VARIABLE]) as connection:
        return {
            table: connection.execute(CONTENT.format(table=table)).fetchone()
            for table in ("users", "posts", "categories", "products")
        }


def test_seeding_again_writes_the_same_rows(run: Any, apart: dict[str, str]) -> None:
    run("-m", "loadtests.seed", **apart)
    first = content(apart)
    with psycopg.connect(apart[POSTGRES_VARIABLE]) as connection:
        connection.execute("UPDATE loadtests.posts SET title = 'changed'")

    again = run("-m", "loadtests.seed", **apart)

    assert again.returncode == 0
    assert content(apart) == first
    assert {table: rows for table, (rows, _) in first.items()} == {
        "users": 10_000,
        "posts": 50_000,
        "categories": 50,
        "products": 2_000,
    }


def test_seeding_forgets_what_the_application_cached(run: Any, apart: dict[str, str]) -> None:
    with redis.Redis.from_url(apart[REDIS_VARIABLE]) as client:
        client.set(f"{PREFIX}user:1", "of former rows")
        client.set("somebody else's", "kept")

        run("-m", "loadtests.seed", "--users=1", "--posts=1", "--products=1", **apart)

        assert client.keys() == [b"somebody else's"]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (POSTGRES_VARIABLE, "", "PERFKIT_POSTGRES_URL is not set: run `make loadtest`"),
        (REDIS_VARIABLE, "", "PERFKIT_REDIS_URL is not set: run `make loadtest`"),
        (POSTGRES_VARIABLE, "postgresql://127.0.0.1:1/none", "PostgreSQL: connection failed"),
        (POSTGRES_VARIABLE, "nonsense", "PostgreSQL: "),
        (REDIS_VARIABLE, "redis://127.0.0.1:1", "Redis: "),
        (REDIS_VARIABLE, "nonsense", "Redis: "),
    ],
)
def test_a_service_out_of_reach_is_one_line_and_exit_status_1(
    run: Any, apart: dict[str, str], variable: str, value: str, said: str
) -> None:
    sizes = ["--users=1", "--posts=1", "--products=1"]

    failed = run("-m", "loadtests.seed", *sizes, **(apart | {variable: value}))

    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(f"seed: {said}")
    assert "Traceback" not in failed.stderr


def test_a_number_of_rows_that_is_none_is_one_line_and_exit_status_1(run: Any) -> None:
    failed = run("-m", "loadtests.seed", "--users=0")

    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert '"0" is no number of rows' in failed.stderr
