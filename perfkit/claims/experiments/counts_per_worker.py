"""Hits counted in the memory of each of two workers, and asked for at one of them."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence

from redis import Redis

from perfkit.claims import ERRORS, Experiment, Operation

WORKERS, LOOK_UPS = 2, 50
COUNTS = "claims:lookups"
FORK = multiprocessing.get_context("fork")

experiment = Experiment(
    theme="caches",
    claims=["O-64"],
    question="How many look-ups are missing from what one of two workers says?",
    hypothesis="A counter in the process tells the hits of the application.",
    metric=ERRORS,
    hazard="Every worker counts its own, and whoever answers the question tells but its own "
    "share, another one each time.",
    advice="Add the workers up where they are read: Prometheus does that for workers it can reach "
    "one by one, otherwise let them share a place. perfkit's exporter adds up its workers.",
    conditions=f"{WORKERS} processes with {LOOK_UPS} look-ups each; what is counted are the "
    "look-ups that the answer lacks.",
)


@experiment.before
def counted_in_each(redis: str) -> Operation:
    """Asks one worker for its own count."""
    return lambda: WORKERS * LOOK_UPS - answers(redis, shared="")[0]


@experiment.after
def counted_together(redis: str) -> Iterator[Operation]:
    """Lets both add to one count in Redis."""
    with Redis.from_url(redis) as client:

        def missing() -> int:
            client.delete(COUNTS)
            return WORKERS * LOOK_UPS - max(answers(redis, shared=COUNTS))

        yield missing
        client.delete(COUNTS)


def answers(redis: str, shared: str) -> Sequence[int]:
    """Let the workers work at once and return what each says in the end."""
    said = FORK.SimpleQueue()
    workers = [FORK.Process(target=work, args=[redis, shared, said.put]) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [said.get() for _ in workers]


def work(redis: str, shared: str, say: Callable[[int], None]) -> None:
    """Look up, count where one was told to, and say what one knows."""
    own = 0
    with Redis.from_url(redis) as client:
        for _ in range(LOOK_UPS):
            client.get("claims:any")
            own += 1
        say(int(client.incrby(shared, own)) if shared else own)
