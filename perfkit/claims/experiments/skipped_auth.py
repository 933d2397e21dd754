"""A public route that skips the check of authorization: what there is to save."""

from perfkit.claims import LATENCY, Experiment, Operation
from restmachine import Request, RestApplication
from restmachine.decorators import skip_auth_check

experiment = Experiment(
    theme="state machine",
    claims=["O-08"],
    question="How much faster is a public route that skips the check of authorization?",
    hypothesis="A route that skips the check is faster.",
    metric=LATENCY,
    advice="Do not switch authorization off to be fast. A decision that a route does not use is "
    "settled when the route is compiled, and costs no request anything.",
    conditions="A GET of a small JSON object, in process; nothing checks who asks, with the "
    "decorator or without.",
    matters=0.05,
    precision=0.05,
    budget_s=30,
)


@experiment.before
def unused() -> Operation:
    """Leaves the check in, which has nothing to ask."""
    app = RestApplication()
    app.get("/")(lambda: {"hello": "world"})
    return answering(app)


@experiment.after
def skipped() -> Operation:
    """Skips the check."""
    app = RestApplication()
    app.get("/")(skip_auth_check(lambda: {"hello": "world"}))
    return answering(app)


def answering(app: RestApplication) -> Operation:
    """Return what answers one request."""
    request = Request("GET", "/")
    return lambda: app.execute(request)
