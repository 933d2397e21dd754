"""Two snapshots of all allocations around each request, as a way to watch memory."""

import tracemalloc
from collections.abc import Iterator

from perfkit.claims import LATENCY, Experiment, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="monitoring",
    claims=["O-34"],
    question="What do two snapshots of tracemalloc cost a request?",
    hypothesis="Memory can be watched request by request with snapshots of tracemalloc.",
    metric=LATENCY,
    varies={"objects": [1000, 10_000]},
    because="A snapshot copies a record of every block that lives, so it costs in proportion to "
    "all the application holds, not to what the request did.",
    hazard="Each request pays for a walk over the whole heap, twice, and counts what other "
    "requests allocated meanwhile as its own.",
    advice="Watch resident memory by the process, and trace allocations in a run of its own. "
    "tracemalloc.reset_peak tells what one request needs without any snapshot.",
    conditions="A request that answers a small JSON object; the application holds so many objects.",
    precision=0.25,
)


def application() -> RestApplication:
    """Answer a small object."""
    app = RestApplication()
    app.get("/")(lambda: {"hello": "world"})
    return app


@experiment.before
def two_snapshots(objects: int) -> Iterator[Operation]:
    """Takes a snapshot before and after, and keeps the three largest differences."""
    app, request = application(), Request("GET", "/")
    tracemalloc.start()
    held = [bytes(50) for _ in range(objects)]

    def watched() -> object:
        before = tracemalloc.take_snapshot()
        app.execute(request)
        return tracemalloc.take_snapshot().compare_to(before, "lineno")[:3]

    yield watched
    tracemalloc.stop()
    del held


@experiment.after
def unwatched(objects: int) -> Iterator[Operation]:
    """Answers the request."""
    app, request = application(), Request("GET", "/")
    held = [bytes(50) for _ in range(objects)]

    yield lambda: app.execute(request)

    del held


@experiment.beside
def peak_alone(objects: int) -> Iterator[Operation]:
    """Traces allocations and asks for the peak, without snapshots."""
    app, request = application(), Request("GET", "/")
    tracemalloc.start()
    held = [bytes(50) for _ in range(objects)]

    def watched() -> int:
        tracemalloc.reset_peak()
        app.execute(request)
        return tracemalloc.get_traced_memory()[1]

    yield watched
    tracemalloc.stop()
    del held
