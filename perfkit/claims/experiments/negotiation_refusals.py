"""A client that accepts no JSON, at a route that skips negotiation."""

from collections.abc import Callable
from typing import Any

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, RestApplication
from restmachine.decorators import skip_content_negotiation

REQUESTS = 10

experiment = Experiment(
    theme="state machine",
    claims=["O-07"],
    question="How many clients are sent what they said they cannot read?",
    hypothesis="Skipping negotiation only leaves out work.",
    metric=ERRORS,
    hazard="The route no longer says 406: a client that accepts CSV alone is sent JSON with "
    "status 200, and finds out when it parses.",
    advice="Leave negotiation on, or be sure that every client reads the one format.",
    conditions=f"{REQUESTS} requests which accept text/csv alone; what is counted are those "
    "answered 200 with JSON.",
)


@experiment.before
def skipped() -> Operation:
    """Always answers JSON."""
    return lambda: unreadable(skip_content_negotiation)


@experiment.after
def negotiated() -> Operation:
    """Asks what the client accepts."""
    return lambda: unreadable(lambda handler: handler)


def unreadable(decorate: Callable[[Any], Any]) -> int:
    """Return how many answers are of a type that was not accepted."""
    app = RestApplication()
    app.get("/")(decorate(lambda: {"hello": "world"}))
    request = Request("GET", "/", headers={"Accept": "text/csv"})
    return sum(app.execute(request).status_code == 200 for _ in range(REQUESTS))
