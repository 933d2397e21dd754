"""A cache of one's own, without a bound and with one: whether a check tells them apart."""

from collections.abc import Callable
from itertools import count

from perfkit.claims import Experiment, Metric, Operation
from perfkit.leaks import leak_check
from restmachine import Request, RestApplication

REQUESTS, BOUND = 600, 10
NUMBERS = count(1_000_000)

experiment = Experiment(
    theme="monitoring",
    claims=["O-89"],
    question="Does a check of memory find state that grows without bound, and only that?",
    hypothesis="Watching memory finds what grows with each request.",
    metric=Metric("leaks found", "leaks", "count"),
    hazard="Global state without a bound grows with every new key until the process is killed; "
    "nothing in an answer tells of it.",
    advice="Give every cache, history and registry a bound, and let a test answer some hundred "
    "requests and look at what each left behind: perfkit.leaks.leak_check names the lines.",
    conditions=f"A dictionary by key with {BOUND} entries or without a bound, and {REQUESTS} "
    "different requests in process. A cache that is still filling when the check ends would "
    "look like a leak.",
)


@experiment.before
def without_bound() -> Operation:
    """Keeps every answer."""
    answers: dict[str, str] = {}
    return lambda: leaks_found(lambda key: answers.setdefault(key, f"item {key}"))


@experiment.after
def with_a_bound() -> Operation:
    """Keeps the last answers."""
    answers: dict[str, str] = {}

    def answer(key: str) -> str:
        if len(answers) >= BOUND:
            del answers[next(iter(answers))]
        return answers.setdefault(key, f"item {key}")

    return lambda: leaks_found(answer)


def leaks_found(answer: Callable[[str], str]) -> int:
    """Check an application and return 1 if it is said to leak, else 0."""
    app = RestApplication()

    @app.get("/items/{number}")
    def read(number: str) -> str:
        return answer(number)

    report = leak_check(app, lambda: Request("GET", f"/items/{next(NUMBERS)}"), n=REQUESTS)
    return int(report.leaks)
