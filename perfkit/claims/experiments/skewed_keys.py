"""The queries that a cache spares, by how the keys are spread and how long entries live."""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate

from perfkit.claims import QUERIES, Experiment, Operation

KEYS, PER_SECOND, SECONDS = 2000, 10, 2000

experiment = Experiment(
    theme="caches",
    claims=["O-77"],
    promised=5,
    question="Does a cache hit in four of five look-ups once it is warm?",
    hypothesis="After warming up more than 80 % are hits: a fifth of the queries is left.",
    metric=QUERIES,
    varies={"lifetime_s": [30, 300, 900], "keys": ["evenly", "by Zipf's law"]},
    because="A key is a hit when it was asked for within its lifetime. Spread evenly, each key is "
    "asked for every few minutes; by Zipf's law a few are asked for all the time, and most hardly "
    "ever.",
    advice="State the spread of the keys and the lifetime with any hit ratio, and count it where "
    "your users are. A longer lifetime buys hits with older answers.",
    conditions=f"Simulated from a fixed seed: {KEYS} keys, {PER_SECOND} requests a second for "
    f"{SECONDS} s, the first half to warm up; a cache with room for all. Queries of the second "
    "half; Zipf's exponent is 1.",
)


@experiment.before
def uncached(lifetime_s: int, keys: str) -> Operation:
    """Sends every request to the database."""
    del lifetime_s
    return lambda: sum(at >= SECONDS / 2 for at, _ in requests(keys))


@experiment.after
def cached(lifetime_s: int, keys: str) -> Operation:
    """Sends those on that find nothing fresh."""

    def queries() -> int:
        fresh_until: dict[int, float] = {}
        asked = 0
        for at, key in requests(keys):
            if at >= fresh_until.get(key, 0.0):
                fresh_until[key] = at + lifetime_s
                asked += at >= SECONDS / 2
        return asked

    return queries


def requests(keys: str) -> Iterator[tuple[float, int]]:
    """Return when which key is asked for."""
    lot = random.Random(7)
    count = PER_SECOND * SECONDS
    weights: Sequence[float] = [1.0] * KEYS
    if keys == "by Zipf's law":
        weights = [1 / rank for rank in range(1, KEYS + 1)]
    chosen = lot.choices(range(KEYS), cum_weights=list(accumulate(weights)), k=count)
    return ((number / PER_SECOND, key) for number, key in enumerate(chosen))
