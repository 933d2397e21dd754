"""What the page promises of dependencies: made once, shared, and torn down."""

from collections.abc import Callable

import pytest
from servings import Served

Connections = Callable[[], list[tuple[int, str]]]
Eventually = Callable[[Callable[[], bool]], bool]


@pytest.mark.block("Understanding Dependency Scope")
def test_dependency_that_two_ask_for_is_computed_once_a_request(served: Served) -> None:
    answer = served.ask("GET /api/data")
    served.ask("GET /api/data")

    assert answer.json() == {"direct": {"result": "value"}, "indirect": {"data": "value"}}
    assert served.notes == ["Computing...", "Computing..."]


@pytest.mark.block("Pagination")
def test_overlapping_requests_share_no_dependency(served: Served) -> None:
    sizes = list(range(1, 41))

    answers = served.ask_together([f"GET /users?per_page={size}" for size in sizes])

    assert [len(answer.json()["users"]) for answer in answers] == sizes
    assert [answer.json()["pagination"]["per_page"] for answer in answers] == sizes


@pytest.mark.block("Session-Scoped Dependencies")
def test_pool_is_made_once_and_closed_at_shutdown(
    served: Served, connections: Connections, eventually: Eventually
) -> None:
    answers = [served.ask("GET /users") for _ in range(3)]
    meanwhile, noted = connections(), served.notes
    served.end()

    assert [len(answer.json()["users"]) for answer in answers] == [120, 120, 120]
    assert (len(meanwhile), noted) == (1, [])
    assert served.notes == ["pool closed"]
    assert eventually(lambda: connections() == [])


@pytest.mark.block("Session-Scoped Dependencies")
def test_connection_goes_back_to_the_pool_when_the_handler_fails(
    served: Served, postgres, connections: Connections
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("ALTER TABLE users RENAME TO hidden")
    failed = [served.ask("GET /users").status for _ in range(25)]  # the pool holds 20
    with postgres.cursor() as cursor:
        cursor.execute("ALTER TABLE hidden RENAME TO users")
    answer = served.ask("GET /users")

    assert set(failed) == {500}
    assert answer.status == 200
    assert len(connections()) == 1
