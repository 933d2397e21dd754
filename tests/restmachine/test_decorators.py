"""What a handler says about its own route."""

from __future__ import annotations

import inspect
from itertools import permutations
from typing import Any

import pytest

from restmachine import ConfigurationError, Request, RestApplication
from restmachine.decorators import cache_response, skip_auth_check, skip_content_negotiation

ALL = (skip_content_negotiation, skip_auth_check, cache_response(max_age=5))


@pytest.mark.parametrize("order", list(permutations(ALL)))
def test_they_stand_in_any_order(app: RestApplication, order: tuple[Any, ...]) -> None:
    app.default_authorized(lambda: False)

    def handler() -> dict[str, int]:
        return {"a": 1}

    decorated = handler
    for decorator in order:
        decorated = decorator(decorated)
    app.get("/x")(decorated)

    response = app.execute(Request("GET", "/x", {"Accept": "image/png"}))

    assert response.status_code == 200
    assert response.headers.to_dict() == {
        "content-type": "application/json", "cache-control": "max-age=5", "content-length": "7",
    }  # fmt: skip


@pytest.mark.parametrize("decorator", ALL)
def test_they_keep_the_function(decorator: Any) -> None:
    def handler(item: int, page: int = 1) -> None:
        """Say something."""

    decorated = decorator(handler)

    assert decorated is handler
    assert list(inspect.signature(decorated).parameters) == ["item", "page"]


@pytest.mark.parametrize("max_age", [-1, 1.5, "60", True, None])
def test_an_age_is_a_whole_number_of_seconds(max_age: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole seconds"):
        cache_response(max_age=max_age)


@pytest.mark.parametrize(
    ("status", "stated"), [(200, "max-age=5"), (404, None), (500, None), (302, None)]
)
def test_only_a_success_is_cached(app: RestApplication, status: int, stated: str | None) -> None:
    app.get("/x")(cache_response(max_age=5)(lambda: ({}, status)))

    response = app.execute(Request("GET", "/x"))

    assert response.headers.get("Cache-Control") == stated
