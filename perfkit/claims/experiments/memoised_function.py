"""A pure function with lru_cache: what a hit saves depends on what the call costs."""

from collections.abc import Callable
from functools import lru_cache

from perfkit.claims import LATENCY, Experiment, Operation

experiment = Experiment(
    theme="caches",
    claims=["O-22", "O-68"],
    question="From which cost on does lru_cache pay for a pure function?",
    hypothesis="A repeated call with equal arguments costs the same, however dear the first was.",
    metric=LATENCY,
    varies={"terms": [1, 3, 10, 100, 1000]},
    because="A hit costs a hash and a look-up whatever it saves, so a call that is as cheap as "
    "those gains nothing.",
    advice="Put lru_cache on pure functions that cost more than a microsecond and get the same "
    "arguments again. It never forgets by age, and every process has its own.",
    conditions="Every call is a hit; the function adds up so many square numbers.",
)


def sum_of_squares(terms: int) -> int:
    """Return the sum of the first square numbers."""
    total = 0
    for number in range(terms):
        total += number * number
    return total


@experiment.before
def computed(terms: int) -> Operation:
    """Computes the sum at each call."""
    return asking(sum_of_squares, terms)


@experiment.after
def memoised(terms: int) -> Operation:
    """Takes the sum from lru_cache."""
    return asking(lru_cache(maxsize=1000)(sum_of_squares), terms)


def asking(function: Callable[[int], int], terms: int) -> Operation:
    """Return the call that is measured."""
    return lambda: function(terms)
