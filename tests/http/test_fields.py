"""Header fields (RFC 9110 section 5, RFC 9111 section 5) and targets (RFC 9110 section 7)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from restmachine import MultiValueHeaders, Request, RestApplication
from restmachine.decorators import cache_response, skip_auth_check
from restmachine.testing import TestClient


def application() -> RestApplication:
    """Return routes that tell what they were sent."""
    app = RestApplication()

    @app.authorized
    def user(request_headers: MultiValueHeaders) -> str | None:
        return request_headers.get("Authorization")

    @app.get("/fields")
    def fields(request_headers: MultiValueHeaders) -> dict[str, list[str]]:
        return {"x-many": request_headers.get_all("x-MANY")}

    @app.get("/query")
    def query(query_params: Any) -> dict[str, Any]:
        return {"last": dict(query_params), "a": query_params.get_all("a")}

    @app.get("/cached")
    @cache_response(max_age=60)
    def cached(request: Request) -> tuple[dict[str, str], int]:
        return {}, int(request.query_params.get("status", "200"))

    @app.get("/cached-private")
    @cache_response(max_age=60)
    def cached_private(user: str) -> dict[str, str]:
        return {}

    @app.get("/cached-public")
    @cache_response(max_age=0, public=True)
    def cached_public(user: str) -> dict[str, str]:
        return {}

    @app.get("/cached-open")
    @skip_auth_check
    @cache_response(max_age=60)
    def cached_open(user: str | None) -> dict[str, str]:
        return {}

    @app.get("/cached-by-hand")
    @cache_response(max_age=60)
    def cached_by_hand() -> tuple[dict[str, str], int, dict[str, str]]:
        return {}, 200, {"Cache-Control": "no-store"}

    declare_paths(app)
    return app


def declare_paths(app: RestApplication) -> None:
    """Declare templates of every kind."""

    @app.get("/numbers/{number}")
    def number(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/amounts/{amount}")
    def amount(amount: float) -> dict[str, float]:
        return {"amount": amount}

    @app.get("/ids/{id}")
    def identified(id: UUID) -> dict[str, str]:
        return {"id": str(id)}

    @app.get("/texts/{text}")
    def text(text: str) -> dict[str, str]:
        return {"text": text}

    @app.get("/texts/fixed")
    def fixed() -> dict[str, str]:
        return {"text": "the fixed one"}

    @app.get("/files/**")
    def files(path: str) -> dict[str, str]:
        return {"path": path}


USER = {"Authorization": "Basic dQ=="}
# fmt: off
CASES = [
    ("5.1-names-have-no-case", "GET /fields", {"ACCEPT": "image/png"}, 406),
    ("5.5-odd-bytes-are-opaque", "GET /fields", {"X-Many": "\xfc\x80"}, 200),
    ("RFC9111-5.2.2.1-max-age", "GET /cached", {}, 200, {"Cache-Control": "max-age=60"}),
    ("RFC9111-5.2.2.1-only-of-success", "GET /cached?status=404", {}, 404,
        {"Cache-Control": None}),
    ("RFC9111-3.5-private-behind-authorization", "GET /cached-private", USER, 200,
        {"Cache-Control": "max-age=60, private"}),
    ("RFC9111-3.5-public-if-stated", "GET /cached-public", USER, 200,
        {"Cache-Control": "max-age=0, public"}),
    ("RFC9111-3.5-no-authorization-asked", "GET /cached-open", {}, 200,
        {"Cache-Control": "max-age=60"}),
    ("RFC9111-5.2-the-handler-wins", "GET /cached-by-hand", {}, 200,
        {"Cache-Control": "no-store"}),
    ("15.5.2-B8-an-empty-field-is-no-credential", "GET /cached-private",
        {"Authorization": ""}, 401, {"Cache-Control": None}),

    ("7.1-a-number", "GET /numbers/-7", {}, 200),
    ("7.1-no-number", "GET /numbers/seven", {}, 404),
    ("7.1-a-number-spelt-otherwise", "GET /numbers/1_000", {}, 404),
    ("7.1-a-number-in-other-digits", "GET /numbers/%D9%A1", {}, 404),
    ("7.1-a-number-with-a-plus", "GET /numbers/+7", {}, 404),
    ("7.1-an-enormous-number", "GET /numbers/" + "9" * 5000, {}, 404),
    ("7.1-an-amount", "GET /amounts/1.5", {}, 200),
    ("7.1-no-amount", "GET /amounts/nan", {}, 404),
    ("7.1-an-id", "GET /ids/12345678-1234-5678-1234-567812345678", {}, 200),
    ("7.1-no-id", "GET /ids/12345678", {}, 404),
    ("7.1-no-segment-is-empty", "GET /texts//", {}, 404),
    ("7.1-not-so-many-segments", "GET /texts/a/b", {}, 404),
    ("7.1-a-slash-at-the-end", "GET /texts/a/", {}, 200),
    ("7.1-two-slashes", "GET //texts//a", {}, 200),
    ("7.1-paths-have-case", "GET /Texts/a", {}, 404),
    ("7.1-the-rest-of-a-path", "GET /files/a/b/c", {}, 200),
    ("7.1-no-rest-of-a-path", "GET /files", {}, 200),
    ("7.1-a-nul-in-a-path", "GET /texts/%00", {}, 200),
    ("7.1-no-utf-8", "GET /texts/%ff", {}, 200),
]
# fmt: on


def test_field(case: Any, client: TestClient) -> None:
    response = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("/numbers/-7", {"number": -7}),
        ("/amounts/1.5", {"amount": 1.5}),
        ("/texts/a%20b", {"text": "a b"}),
        ("/texts/%C3%BC", {"text": "ü"}),
        ("/texts/fixed", {"text": "the fixed one"}),
        ("/texts/..", {"text": ".."}),
        ("/files/a/b", {"path": "a/b"}),
        ("/files", {"path": ""}),
        ("/query?a=1&a=&b=%C3%BC+x", {"last": {"a": "", "b": "ü x"}, "a": ["1", ""]}),
        ("/query", {"last": {}, "a": []}),
        ("/query?&&=&a", {"last": {"": "", "a": ""}, "a": [""]}),
    ],
)
def test_the_target_reaches_the_handler(client: TestClient, target: str, data: Any) -> None:
    assert client.get(target).json() == data


def test_lines_of_one_name_stay_apart_and_in_order(client: TestClient) -> None:
    lines = [("X-Many", "b, c"), ("x-many", "a")]

    response = client.get("/fields", headers=lines)

    assert response.json() == {"x-many": ["b, c", "a"]}
