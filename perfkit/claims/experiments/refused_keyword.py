"""A decorator that hands on positional arguments alone, and a call by keyword."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from perfkit.claims import ERRORS, Experiment, Operation

CALLS = 10

experiment = Experiment(
    theme="caches",
    claims=["O-41"],
    question="How many calls by keyword fail behind a decorator that makes keys of *args?",
    hypothesis="A decorator caches any function.",
    metric=ERRORS,
    hazard="A key function with *args alone raises TypeError as soon as an argument has a name, "
    "which is how frameworks that inject by name call every handler.",
    advice="Bind the arguments to the function's signature, which makes the same key of both ways "
    "to call it, and keep its name and signature with functools.wraps.",
    conditions=f"{CALLS} calls by keyword of a function of one argument.",
)

Function = Callable[..., Any]


def key_of(*parts: object) -> str:
    """Return the key of a call."""
    return ":".join(str(part) for part in parts)


@experiment.before
def handed_on() -> Operation:
    """Gives the key function whatever the call was given."""

    def cached(function: Function) -> Function:
        cache: dict[str, Any] = {}

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = key_of("user", *args, **kwargs)
            if key not in cache:
                cache[key] = function(*args, **kwargs)
            return cache[key]

        return wrapper

    return lambda: failures(cached)


@experiment.after
def bound() -> Operation:
    """Binds the arguments to the signature first."""

    def cached(function: Function) -> Function:
        cache: dict[str, Any] = {}
        parameters = signature(function)

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = key_of("user", *parameters.bind(*args, **kwargs).arguments.items())
            if key not in cache:
                cache[key] = function(*args, **kwargs)
            return cache[key]

        return wrapper

    return lambda: failures(cached)


def failures(cached: Callable[[Function], Function]) -> int:
    """Return how many calls by keyword raise."""
    user = cached(lambda user_id: {"id": user_id})
    failed = 0
    for number in range(CALLS):
        try:
            user(user_id=number)
        except TypeError:
            failed += 1
    return failed
