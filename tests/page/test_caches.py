"""What the page promises of caches in memory and in Redis."""

import json

import pytest
from redis import Redis
from servings import Served

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


@pytest.mark.block("In-Memory Caching")
def test_data_is_fetched_once_for_all_requests(served: Served) -> None:
    answers = [served.ask("GET /api/cached").json() for _ in range(3)]

    assert answers == [{"numbers": [1, 2, 3]}] * 3
    assert served.notes == ["fetched"]


@pytest.mark.block("In-Memory Caching")
def test_data_is_fetched_again_after_five_minutes(served: Served) -> None:
    served.ask("GET /api/cached")
    served.ask("POST /age/4")
    served.ask("GET /api/cached")
    before = served.notes
    served.ask("POST /age/2")
    served.ask("GET /api/cached")

    assert before == ["fetched"]
    assert served.notes == ["fetched", "fetched"]


@pytest.mark.block("In-Memory Caching")
def test_function_is_computed_once_for_each_argument(served: Served) -> None:
    answers = [served.ask(f"GET /computed/{word}").json() for word in ("a", "b", "a")]

    assert [answer["result"] for answer in answers] == ["A", "B", "A"]
    assert [answer["hits"] for answer in answers] == [0, 0, 1]


@pytest.mark.block("Redis Caching")
def test_second_read_does_not_ask_the_database(served: Served, cache: Redis) -> None:
    first = served.ask("GET /users/7")
    second = served.ask("GET /users/7")

    assert first.json() == second.json() == {"id": 7, "name": "Ada"}
    assert served.notes == ["get_user 7"]
    assert json.loads(cache.get("user:7") or "") == first.json()
    assert 0 < cache.ttl("user:7") <= 300


@pytest.mark.block("Redis Caching")
def test_read_after_the_cache_forgot_asks_the_database_again(served: Served) -> None:
    served.ask("GET /users/7")
    forgotten = served.ask("DELETE /users/7")
    served.ask("GET /users/7")

    assert forgotten.status == 204
    assert served.notes == ["get_user 7", "get_user 7"]


@pytest.mark.block("Redis Caching")
def test_redis_is_connected_to_once(served: Served, cache: Redis) -> None:
    before = cache.info("clients")["connected_clients"]
    first = served.ask("GET /users/7")
    served.ask("GET /users/7")
    served.ask("GET /users/8")

    assert first.status == 200
    assert cache.info("clients")["connected_clients"] == before + 1
