"""What the page promises of queries: limits, joins, pages and chosen fields."""

import pytest
from servings import Served


@pytest.mark.block("Efficient Database Queries")
def test_newest_users_come_first_and_twenty_at_a_time(served: Served) -> None:
    answer = served.ask("GET /users").json()

    assert [user[0] for user in answer["users"]] == list(range(120, 100, -1))
    assert answer["users"][0] == [
        120, "user 120", "120@example.org", "2024-01-06T00:00:00+00:00",
    ]  # fmt: skip
    assert (answer["limit"], answer["offset"]) == (20, 0)


@pytest.mark.block("Efficient Database Queries")
def test_limit_and_offset_choose_users_up_to_a_hundred(served: Served) -> None:
    few = served.ask("GET /users?limit=2&offset=5").json()
    many = served.ask("GET /users?limit=5000").json()

    assert [user[0] for user in few["users"]] == [115, 114]
    assert (len(many["users"]), many["limit"]) == (100, 100)


@pytest.mark.block("Efficient Database Queries")
def test_limit_that_is_no_number_is_the_clients_mistake(served: Served) -> None:
    answer = served.ask("GET /users?limit=all")

    assert answer.status == 400
    assert b"invalid literal" not in answer.content


@pytest.mark.block("N+1 Query Prevention")
def test_posts_come_with_their_authors_in_one_query(served: Served) -> None:
    posts = served.ask("GET /posts").json()["posts"]

    assert [post["id"] for post in posts] == list(range(25, 5, -1))
    assert posts[-2] == {
        "id": 7,
        "title": "title 7",
        "content": "content 7",
        "author": {"id": 7, "name": "Ada"},
    }
    assert served.notes == ["execute"]


@pytest.mark.block("Pagination")
def test_page_comes_with_its_place_among_all(served: Served) -> None:
    first = served.ask("GET /users").json()
    third = served.ask("GET /users?page=3&per_page=50").json()

    assert first["pagination"] == {"page": 1, "per_page": 20, "total": 120, "pages": 6}
    assert len(first["users"]) == 20
    assert third["pagination"] == {"page": 3, "per_page": 50, "total": 120, "pages": 3}
    assert len(third["users"]) == 20


@pytest.mark.block("Pagination")
def test_page_has_bounds(served: Served) -> None:
    answer = served.ask("GET /users?page=-4&per_page=5000").json()

    assert answer["pagination"] == {"page": 1, "per_page": 100, "total": 120, "pages": 2}
    assert len(answer["users"]) == 100


@pytest.mark.block("Field Selection")
def test_only_fields_that_are_asked_for_and_allowed_are_sent(served: Served) -> None:
    chosen = served.ask("GET /users/7?fields=name,password,email").json()
    whole = served.ask("GET /users/7").json()

    assert chosen == {"name": "Ada", "email": "7@example.org"}
    assert whole == {
        "id": 7,
        "name": "Ada",
        "email": "7@example.org",
        "bio": "the story of 7",
        "created_at": "2024-01-01T07:00:00+00:00",
    }


@pytest.mark.block("Field Selection", "Complete Example")
def test_unknown_user_is_not_found_as_json(served: Served) -> None:
    answer = served.ask("GET /users/1234", headers={"Accept": "text/plain, */*;q=0.1"})

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"error": "Not found"}
