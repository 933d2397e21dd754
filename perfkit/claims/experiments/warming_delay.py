"""What warming costs: all the time until the requests of the first minute are answered."""

from collections.abc import Iterator

import psycopg
from redis import Redis

from perfkit.claims import LATENCY, Experiment, Operation

KEYS = [f"claims:delay:{number}" for number in range(20)]

experiment = Experiment(
    theme="caches",
    claims=["O-63"],
    question="Does warming gain anything over a start and its first requests together?",
    hypothesis="A cache filled at the start is time well spent.",
    metric=LATENCY,
    varies={"keys_asked_for": [1, 5, 15]},
    because="Warming pays for every key before the server is ready; without it a key is paid for "
    "when it is asked for, and not at all if it never is.",
    advice="Warming moves the wait from the first users to the start, where a deployment or a "
    "restart after a crash waits for it. Warm little, by one query for many keys, or afterwards.",
    conditions=f"From the start until the last of the first requests is answered; {len(KEYS)} "
    "keys are warmed, one query of 1 ms in PostgreSQL for each.",
    precision=0.25,
)


@experiment.before
def cold(postgres: str, redis: str, keys_asked_for: int) -> Iterator[Operation]:
    """Is ready at once."""
    yield from starting(postgres, redis, keys_asked_for, warms=False)


@experiment.after
def warmed(postgres: str, redis: str, keys_asked_for: int) -> Iterator[Operation]:
    """Reads every key before it is ready."""
    yield from starting(postgres, redis, keys_asked_for, warms=True)


@experiment.beside
def warmed_by_one_query(postgres: str, redis: str, keys_asked_for: int) -> Iterator[Operation]:
    """Reads all keys by one query before it is ready."""
    with psycopg.connect(postgres, autocommit=True) as connection, Redis.from_url(redis) as client:

        def start_and_first_requests() -> None:
            client.unlink(*KEYS)
            connection.execute("SELECT pg_sleep(0.001)")
            client.mset(dict.fromkeys(KEYS, "found"))
            for key in KEYS[:keys_asked_for]:
                assert client.get(key) is not None

        yield start_and_first_requests
        client.unlink(*KEYS)


def starting(postgres: str, redis: str, keys_asked_for: int, *, warms: bool) -> Iterator[Operation]:
    """Yield what starts anew and answers the first requests."""
    with psycopg.connect(postgres, autocommit=True) as connection, Redis.from_url(redis) as client:

        def read(key: str) -> None:
            if client.get(key) is None:
                connection.execute("SELECT pg_sleep(0.001)")
                client.setex(key, 300, "found")

        def start_and_first_requests() -> None:
            client.unlink(*KEYS)
            for key in KEYS if warms else ():
                read(key)
            for key in KEYS[:keys_asked_for]:
                read(key)

        yield start_and_first_requests
        client.unlink(*KEYS)
