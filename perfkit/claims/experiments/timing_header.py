"""The time of a request in its header: what a handler can know of it, and what it cannot."""

import time
from collections.abc import Generator, Iterator

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, RestApplication

REQUESTS = 10

experiment = Experiment(
    theme="monitoring",
    claims=["O-33"],
    question="How many of ten answers lack the header with their time?",
    hypothesis="A dependency that yields takes the time, and the handler sends it.",
    metric=ERRORS,
    hazard="What a handler is given is what stands behind the yield. The time is known only "
    "after the handler, so what it sends as header fields is None: the header is never there, "
    "and nothing says so.",
    advice="Let the dependency return the fields at its end, which restmachine adds to the "
    "answer, or let instrument(app, response_time=True) state the time.",
    conditions="Ten requests in process; what is counted are answers without X-Response-Time.",
)


@experiment.before
def sent_by_the_handler() -> Operation:
    """Yields nothing, as the time is not known yet, and lets the handler send that."""
    app = RestApplication()
    measured = []

    @app.dependency()
    def timer() -> Iterator[None]:
        started = time.perf_counter()
        yield
        measured.append({"X-Response-Time": f"{time.perf_counter() - started:.3f}"})

    app.get("/")(lambda timer: ({"hello": "world"}, 200, timer or {}))
    return lambda: answers_without_time(app)


@experiment.after
def returned_at_the_end() -> Operation:
    """Returns the fields when the handler is done."""
    app = RestApplication()

    @app.dependency()
    def timer() -> Generator[None, None, dict[str, str]]:
        started = time.perf_counter()
        yield
        return {"X-Response-Time": f"{time.perf_counter() - started:.3f}"}

    app.get("/")(lambda timer: {"hello": "world"})
    return lambda: answers_without_time(app)


def answers_without_time(app: RestApplication) -> int:
    """Ask ten times and return how many answers have no header with the time."""
    answers = [app.execute(Request("GET", "/")) for _ in range(REQUESTS)]
    return sum("X-Response-Time" not in answer.headers for answer in answers)
