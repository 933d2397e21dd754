"""What the page shows in pairs: a way that it advises, and one that it warns of.

Printed as one block, the second of two handlers replaces the first, so the first way is also
executed alone.
"""

from collections.abc import Callable

import pytest
from servings import Served
from stub import Stub

Connections = Callable[[], list[tuple[int, str]]]


@pytest.mark.block("1. Use Connection Pooling")
def test_pool_is_made_once_and_a_connection_for_each_request(
    served: Served, connections: Connections
) -> None:
    pooled = [served.ask("GET /pooled").json()["backend"] for _ in range(3)]
    fresh = [served.ask("GET /fresh").json()["backend"] for _ in range(3)]

    assert len(set(pooled)) == 1
    assert len({*pooled, *fresh}) == 4
    assert served.notes == ["pool", "connection", "connection", "connection"]


@pytest.mark.block("1. Use Connection Pooling", first_way=True)
def test_pool_alone_serves_every_request(served: Served, connections: Connections) -> None:
    pooled = [served.ask("GET /pooled").json()["backend"] for _ in range(3)]

    assert len(set(pooled)) == 1
    assert len(connections()) == 5
    assert served.notes == ["pool"]


@pytest.mark.block("2. Cache Expensive Operations")
def test_function_without_a_cache_is_computed_each_time(served: Served) -> None:
    answers = [served.ask("GET /computed/a").json() for _ in range(2)]

    assert answers == [{"result": 42, "hits": None}] * 2


@pytest.mark.block("2. Cache Expensive Operations", first_way=True)
def test_function_with_a_cache_is_computed_once(served: Served) -> None:
    answers = [served.ask("GET /computed/a").json() for _ in range(2)]

    assert answers == [{"result": 42, "hits": 0}, {"result": 42, "hits": 1}]


@pytest.mark.block("3. Use Async for I/O")
def test_answer_of_another_server_is_forwarded_by_a_sync_handler(
    served: Served, stub: Stub
) -> None:
    answers = [served.ask("GET /data") for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"from": "api.example.com"}] * 2
    assert answers[0].headers["Content-Type"] == "application/json"
    assert stub.opened == 2
    (warning,) = served.notes
    assert "A second handler for GET /data replaces the first" in warning


@pytest.mark.block("3. Use Async for I/O", first_way=True)
def test_answer_of_another_server_is_forwarded_by_an_async_handler(
    served: Served, stub: Stub
) -> None:
    answers = [served.ask("GET /data") for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"from": "api.example.com"}] * 2
    assert answers[0].headers["Content-Type"] == "application/json"
    assert stub.opened == 1


@pytest.mark.block("4. Implement Pagination")
def test_handler_without_pages_sends_everything(served: Served) -> None:
    users = served.ask("GET /users?page=2").json()

    assert len(users) == 120


@pytest.mark.block("4. Implement Pagination", first_way=True)
def test_handler_with_pages_sends_one(served: Served) -> None:
    users = served.ask("GET /users?page=2").json()

    assert [user[0] for user in users] == list(range(21, 41))
