"""Clearing a pattern from Redis: how long another client waits meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator

from redis import Redis

from perfkit.claims import OTHERS_WAIT, Experiment, Operation

# Run by Redis itself, which needs no list of names from here.
FILL = "for n = 1, ARGV[1] do redis.call('set', 'claims:entry:' .. n, '') end"
EMPTY = "for n = 1, ARGV[1] do redis.call('unlink', 'claims:entry:' .. n) end"

experiment = Experiment(
    theme="caches",
    claims=["O-43"],
    question="How long does Redis keep other clients waiting while one clears a pattern?",
    hypothesis="KEYS answers in one go, and nobody else is served until it has.",
    metric=OTHERS_WAIT,
    varies={"keys": [1000, 300_000]},
    because="KEYS looks at all keys of the database before Redis serves anybody else; SCAN looks "
    "at so many at a time.",
    hazard="KEYS stops Redis for everyone, for longer the more keys it holds.",
    advice="Walk with SCAN and remove with UNLINK, or put a version into the key and leave the old "
    "ones to expire.",
    conditions="Another client sends PING all the while; what counts is its longest wait, to "
    "which the scheduling of two processes and a thread adds. No key matches the pattern.",
    precision=0.5,
    budget_s=30,
)


@experiment.before
def keys_command(redis: str, keys: int) -> Iterator[Operation]:
    """Finds the matching keys with KEYS."""
    yield from watched(redis, keys, lambda client: client.keys("nothing:*"))


@experiment.after
def scan_command(redis: str, keys: int) -> Iterator[Operation]:
    """Finds the matching keys with SCAN, 1000 at a time."""
    yield from watched(redis, keys, lambda client: list(client.scan_iter("nothing:*", count=1000)))


def watched(redis: str, count: int, clear: Callable[[Redis], object]) -> Iterator[Operation]:
    """Yield what clears a database of *count* keys and tells the longest PING meanwhile."""
    # A database for each size, which all processes of the run share.
    with (
        Redis.from_url(redis, db=len(str(count))) as client,
        Redis.from_url(redis, db=len(str(count))) as other,
    ):
        if not client.exists(f"claims:entry:{count}"):
            client.eval(FILL, 0, count)

        def longest_wait() -> float:
            done = threading.Event()
            waits = []

            def ping() -> None:
                while not done.is_set():
                    started = time.perf_counter()
                    other.ping()
                    waits.append(time.perf_counter() - started)

            pinging = threading.Thread(target=ping)
            pinging.start()
            clear(client)
            done.set()
            pinging.join()
            return max(waits)

        yield longest_wait


@experiment.prepare
def emptied(redis: str) -> Iterator[None]:
    """Leave nothing behind."""
    yield
    for count in map(int, experiment.varies["keys"]):
        with Redis.from_url(redis, db=len(str(count))) as client:
            client.eval(EMPTY, 0, count)
