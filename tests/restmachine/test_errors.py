"""Errors say who asks, what is wrong and what to do; outcomes carry their status."""

from __future__ import annotations

import pytest

from restmachine import errors
from restmachine.errors import (
    BadRequest,
    ConfigurationError,
    DependencyCycleError,
    DependencyScopeError,
    HTTPError,
    MissingExtraError,
    RestFrameworkError,
    Unauthorized,
    UnknownDependencyError,
    UnprotectedRouteError,
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnknownDependencyError("usr", "GET /x", ["user"]), ["GET /x", '"usr"', 'mean "user"']),
        (UnknownDependencyError("usr", "GET /x", []), ['"usr"', "@app.dependency()"]),
        (DependencyCycleError(["a", "b", "a"]), ["a -> b -> a", "Remove"]),
        (DependencyScopeError('"pool"', "request"), ['"pool"', '"request"', "request scope"]),
        (UnprotectedRouteError("GET /x", "user"), ["GET /x", '"user"', "@skip_auth_check"]),
        (MissingExtraError("This", "pydantic", "validation"), ["pydantic", "[validation]'"]),
    ],
)
def test_a_mistake_is_told_with_its_remedy(error: ConfigurationError, words: list[str]) -> None:
    assert isinstance(error, ConfigurationError)
    assert [word for word in words if word not in str(error)] == []


def outcomes() -> list[type[HTTPError]]:
    """Return every outcome with a status of its own."""
    return HTTPError.__subclasses__()


def test_every_error_is_an_ordinary_exception() -> None:
    defined = [value for value in vars(errors).values() if isinstance(value, type)]

    own = [value for value in defined if value.__module__ == errors.__name__]
    assert all(issubclass(value, RestFrameworkError) for value in own)
    assert issubclass(RestFrameworkError, Exception)


def test_the_tree_of_the_docstring_is_complete() -> None:
    own = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]

    assert errors.__doc__ is not None
    assert [name for name in own if name not in errors.__doc__] == []


@pytest.mark.parametrize("outcome", outcomes())
def test_an_outcome_has_a_status_and_says_its_phrase(outcome: type[HTTPError]) -> None:
    error = outcome()

    assert 400 <= error.status < 600
    assert str(error) == error.status.phrase
    assert (error.detail, error.headers) == (None, {})


def test_an_outcome_carries_a_detail_and_fields() -> None:
    error = BadRequest({"field": "name"}, headers={"X-A": "1"})

    assert (error.detail, error.headers) == ({"field": "name"}, {"X-A": "1"})


def test_statuses_differ() -> None:
    assert len({outcome.status for outcome in outcomes()}) == len(outcomes())
    assert Unauthorized.status == 401
