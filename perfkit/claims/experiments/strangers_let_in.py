"""A route that skips the check of authorization, and who comes in by that."""

from collections.abc import Callable
from typing import Any

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, RestApplication
from restmachine.decorators import skip_auth_check

STRANGERS = 10

experiment = Experiment(
    theme="state machine",
    claims=["O-08"],
    question="How many strangers does a route let in that skips the check to be faster?",
    hypothesis="Skipping the check of authorization makes a route faster.",
    metric=ERRORS,
    hazard="What the check costs is what it is there for. A route that skips it answers anyone, "
    "whatever the application's default says.",
    advice="Check everywhere by default and skip where everybody may read. Where the check is "
    "slow, cache what it looks up, for a short time, or verify a signed token.",
    conditions=f"An application with default_authorized; {STRANGERS} requests without "
    "credentials. What is counted are those answered 200.",
)


@experiment.before
def skipped() -> Operation:
    """Skips the check."""
    return lambda: let_in(skip_auth_check)


@experiment.after
def checked() -> Operation:
    """Leaves the check as the application has it."""
    return lambda: let_in(lambda handler: handler)


def let_in(decorate: Callable[[Any], Any]) -> int:
    """Return how many strangers see the content."""
    app = RestApplication()
    app.default_authorized(lambda request: request.headers.get("Authorization") == "Bearer known")
    app.get("/accounts")(decorate(lambda: {"accounts": [1, 2, 3]}))
    request = Request("GET", "/accounts")
    return sum(app.execute(request).status_code == 200 for _ in range(STRANGERS))
