"""What the page promises of pools of connections to databases and other servers."""

from collections.abc import Callable

import pytest
from servings import Served
from stub import Stub

Connections = Callable[[], list[tuple[int, str]]]
Eventually = Callable[[Callable[[], bool]], bool]


@pytest.mark.block("Database Connection Pool")
def test_pool_opens_its_minimum_once_as_the_stated_role(
    served: Served, connections: Connections
) -> None:
    answer = served.ask("GET /users")
    first = connections()
    served.ask("GET /users")

    assert len(answer.json()["users"]) == 100
    assert [role for _, role in first] == ["user"] * 5
    assert sorted(connections()) == sorted(first)


@pytest.mark.block("Database Connection Pool")
def test_change_is_committed_after_success_and_undone_after_a_failure(
    served: Served, postgres
) -> None:
    failed = served.ask("GET /rename/nobody")
    succeeded = served.ask("GET /rename/Grace")
    failed_again = served.ask("GET /rename/nobody")

    assert (failed.status, succeeded.status, failed_again.status) == (500, 200, 500)
    assert b"a failure after the change" not in failed.content
    with postgres.cursor() as cursor:
        cursor.execute("SELECT name FROM users WHERE id = 7")
        assert cursor.fetchone() == ("Grace",)


@pytest.mark.block("Database Connection Pool")
def test_failing_requests_do_not_use_up_the_pool(served: Served) -> None:
    failed = {served.ask("GET /rename/nobody").status for _ in range(25)}  # the pool holds 20

    assert failed == {500}
    assert served.ask("GET /users").status == 200


@pytest.mark.block("HTTP Client Pooling")
def test_requests_share_one_connection_to_the_other_server(served: Served, stub: Stub) -> None:
    answers = [served.ask("GET /api/external") for _ in range(3)]

    assert [answer.json() for answer in answers] == [{"from": "api.example.com"}] * 3
    assert stub.asked == ["/data"] * 3
    assert stub.opened == 1


@pytest.mark.block("HTTP Client Pooling")
def test_overlapping_requests_share_the_client(served: Served, stub: Stub) -> None:
    answers = served.ask_together(["GET /api/external"] * 40)

    assert [answer.json() for answer in answers] == [{"from": "api.example.com"}] * 40
    assert len(stub.asked) == 40


@pytest.mark.block("HTTP Client Pooling")
def test_client_is_closed_at_shutdown(served: Served, stub: Stub, eventually: Eventually) -> None:
    served.ask("GET /api/external")
    meanwhile, noted = stub.open, served.notes

    served.end()

    assert (meanwhile, noted) == (1, [])
    assert served.notes == ["client closed"]
    assert eventually(lambda: stub.open == 0)
