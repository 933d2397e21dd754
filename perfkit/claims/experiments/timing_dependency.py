"""Slow requests of five kinds: those that a timing dependency finds, and those that hooks find."""

import time
from collections.abc import Callable, Iterator

from perfkit.claims import Experiment, Metric, Operation
from perfkit.record import Record
from perfkit.timing import attach
from restmachine import Request, RestApplication
from restmachine.testing import TestClient

SLOW_SECONDS = 0.02
PATHS = ("/handler", "/dependency", "/authorization", "/missing", "/stream")

experiment = Experiment(
    theme="monitoring",
    claims=["O-33", "O-39"],
    question="How many of five slow requests does a dependency that times them find?",
    hypothesis="A dependency that takes the time before and after the handler finds the slow ones.",
    metric=Metric("slow requests found", "requests", "count", higher_is_better=True),
    advice="Time requests from outside: from when the server hands them over to when the last "
    "byte was taken. A dependency knows nothing of what came before it, and is not made at all "
    "when the request ends before the handler.",
    conditions=f"Five routes that lose {SLOW_SECONDS * 1000:.0f} ms each: in the handler, in "
    "another dependency of it, while authorizing, while finding out that there is nothing, and "
    "within a streamed answer. Both ways log what takes half of that.",
    alone=True,
)


@experiment.before
def timed_by_hooks() -> Operation:
    """Has perfkit time every request by the framework's hooks."""
    found: set[str] = set()

    def finished(record: Record) -> None:
        if record.seconds >= SLOW_SECONDS / 2:
            found.add(str(record.route))

    app = application(lambda: None)
    attach(app, finished=[finished])
    return lambda: found_of_all(app, found)


@experiment.after
def timed_by_a_dependency() -> Operation:
    """Has every handler ask for a dependency that takes the time."""
    found: set[str] = set()

    def timer(request: Request) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if time.perf_counter() - started >= SLOW_SECONDS / 2:
            found.add(request.path)

    return lambda: found_of_all(application(timer), found)


def application(timer: Callable[..., Iterator[None] | None]) -> RestApplication:
    """Have a route for each way to be slow, all of which ask for the timer."""
    app = RestApplication()
    app.dependency(name="timer")(timer)

    @app.dependency()
    def settings() -> str:
        return slow("read")

    @app.authorized
    def known() -> bool:
        return bool(slow("known"))

    @app.resource_exists
    def nothing() -> None:
        slow("looked for")

    @app.get("/stream")
    def stream(timer: None) -> Iterator[str]:
        yield "first"
        yield slow("last")

    app.get("/handler")(lambda timer: slow("done"))
    app.get("/dependency")(lambda settings, timer: settings)
    app.get("/authorization")(lambda known, timer: "done")
    app.get("/missing")(lambda nothing, timer: nothing)
    return app


def slow(text: str) -> str:
    """Return *text* too late."""
    time.sleep(SLOW_SECONDS)
    return text


def found_of_all(app: RestApplication, found: set[str]) -> int:
    """Ask for every path and return how many of them were found to be slow."""
    found.clear()
    client = TestClient(app)
    for path in PATHS:
        client.get(path)
    return len(found)
