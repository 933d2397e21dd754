"""A dictionary with a lifetime at the moment it expires: all ask the source, or one does."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

from perfkit.claims import CALLS, Experiment, Operation

THREADS = 16
SOURCE_SECONDS = 0.05

experiment = Experiment(
    theme="caches",
    claims=["O-23"],
    question="How many calls too many reach a slow source when a cached value expires?",
    hypothesis="A dictionary with a lifetime hides a slow source.",
    metric=CALLS,
    hazard="At the moment of expiry nothing is in the cache until the first answer is back, so "
    "every request of that time goes to the source: just when it is slow, it gets them all.",
    advice="Let one request fetch and the others wait for it (single flight), or give them the "
    "old value meanwhile.",
    conditions=f"{THREADS} threads ask at once for one expired key; the source takes "
    f"{SOURCE_SECONDS * 1000:.0f} ms. What is counted are the calls beyond the one needed.",
)

Fetch = Callable[[], int]


@experiment.before
def each_for_itself() -> Operation:
    """Looks, and fetches if there is nothing fresh."""

    def read(cache: dict[str, int], fetch: Fetch) -> int:
        if "data" not in cache:
            cache["data"] = fetch()
        return cache["data"]

    return lambda: calls_too_many(read)


@experiment.after
def one_for_all() -> Operation:
    """Takes a lock to fetch, and looks again once it has it."""
    fetching = Lock()

    def read(cache: dict[str, int], fetch: Fetch) -> int:
        if "data" not in cache:
            with fetching:
                if "data" not in cache:
                    cache["data"] = fetch()
        return cache["data"]

    return lambda: calls_too_many(read)


def calls_too_many(read: Callable[[dict[str, int], Fetch], int]) -> int:
    """Let all threads read from an expired cache and return the calls that were not needed."""
    cache: dict[str, int] = {}
    calls: list[int] = []
    ready = Barrier(THREADS)

    def fetch() -> int:
        calls.append(1)
        time.sleep(SOURCE_SECONDS)
        return 42

    def request() -> int:
        ready.wait()
        return read(cache, fetch)

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [pool.submit(request) for _ in range(THREADS)]
    assert [answer.result() for answer in answers] == [42] * THREADS
    return len(calls) - 1
