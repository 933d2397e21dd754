"""A route that skips content negotiation: what that saves a small answer."""

from perfkit.claims import LATENCY, Experiment, Operation
from restmachine import Request, RestApplication
from restmachine.decorators import skip_content_negotiation

experiment = Experiment(
    theme="state machine",
    claims=["O-07"],
    question="How much faster is a route that skips content negotiation?",
    hypothesis="Without negotiation a route is faster; let that be a tenth.",
    promised=1.1,
    metric=LATENCY,
    varies={"accept": ["nothing", "*/*", "of a browser"]},
    because="A route with one representation has little to choose from; what is left is to read "
    "what the client accepts, which is longest for a browser.",
    advice="Leave negotiation on. A route that skips it answers JSON to a client that asked for "
    "something else, where 406 would have told it.",
    conditions="A GET of a small JSON object, in process.",
    precision=0.05,
)
ACCEPT = {
    "nothing": {},
    "*/*": {"Accept": "*/*"},
    "of a browser": {
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
    },
}


@experiment.before
def negotiated(accept: str) -> Operation:
    """Asks what the client accepts."""
    app = RestApplication()
    app.get("/")(lambda: {"hello": "world"})
    return answering(app, accept)


@experiment.after
def skipped(accept: str) -> Operation:
    """Always answers JSON."""
    app = RestApplication()
    app.get("/")(skip_content_negotiation(lambda: {"hello": "world"}))
    return answering(app, accept)


def answering(app: RestApplication, accept: str) -> Operation:
    """Return what answers one request."""
    request = Request("GET", "/", headers=ACCEPT[accept])
    return lambda: app.execute(request)
