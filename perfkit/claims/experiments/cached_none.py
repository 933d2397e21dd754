"""A cache filled with what sleeping returns, in place of the data."""

import time
from collections.abc import Callable

from perfkit.claims import ERRORS, Experiment, Operation

REQUESTS = 10

experiment = Experiment(
    theme="caches",
    claims=["O-101"],
    question="How many of ten requests are answered with None by the cache of the example?",
    hypothesis="A cache with a lifetime hides a slow function.",
    metric=ERRORS,
    hazard="result = time.sleep(2) is None, is cached, and is what everyone gets until it expires.",
    advice="Cache what the function returns, and test a cache by what comes out of it the second "
    "time, not by how soon it comes.",
    conditions="Ten requests for one key; what is counted are the answers without the data. The "
    "sleep is one millisecond.",
)


@experiment.before
def result_of_sleeping() -> Operation:
    """Caches what sleeping returns."""
    return lambda: answers_without_data(lambda: time.sleep(0.001))


@experiment.after
def result_of_the_work() -> Operation:
    """Caches what the work returns."""

    def slow() -> dict[str, int]:
        time.sleep(0.001)
        return {"answer": 42}

    return lambda: answers_without_data(slow)


def answers_without_data(slow: Callable[[], object]) -> int:
    """Ask through a new cache and return how many answers lack the data."""
    cache: dict[str, object] = {}

    def cached() -> object:
        if "key" not in cache:
            cache["key"] = slow()
        return cache["key"]

    return sum(cached() != {"answer": 42} for _ in range(REQUESTS))
