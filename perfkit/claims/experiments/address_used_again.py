"""A cache key that holds an object's address, once another object has that address."""

from collections.abc import Callable

from starlette.requests import Request

from perfkit.claims import ERRORS, Experiment, Operation

USERS = 100

experiment = Experiment(
    theme="caches",
    claims=["O-41"],
    question="How many users are shown another one's page by a key of addresses?",
    hypothesis="The text of all arguments is a key for what a handler returns.",
    metric=ERRORS,
    hazard="The text of a request object is its address, which says nothing of who asks; and "
    "when a request is done, its address is given to the next: what it was answered comes along.",
    advice="Make the key of values. Never cache by objects which are shorter-lived than the cache.",
    conditions=f"{USERS} requests of as many users, Starlette's objects, one after another; the "
    "handler takes the user from the request. What is counted are answers with another's name.",
)


@experiment.before
def keyed_by_text_of_arguments() -> Operation:
    """Takes str(request) for the key."""
    return lambda: mistaken(key=str)


@experiment.after
def keyed_by_value() -> Operation:
    """Takes the user for the key."""
    return lambda: mistaken(key=name_of)


def name_of(request: Request) -> str:
    """Return who asks."""
    return request.headers["X-User"]


def mistaken(*, key: Callable[[Request], str]) -> int:
    """Return how many users get what belongs to another."""
    cache: dict[str, str] = {}

    def me(request: Request) -> str:
        return cache.setdefault(key(request), name_of(request))

    def asked_by(user: str) -> str:
        return me(Request({"type": "http", "headers": [(b"x-user", user.encode())]}))

    users = [f"user {number}" for number in range(USERS)]
    return sum(asked_by(user) != user for user in users)
