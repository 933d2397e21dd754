"""A synchronous Redis client in a coroutine: how long every other request waits."""

from collections.abc import AsyncIterator, Iterator

import redis.asyncio
from redis import Redis

from perfkit.claims import LOOP_STALL, Experiment, Operation
from perfkit.claims.link import Links

experiment = Experiment(
    theme="caches",
    claims=["O-76"],
    question="How long does the loop stand still while a coroutine asks Redis synchronously?",
    hypothesis="A look into the cache costs a request a millisecond.",
    metric=LOOP_STALL,
    varies={"round_trip_ms": [1, 10]},
    because="The loop stands still as long as Redis takes to answer; an await lets others run.",
    hazard="In async def the synchronous client stops the loop, and with it every other request "
    "of the process, for a round trip each; when Redis hangs, all hangs.",
    advice="Use redis.asyncio in coroutines, with a timeout. In a handler without async, which "
    "restmachine runs in a thread, the synchronous client is right.",
    conditions="One GET over a link of so many milliseconds. What counts is how late a task is "
    "meanwhile that wants to run every half a millisecond.",
    precision=0.5,
)


@experiment.before
def synchronous(redis: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Asks without await."""
    with (
        link.to_url(redis, round_trip_s=round_trip_ms / 1000) as url,
        Redis.from_url(url) as client,
    ):

        async def look_up() -> None:
            client.get("claims:any")

        yield look_up


@experiment.after
async def asynchronous(redis: str, link: Links, round_trip_ms: float) -> AsyncIterator[Operation]:
    """Awaits the answer."""
    with link.to_url(redis, round_trip_s=round_trip_ms / 1000) as url:
        async with async_client(url) as client:

            async def look_up() -> None:
                await client.get("claims:any")

            yield look_up


def async_client(url: str) -> redis.asyncio.Redis:
    """Return a client whose commands are awaited."""
    return redis.asyncio.Redis.from_url(url)
