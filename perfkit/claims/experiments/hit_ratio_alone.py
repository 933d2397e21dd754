"""Caches that hit often and seldom, before sources that are cheap and dear: who gains?"""

import time
from collections.abc import Iterator

from redis import Redis

from perfkit.claims import LATENCY, Experiment, Operation

LOOK_UPS = 20

experiment = Experiment(
    theme="caches",
    claims=["O-69"],
    question="Does a hit ratio above 80 % tell that a cache pays?",
    hypothesis="A cache is worth having when it hits in more than four of five look-ups.",
    metric=LATENCY,
    varies={"source_ms": [0.01, 4], "hit_percent": [40, 90]},
    because="Per look-up a cache gains the hit ratio times what the source costs, less what "
    "looking (and storing, after a miss) costs: before a cheap source nothing is gained at any "
    "ratio, before a dear one a few hits are worth it.",
    advice="Watch what a look-up gains, in milliseconds: the hit ratio times what a miss takes, "
    "less what looking takes. Take a cache out that cannot gain, however well it hits.",
    conditions=f"{LOOK_UPS} look-ups in a row in Redis on this machine; the source computes 10 "
    "\N{MICRO SIGN}s, or waits for 4 ms.",
    precision=0.25,
    budget_s=30,
)


@experiment.before
def from_the_source(source_ms: float, hit_percent: int) -> Operation:
    """Asks the source each time."""
    del hit_percent

    def look_ups() -> None:
        for _ in range(LOOK_UPS):
            source(source_ms)

    return look_ups


@experiment.after
def through_the_cache(redis: str, source_ms: float, hit_percent: int) -> Iterator[Operation]:
    """Looks into Redis first, and stores what it had to fetch."""
    hits = LOOK_UPS * hit_percent // 100
    with Redis.from_url(redis) as client:
        client.set("claims:hit", "value")

        def look_ups() -> None:
            for number in range(LOOK_UPS):
                if client.get("claims:hit" if number < hits else "claims:miss") is None:
                    source(source_ms)
                    client.setex("claims:stored", 300, "value")

        yield look_ups
        client.unlink("claims:hit", "claims:stored")


def source(milliseconds: float) -> None:
    """Take so long: by waiting, or where that is too coarse by computing."""
    if milliseconds >= 1:
        time.sleep(milliseconds / 1000)
        return
    until = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < until:
        pass
