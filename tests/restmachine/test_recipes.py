"""Reading what a function asks for and how it is run, from its code as from its signature."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import Any

import pytest

from restmachine.recipes import (
    Kind,
    inspected_kind,
    inspected_parameters,
    kind_of,
    parameters_of,
    says_all,
    written_parameters,
)


def nothing() -> None: ...
def mixed(a: int, b, /, c: str = "c", *rest: int, d, e: float = 0.5, **others: int) -> None: ...  # type: ignore[no-untyped-def]  # untyped as users may write it
def by_name(*, first: int = 1, second: str) -> None: ...
def without_defaults(a: int, b: str) -> None:
    """Have variables that are no parameters."""
    c = d = a
    print(b, c, d)


def odd(a: Any = inspect.Parameter.empty, *, b: Any = inspect.Parameter.empty) -> None: ...
async def coroutine(a: int = 1) -> None: ...
def generator(a: int) -> Iterator[int]:
    yield a


async def async_generator(a: int) -> AsyncIterator[int]:
    yield a


@types.coroutine
def old_coroutine(a: int) -> Iterator[None]:
    yield


def marked(a: int) -> int:
    return a


marked.of_users = "an attribute"  # type: ignore[attr-defined]  # functions take any

WRITTEN = [
    nothing,
    mixed,
    by_name,
    without_defaults,
    odd,
    coroutine,
    generator,
    async_generator,
    old_coroutine,
    marked,
    lambda x, y=1, *, z: x,
]


@pytest.mark.parametrize("function", WRITTEN)
def test_a_function_is_read_from_its_code_as_from_its_signature(function: Any) -> None:
    assert says_all(function)
    assert written_parameters(function) == inspected_parameters(function)
    assert kind_of(function) is inspected_kind(function)


class Callee:
    async def __call__(self, a: int) -> int:
        return a

    def method(self, a: int) -> int:
        return a


class Made:
    def __init__(self, a: int) -> None:
        self.a = a


@wraps(coroutine)
def wrapping(*arguments: Any, **named: Any) -> Any:
    return coroutine(*arguments, **named)


def signed(*arguments: Any) -> Any:
    return arguments


signed.__signature__ = inspect.signature(nothing)  # type: ignore[attr-defined]  # functions take any


@pytest.mark.parametrize(
    ("function", "names", "kind"),
    [
        pytest.param(wrapping, ["a"], Kind.PLAIN, id="a wrapper asks for what it wraps"),
        pytest.param(signed, [], Kind.PLAIN, id="a function with a signature of its own"),
        pytest.param(partial(mixed, 1, 2), ["c", "d", "e"], Kind.PLAIN, id="a partial"),
        pytest.param(partial(coroutine, 1), [], Kind.COROUTINE, id="a partial of a coroutine"),
        pytest.param(Callee().method, ["a"], Kind.PLAIN, id="a method"),
        pytest.param(Callee(), ["a"], Kind.COROUTINE, id="an object with an async call"),
        pytest.param(Made, ["a"], Kind.PLAIN, id="a class"),
    ],
)
def test_what_its_code_does_not_tell_is_inspected(
    function: Callable[..., Any], names: list[str], kind: Kind
) -> None:
    found = [parameter.name for parameter in parameters_of(function)]

    assert not says_all(function)
    assert (found, kind_of(function)) == (names, kind)


def test_annotations_that_are_texts_are_evaluated_where_the_function_was_written() -> None:
    def function(kind: Kind, unknown: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - that is the case

    found = [parameter.annotation for parameter in parameters_of(function)]

    assert found == [Kind, "Nowhere"]
