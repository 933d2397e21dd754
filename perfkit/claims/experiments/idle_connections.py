"""A pool after a burst of requests: does it close the connections that nobody uses?"""

import asyncio

import asyncpg

from perfkit.claims import CONNECTIONS, Experiment, Operation

BURST, LEAST = 10, 2
IDLE_S = 0.05

experiment = Experiment(
    theme="pools",
    claims=["O-48"],
    question="How many connections does a pool hold a while after a burst of ten requests?",
    hypothesis="A pool that closes idle connections goes back to its least size.",
    promised=BURST / LEAST,
    metric=CONNECTIONS,
    advice="Set max_inactive_connection_lifetime and leave the closing to the pool: a cleaner of "
    "one's own has to take part in all of its book-keeping. What is closed is missed by the next "
    "burst, so let the least size be the usual one.",
    conditions="asyncpg's pool of 2 to 10; 50 ms without use stand for five minutes, and "
    "what is held after four times as long counts.",
)


@experiment.before
def kept(postgres: str) -> Operation:
    """Keeps every connection."""
    return lambda: held_after_burst(postgres, idle_s=0)


@experiment.after
def closed(postgres: str) -> Operation:
    """Closes those that were idle for a while."""
    return lambda: held_after_burst(postgres, idle_s=IDLE_S)


async def held_after_burst(url: str, *, idle_s: float) -> int:
    """Return how many connections a pool holds that closes them after *idle_s*; 0 is never."""
    async with asyncpg.create_pool(
        url, min_size=LEAST, max_size=BURST, max_inactive_connection_lifetime=idle_s
    ) as pool:
        await asyncio.gather(*(pool.fetchval("SELECT pg_sleep(0.01)") for _ in range(BURST)))
        await asyncio.sleep(4 * IDLE_S)
        return pool.get_size()
