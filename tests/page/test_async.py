"""What the page promises of async dependencies and of work in the background."""

from collections.abc import Callable

import pytest
from servings import Served
from stub import Stub

Eventually = Callable[[Callable[[], bool]], bool]
EVE = {"name": "Eve", "email": "eve@example.org"}


@pytest.mark.block("Async Dependencies")
def test_gathered_requests_of_a_dependency_are_under_way_together(
    served: Served, stub: Stub
) -> None:
    # The stub answers either only once it was asked for both.
    answer = served.ask("GET /users/7/profile")

    assert answer.json() == {"user": {"id": "7"}, "posts": [{"by": "7"}]}
    assert sorted(stub.asked) == ["/users/7", "/users/7/posts"]


@pytest.mark.block("Async Dependencies")
def test_client_made_at_startup_works_in_every_request(served: Served, stub: Stub) -> None:
    answers = [served.ask(f"GET /users/{number}/profile") for number in (1, 2, 3)]

    assert [answer.json()["user"]["id"] for answer in answers] == ["1", "2", "3"]
    assert stub.opened == 2


@pytest.mark.block("Async Dependencies")
def test_overlapping_requests_share_no_async_dependency(served: Served) -> None:
    numbers = [str(number) for number in range(1, 41)]

    answers = served.ask_together([f"GET /users/{number}/profile" for number in numbers])

    assert [answer.json()["user"]["id"] for answer in answers] == numbers
    assert [answer.json()["posts"] for answer in answers] == [
        [{"by": number}] for number in numbers
    ]


@pytest.mark.block("Background Tasks")
def test_answer_does_not_wait_for_the_letter(served: Served, eventually: Eventually) -> None:
    served.journal.hold.touch()

    answer = served.ask("POST /users", json=EVE)
    meanwhile = served.notes
    served.journal.hold.unlink()

    assert answer.status == 201
    assert answer.json() == {"id": 1000, **EVE}
    assert meanwhile == []
    assert eventually(lambda: served.notes == ["welcomed eve@example.org"])


@pytest.mark.block("Background Tasks")
def test_user_who_is_not_valid_gets_neither_account_nor_letter(served: Served, postgres) -> None:
    answer = served.ask("POST /users", json={"name": "Eve"})
    served.end()

    assert answer.status == 422
    assert served.notes == []
    with postgres.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM users")
        assert cursor.fetchone() == (120,)
