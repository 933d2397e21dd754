"""The state of a job in Redis, written with `await` on a client that is not async."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import redis.asyncio
from redis import Redis

from perfkit.claims import ERRORS, Experiment, Operation

JOBS = 10

experiment = Experiment(
    theme="background work",
    claims=["O-84"],
    question="How many jobs that succeeded are stored as failed?",
    hypothesis="A job keeps its state in Redis, where clients can ask for it.",
    metric=ERRORS,
    hazard="The synchronous client writes 'completed' and returns True, which cannot be awaited; "
    "the handler of errors takes that for the job's failure, writes 'failed', and raises again.",
    advice="Use redis.asyncio in async code, and keep the job apart from the record of it: "
    "nothing but the job's own error may make it failed. Give clients a route to ask.",
    conditions=f"{JOBS} jobs that all succeed; what is counted are those stored as failed.",
)


@experiment.before
async def synchronous(redis: str) -> AsyncIterator[Operation]:
    """Awaits what the synchronous client returns."""
    with Redis.from_url(redis) as client:
        yield lambda: stored_as_failed(client.setex, redis)


@experiment.after
async def asynchronous(redis: str) -> AsyncIterator[Operation]:
    """Awaits what the asynchronous client returns."""
    async with async_client(redis) as client:
        yield lambda: stored_as_failed(client.setex, redis)


def async_client(url: str) -> redis.asyncio.Redis:
    """Return a client whose commands are awaited."""
    return redis.asyncio.Redis.from_url(url, decode_responses=True)


async def stored_as_failed(store: Callable[..., Awaitable[object]], url: str) -> int:
    """Run the jobs and return how many of them Redis calls failed."""
    keys = [f"claims:job:{number}" for number in range(JOBS)]
    for key in keys:
        # What the second await raises ends in the log of a background task.
        with suppress(TypeError):
            await job(store, key)
    async with async_client(url) as client:
        states = [json.loads(str(state))["status"] for state in await client.mget(keys)]
        await client.unlink(*keys)
    return states.count("failed")


async def job(store: Callable[..., Awaitable[object]], key: str) -> None:
    """Work, and write how that went."""
    try:
        await asyncio.sleep(0)
        await store(key, 60, json.dumps({"status": "completed"}))
    # As in the example: every error is the job's.
    except Exception as error:
        await store(key, 60, json.dumps({"status": "failed", "error": str(error)}))
