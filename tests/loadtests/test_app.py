"""The application under test keeps what HTTP and its routes promise."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest

from loadtests.app import health
from loadtests.cache import connect
from loadtests.database import open_async_pool
from loadtests.settings import Population
from perfkit.services import Services

POST = {"author_id": 1, "title": "A title", "content": "Some content."}
CHANGED_POST = {"title": "Another title", "content": "Other content."}
CHANGED_PRODUCT = {"name": "A lamp", "description": "It gives light.", "price_cents": 1999}
UNSTORABLE = "a\0b"


def pages(client: Any, name: str, address: str) -> list[list[dict[str, Any]]]:
    """Follow a listing to its end."""
    found = []
    while address:
        page = client.get(address).json()
        found.append(page[name])
        address = page["next"]
    return found


def identifiers(listed: list[list[dict[str, Any]]]) -> list[int]:
    return [each["id"] for page in listed for each in page]


def created_post(client: Any) -> Any:
    """Create a post and read it."""
    return client.get(client.post("/posts", json=POST).headers["Location"])


def test_health_is_200_while_both_services_answer(client: Any) -> None:
    response = client.get("/health")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_health_is_503_while_redis_does_not_answer(services: Services) -> None:
    async def ask() -> object:
        async with (
            await open_async_pool(services.postgres_url) as database,
            connect("redis://127.0.0.1:1") as nobody,
        ):
            return await health(database, nobody)

    answer = asyncio.run(ask())

    assert answer == ({"status": "unavailable", "service": "redis"}, 503)


def test_health_is_503_while_postgresql_does_not_answer(services: Services) -> None:
    async def ask() -> object:
        async with connect(services.redis_url) as redis_client:
            database = await open_async_pool(services.postgres_url)
            await database.close()
            return await health(database, redis_client)

    answer = asyncio.run(ask())

    assert answer == ({"status": "unavailable", "service": "psycopg_pool"}, 503)


def test_metrics_count_requests_by_route_template(client: Any) -> None:
    client.get("/posts/1")

    exposed = client.get("/metrics").text

    assert 'http_route="/posts/{post_id}"' in exposed
    assert "/posts/1" not in exposed


# Users


def test_user_is_a_miss_first_and_then_the_same_as_a_hit(client: Any, fresh: int) -> None:
    first = client.get(f"/users/{fresh}")
    second = client.get(f"/users/{fresh}")

    assert [first.headers["X-Cache"], second.headers["X-Cache"]] == ["MISS", "HIT"]
    assert first.json()["id"] == fresh
    assert second.json() == first.json()
    assert second.headers["ETag"] == first.headers["ETag"]


def test_rereading_a_user_with_its_tag_is_304_without_content(client: Any, fresh: int) -> None:
    tag = client.get(f"/users/{fresh}").headers["ETag"]

    again = client.get(f"/users/{fresh}", headers={"If-None-Match": tag})

    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["ETag"] == tag


@pytest.mark.parametrize("kind", ["users", "posts", "products"])
def test_a_tag_names_one_representation_whatever_is_accepted(client: Any, kind: str) -> None:
    as_json = client.get(f"/{kind}/1", headers={"Accept": "application/json"})
    as_page = client.get(f"/{kind}/1", headers={"Accept": "text/html"})

    assert as_json.headers["ETag"] == as_page.headers["ETag"]
    assert as_json.content == as_page.content


@pytest.mark.parametrize("kind", ["users", "posts", "products"])
@pytest.mark.parametrize("identifier", ["0", "99999999999999999999999", "x", "1.5"])
def test_what_does_not_exist_is_404(client: Any, kind: str, identifier: str) -> None:
    response = client.get(f"/{kind}/{identifier}")

    assert response.status_code == 404


def test_pages_of_users_have_no_gaps_and_no_repetitions(client: Any) -> None:
    listed = pages(client, "users", "/users?limit=90")

    assert identifiers(listed) == list(range(1, Population().users + 1))


def test_a_page_has_20_rows_unless_asked_and_100_at_most(client: Any) -> None:
    unasked = client.get("/users").json()["users"]
    greedy = client.get("/users?limit=1000000").json()["users"]

    assert len(unasked) == 20
    assert len(greedy) == 100


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_page_has_one_row_at_least(client: Any, limit: str) -> None:
    page = client.get(f"/posts?limit={limit}").json()

    assert len(page["posts"]) == 1


@pytest.mark.parametrize("kind", ["users", "products"])
def test_past_the_end_there_is_an_empty_page_and_none_after_it(client: Any, kind: str) -> None:
    page = client.get(f"/{kind}?after={10**30}").json()

    assert page == {kind: [], "next": None}


@pytest.mark.parametrize("query", ["limit=many", "after=x", "limit=", "after="])
def test_a_page_that_is_no_number_is_400(client: Any, query: str) -> None:
    response = client.get(f"/users?{query}")

    assert response.status_code == 400
    assert "whole numbers" in response.text


# Posts


def test_created_post_is_201_and_readable_at_its_location(client: Any) -> None:
    created = client.post("/posts", json=POST)

    stored = client.get(created.headers["Location"])

    assert created.status_code == 201
    assert stored.status_code == 200
    assert stored.json() == created.json()
    assert stored.headers["ETag"] == created.headers["ETag"]
    assert stored.json()["title"] == POST["title"]
    assert stored.json()["author"]["id"] == POST["author_id"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"author_id": None},
        {"author_id": 0},
        {"author_id": "1"},
        {"author_id": 10**30},
        {"title": ""},
        {"title": "x" * 201},
        {"title": UNSTORABLE},
        {"content": UNSTORABLE},
        {"content": 5},
        {"unknown": "field"},
    ],
    ids=str,
)
def test_post_with_a_wrong_field_is_422(client: Any, wrong: dict[str, object]) -> None:
    response = client.post("/posts", json=POST | wrong)

    assert response.status_code == 422


def test_post_of_an_author_who_does_not_exist_is_422(client: Any) -> None:
    response = client.post("/posts", json=POST | {"author_id": Population().users + 1})

    assert response.status_code == 422


def test_post_without_content_is_422(client: Any) -> None:
    response = client.post("/posts")

    assert response.status_code == 422


def test_post_that_is_no_json_is_400(client: Any) -> None:
    response = client.post(
        "/posts", content=b'{"author_id": 1', headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 400


def test_newest_post_is_listed_first_with_its_author(client: Any) -> None:
    created = client.post("/posts", json=POST).json()

    newest = client.get("/posts").json()["posts"][0]

    assert newest == created
    assert newest["author"].keys() == {"id", "name"}


def test_a_post_written_between_two_pages_moves_nothing(client: Any) -> None:
    whole = client.get("/posts?limit=20").json()["posts"]
    first = client.get("/posts?limit=10").json()
    client.post("/posts", json=POST)

    second = client.get(first["next"]).json()

    assert first["posts"] + second["posts"] == whole


def test_rereading_a_post_since_its_change_is_304(client: Any) -> None:
    changed = client.get("/posts/1").headers["Last-Modified"]

    again = client.get("/posts/1", headers={"If-Modified-Since": changed})

    assert again.status_code == 304


def test_changing_a_post_as_last_seen_gives_it_a_new_tag(client: Any) -> None:
    post = created_post(client)
    address, tag = f"/posts/{post.json()['id']}", post.headers["ETag"]

    changed = client.put(address, json=CHANGED_POST, headers={"If-Match": tag})

    stored = client.get(address)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert stored.headers["ETag"] == changed.headers["ETag"]
    assert stored.json() == changed.json()
    assert stored.json()["title"] == CHANGED_POST["title"]


def test_changing_a_post_that_has_changed_is_412_and_changes_nothing(client: Any) -> None:
    post = created_post(client)
    address, seen = f"/posts/{post.json()['id']}", {"If-Match": post.headers["ETag"]}
    client.put(address, json=CHANGED_POST, headers=seen)

    late = client.put(address, json={"title": "Late", "content": "Late."}, headers=seen)

    assert late.status_code == 412
    assert client.get(address).json()["title"] == CHANGED_POST["title"]


def test_of_writers_at_the_same_time_exactly_one_wins(client: Any) -> None:
    post = created_post(client)
    address, seen = f"/posts/{post.json()['id']}", {"If-Match": post.headers["ETag"]}
    barrier = Barrier(6)

    def change(number: int) -> int:
        barrier.wait()
        content = CHANGED_POST | {"title": f"Title {number}"}
        return int(client.put(address, json=content, headers=seen).status_code)

    with ThreadPoolExecutor(6) as writers:
        statuses = sorted(writers.map(change, range(6)))

    assert statuses == [200, 412, 412, 412, 412, 412]


def test_changing_a_post_without_a_condition_is_428(client: Any) -> None:
    address = f"/posts/{created_post(client).json()['id']}"

    response = client.put(address, json=CHANGED_POST)

    assert response.status_code == 428


def test_changing_a_post_that_does_not_exist_is_404(client: Any) -> None:
    response = client.put("/posts/0", json=CHANGED_POST, headers={"If-Match": '"1"'})

    assert response.status_code == 404


# Products


def test_products_come_with_their_categories(client: Any) -> None:
    products = client.get("/products").json()["products"]

    assert [product["category"].keys() for product in products] == [{"slug", "name"}] * 20


def test_products_of_a_category_are_all_of_it(client: Any) -> None:
    every = [each for page in pages(client, "products", "/products?limit=100") for each in page]
    slug = every[0]["category"]["slug"]

    listed = pages(client, "products", f"/products?category={slug}&limit=1")

    expected = [each["id"] for each in every if each["category"]["slug"] == slug]
    assert len(expected) > 1
    assert identifiers(listed) == expected


def test_products_of_an_unknown_category_are_none(client: Any) -> None:
    response = client.get("/products?category=nothing-of-this-kind")

    assert response.json() == {"products": [], "next": None}


@pytest.mark.parametrize("slug", ["%00", "A", ""])
def test_what_cannot_be_a_category_is_400(client: Any, slug: str) -> None:
    response = client.get(f"/products?category={slug}")

    assert response.status_code == 400


def test_changing_a_product_is_seen_by_the_next_reader_of_the_cache(
    client: Any, fresh: int
) -> None:
    client.get(f"/products/{fresh}")
    before = client.get(f"/products/{fresh}")

    changed = client.put(
        f"/products/{fresh}", json=CHANGED_PRODUCT, headers={"If-Match": before.headers["ETag"]}
    )

    after = client.get(f"/products/{fresh}")
    assert before.headers["X-Cache"] == "HIT"
    assert changed.status_code == 200
    assert after.json() == changed.json()
    assert after.json()["price_cents"] == CHANGED_PRODUCT["price_cents"]
    assert after.headers["ETag"] == changed.headers["ETag"] != before.headers["ETag"]


def test_changing_a_product_that_has_changed_is_412(client: Any, fresh: int) -> None:
    seen = {"If-Match": client.get(f"/products/{fresh}").headers["ETag"]}
    client.put(f"/products/{fresh}", json=CHANGED_PRODUCT, headers=seen)

    late = client.put(f"/products/{fresh}", json=CHANGED_PRODUCT, headers=seen)

    assert late.status_code == 412


def test_the_database_judges_a_change_that_the_cache_has_missed(
    client: Any, fresh: int, services: Services
) -> None:
    client.get(f"/products/{fresh}")
    with psycopg.connect(services.postgres_url) as connection:
        connection.execute("UPDATE loadtests.products SET version = 7 WHERE id = %s", (fresh,))

    as_cached = client.put(f"/products/{fresh}", json=CHANGED_PRODUCT, headers={"If-Match": '"1"'})
    as_stored = client.put(f"/products/{fresh}", json=CHANGED_PRODUCT, headers={"If-Match": '"7"'})

    assert [as_cached.status_code, as_stored.status_code] == [412, 200]
    assert client.get(f"/products/{fresh}").json()["version"] == 8


def test_changing_a_product_without_a_condition_is_428(client: Any, fresh: int) -> None:
    response = client.put(f"/products/{fresh}", json=CHANGED_PRODUCT)

    assert response.status_code == 428


def test_a_negative_price_is_422(client: Any, fresh: int) -> None:
    response = client.put(
        f"/products/{fresh}", json=CHANGED_PRODUCT | {"price_cents": -1}, headers={"If-Match": "*"}
    )

    assert response.status_code == 422
