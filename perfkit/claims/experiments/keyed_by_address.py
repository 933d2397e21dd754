"""A decorator that caches by its arguments, where one of them is the request object."""

import hashlib
from collections.abc import Callable

from starlette.requests import Request

from perfkit.claims import CALLS, Experiment, Operation

REQUESTS = 20

experiment = Experiment(
    theme="caches",
    claims=["O-41"],
    question="How many calls does a decorator spare whose key holds the request object?",
    hypothesis="A decorator on the handler hides a query of 0.1 s.",
    metric=CALLS,
    advice="Make the key of the values that the answer depends on, and of nothing else. Count "
    "hits: a cache that never hits looks like a slow application.",
    conditions=f"{REQUESTS} requests by one user, objects of Starlette that live together; "
    "a dictionary in place of Redis, MD5 of the arguments as text for the key.",
)


@experiment.before
def undecorated() -> Operation:
    """Calls the handler each time."""
    return lambda: calls_of(lambda handler: handler)


@experiment.after
def keyed_by_all_arguments() -> Operation:
    """Caches by the text of all arguments, which for an object is its address."""
    return lambda: calls_of(lambda handler: cached(handler, lambda request, user_id: request))


@experiment.beside
def keyed_by_the_value() -> Operation:
    """Caches by the user's number."""
    return lambda: calls_of(lambda handler: cached(handler, lambda request, user_id: ""))


Handler = Callable[[Request, int], str]


def cached(handler: Handler, named: Callable[[Request, int], object]) -> Handler:
    """Return *handler* behind a cache, by the number and what else is *named*."""
    cache: dict[str, str] = {}

    def wrapper(request: Request, user_id: int) -> str:
        text = f"user:{named(request, user_id)}:{user_id}"
        key = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        if key not in cache:
            cache[key] = handler(request, user_id)
        return cache[key]

    return wrapper


def calls_of(decorate: Callable[[Handler], Handler]) -> int:
    """Answer all requests and return how often the handler ran."""
    calls: list[int] = []

    def user(request: Request, user_id: int) -> str:
        del request
        calls.append(user_id)
        return f"User {user_id}"

    handler = decorate(user)
    for request in [Request({"type": "http"}) for _ in range(REQUESTS)]:
        handler(request, 7)
    return len(calls)
