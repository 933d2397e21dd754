"""Three routes that become ten times as slow: found by one threshold, or by their own past."""

import time
from collections.abc import Callable
from statistics import median

from perfkit.claims import Experiment, Metric, Operation
from perfkit.record import Record
from perfkit.timing import attach
from restmachine import Request, RestApplication

USUAL_MS = {"/item": 1, "/list": 2, "/report": 6}
SLOWER, THRESHOLD_MS = 10, 40

experiment = Experiment(
    theme="monitoring",
    claims=["O-39"],
    question="How many of three routes that became slow does one fixed threshold find?",
    hypothesis="A log of what takes longer than a second finds the slow requests.",
    metric=Metric("slow routes found", "routes", "count", higher_is_better=True),
    advice="Compare each route with itself: a histogram for each, and an alert on its "
    "percentiles. Keep the fixed threshold for what no client waits for in any case.",
    conditions=f"Routes that usually take 1, 2 and 6 ms become {SLOWER} times as slow; the "
    f"threshold of {THRESHOLD_MS} ms stands for the second, as the routes stand for some of 25, "
    "50 and 150 ms. Compared with their past, those count which take three times their median.",
    alone=True,
)


@experiment.before
def by_its_own_past() -> Operation:
    """Compares each request with the median of its route."""
    return lambda: found_by(lambda past, now: now > 3 * median(past))


@experiment.after
def by_one_threshold() -> Operation:
    """Compares every request with one figure."""
    return lambda: found_by(lambda past, now: now > THRESHOLD_MS / 1000)


def found_by(slow: Callable[[list[float], float], bool]) -> int:
    """Ask each route five times as usual and once when it is slow; return how many are found."""
    seen: dict[str, list[float]] = {path: [] for path in USUAL_MS}
    waits = dict(USUAL_MS)

    def finished(record: Record) -> None:
        seen[str(record.route)].append(record.seconds)

    app = RestApplication()
    attach(app, finished=[finished])
    for path in USUAL_MS:

        def wait(request: Request) -> None:
            time.sleep(waits[request.path] / 1000)

        app.get(path)(wait)
        for _ in range(5):
            app.execute(Request("GET", path))
        waits[path] *= SLOWER
        app.execute(Request("GET", path))
    return sum(slow(past, now) for *past, now in seen.values())
