"""What the page promises of its complete example: pools, a cache, and compression around it."""

from collections.abc import Callable

import pytest
from redis import Redis
from servings import Served

Connections = Callable[[], list[tuple[int, str]]]
ADA = {"id": 7, "name": "Ada", "email": "7@example.org"}

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


@pytest.mark.block("Complete Example")
def test_second_read_comes_from_the_cache(served: Served, cache: Redis) -> None:
    first = served.ask("GET /users/7")
    second = served.ask("GET /users/7")

    assert first.status == second.status == 200
    assert first.headers["X-Cache"] == "MISS"
    assert second.headers["X-Cache"] == "HIT"
    assert first.json() == second.json() == ADA
    assert 0 < cache.ttl("user:7") <= 300


@pytest.mark.block("Complete Example")
def test_many_readers_share_the_pool(served: Served, connections: Connections) -> None:
    answers = [served.ask(f"GET /users/{number}") for number in range(1, 51)]

    assert {answer.status for answer in answers} == {200}
    assert len(connections()) == 5


@pytest.mark.block("Complete Example")
def test_overlapping_readers_each_get_the_user_they_asked_for(served: Served) -> None:
    answers = served.ask_together([f"GET /users/{number}" for number in range(1, 101)])

    assert [answer.json()["id"] for answer in answers] == list(range(1, 101))


@pytest.mark.block("Complete Example")
def test_failing_reads_do_not_use_up_the_pool(served: Served, postgres) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("ALTER TABLE users RENAME TO hidden")
    failed = {served.ask("GET /users/7").status for _ in range(25)}  # the pool holds 20
    with postgres.cursor() as cursor:
        cursor.execute("ALTER TABLE hidden RENAME TO users")

    assert failed == {500}
    assert served.ask("GET /users/7").json() == ADA


@pytest.mark.block("Complete Example", servings=("in-process", "uvicorn"))
def test_short_answer_is_not_compressed(served: Served) -> None:
    answer = served.ask("GET /users/7", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in answer.headers
    assert answer.json() == ADA


@pytest.mark.block("Complete Example", servings=("in-process", "uvicorn"))
def test_long_answer_is_compressed(served: Served, postgres) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("UPDATE users SET name = repeat('Ada ', 500) WHERE id = 7")

    answer = served.ask("GET /users/7", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.content) < 500
