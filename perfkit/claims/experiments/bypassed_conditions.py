"""A route that bypasses the state machine, and clients that revalidate what they have."""

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, RestApplication

REQUESTS = 10

experiment = Experiment(
    theme="state machine",
    claims=["O-06"],
    question="What do clients lose that revalidate, when a route bypasses the state machine?",
    hypothesis="The bypass drops conditional requests: each is answered in full.",
    metric=ERRORS,
    hazard="Conditions, negotiation and validation are what the machine does. Without it a "
    "client that has the current version is sent it again, and If-Match protects nothing.",
    advice="Bypass only routes that no client ever asks conditionally, such as a health check.",
    conditions="Ten requests by clients that have the current version; what is counted are those "
    "not answered 304.",
)


@experiment.before
def bypassed() -> Operation:
    """Answers without the decisions."""
    return lambda: answered_in_full(bypass=True)


@experiment.after
def decided() -> Operation:
    """Answers by the decisions of the diagram."""
    return lambda: answered_in_full(bypass=False)


def answered_in_full(*, bypass: bool) -> int:
    """Return how many revalidations are sent the whole representation again."""
    app = RestApplication()

    @app.resource_exists
    def item() -> dict[str, int]:
        return {"version": 1}

    app.generate_etag(lambda item: "v1")
    app.get("/item", bypass_state_machine=bypass)(lambda item: item)
    request = Request("GET", "/item", headers={"If-None-Match": '"v1"'})
    return sum(app.execute(request).status_code != 304 for _ in range(REQUESTS))
