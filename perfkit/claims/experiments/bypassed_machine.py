"""A route that bypasses the state machine: what that gains for a small answer."""

from perfkit.claims import LATENCY, Experiment, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="state machine",
    claims=["O-06"],
    question="How much faster is a route that bypasses the state machine?",
    hypothesis="A bypass makes a route ultra-fast; let that be twice as fast.",
    promised=2,
    metric=LATENCY,
    advice="Leave the state machine in. What a route does not use is settled when it is compiled, "
    "so a bypass saves little and loses conditional requests.",
    conditions="A GET of a small JSON object, in process: no server, no network.",
    precision=0.03,
    budget_s=30,
)


@experiment.before
def decided() -> Operation:
    """Answers by the decisions of the diagram."""
    return answering(bypass=False)


@experiment.after
def bypassed() -> Operation:
    """Answers without them."""
    return answering(bypass=True)


def answering(*, bypass: bool) -> Operation:
    """Return what answers one request."""
    app = RestApplication()
    app.get("/", bypass_state_machine=bypass)(lambda: {"hello": "world"})
    request = Request("GET", "/")
    return lambda: app.execute(request)
