"""A value from a local cache, or from Redis: what the local level saves, by length of the link."""

from collections.abc import Iterator

from redis import Redis

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

experiment = Experiment(
    theme="caches",
    claims=["O-62"],
    question="How much sooner is a value there from a local cache than from Redis?",
    hypothesis="A local cache before Redis is faster than Redis alone.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 2]},
    because="Redis costs a round trip, the local cache none; without a link what is saved is the "
    "client's own work and a switch between two processes.",
    advice="Keep locally what is read very often and may be old for a moment, bounded and for "
    "seconds. Count first how many looks into Redis a request makes.",
    conditions="A hit at both; the local level is a dictionary, redis-py asks Redis on this "
    "machine, and the round trip is added by a proxy. Each worker has a copy of its own, and "
    "another experiment shows what that does to changes.",
    precision=0.25,
    budget_s=15,
)


@experiment.before
def redis_alone(redis: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Looks into Redis each time."""
    with (
        link.to_url(redis, round_trip_s=round_trip_ms / 1000) as url,
        Redis.from_url(url) as client,
    ):
        client.set("claims:local", "value")
        yield lambda: client.get("claims:local")


@experiment.after
def local_first(redis: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Looks into a dictionary, and into Redis for what is not there."""
    with (
        link.to_url(redis, round_trip_s=round_trip_ms / 1000) as url,
        Redis.from_url(url) as client,
    ):
        client.set("claims:local", "value")
        local: dict[str, object] = {}

        def value() -> object:
            if "claims:local" not in local:
                local["claims:local"] = client.get("claims:local")
            return local["claims:local"]

        yield value
