"""A cache without a bound and one with: told by resident memory or by what is left."""

from collections.abc import Callable
from itertools import count

import psutil

from perfkit.claims import Experiment, Metric, Operation
from perfkit.leaks import leak_check
from restmachine import Request, RestApplication

REQUESTS, BOUND, MIB = 480, 10, 2**20
NUMBERS = count(1_000_000)

experiment = Experiment(
    theme="monitoring",
    claims=["O-89"],
    question="Does watching memory tell a cache that grows for ever from one that has a bound?",
    hypothesis="Watching memory finds what grows without bound, and that alone.",
    promised=2,
    metric=Metric("right answers", "of 2", "count", higher_is_better=True),
    advice="Give every cache, history and registry a bound, and let a test answer some hundred "
    "requests and look at what each left behind: perfkit.leaks.leak_check names the lines. "
    "Resident memory shows a leak of some bytes a request after days, not in a test.",
    conditions=f"A dictionary by key, without a bound or with {BOUND} entries, and {REQUESTS} "
    "different requests in process. By resident memory those leak which grew by a mebibyte. A "
    "cache that is still filling when the check ends would look like a leak.",
)

Leaks = Callable[[RestApplication], bool]


@experiment.before
def by_resident_memory() -> Operation:
    """Compares the resident memory of the process before and after."""

    def leaks(app: RestApplication) -> bool:
        before = psutil.Process().memory_info().rss
        for _ in range(REQUESTS):
            app.execute(another())
        return psutil.Process().memory_info().rss - before > MIB

    return lambda: right_answers(leaks)


@experiment.after
def by_what_is_left() -> Operation:
    """Has perfkit look at what each round of requests left behind."""
    return lambda: right_answers(lambda app: leak_check(app, another, n=REQUESTS).leaks)


def another() -> Request:
    """Return a request for an item that nobody has asked for."""
    return Request("GET", f"/items/{next(NUMBERS)}")


def right_answers(leaks: Leaks) -> int:
    """Check both applications and return how many are told for what they are."""
    growing, bounded = application(None), application(BOUND)
    return leaks(growing) + (not leaks(bounded))


def application(bound: int | None) -> RestApplication:
    """Keep the answers to all requests, or to the last of them."""
    app = RestApplication()
    answers: dict[str, str] = {}

    @app.get("/items/{number}")
    def read(number: str) -> str:
        if len(answers) == bound:
            del answers[next(iter(answers))]
        return answers.setdefault(number, f"item {number}")

    return app
