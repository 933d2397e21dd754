"""Counting hits and misses: what that costs a request that looks into Redis."""

from collections.abc import Callable, Iterator

from redis import Redis

from perfkit import caches
from perfkit.claims import CPU, Experiment, Operation
from perfkit.meter import Meter, of_process
from perfkit.store import MemoryStore
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="caches",
    claims=["O-64"],
    question="What does a request pay for the count of hits and misses?",
    hypothesis="Counting hits and misses costs nothing that could be noticed.",
    metric=CPU,
    advice="Count the look-ups of every cache, by its name and never by its keys, and watch what "
    "a hit gains beside how often it happens.",
    conditions="A request in process, with one look into Redis on this machine that hits; "
    "perfkit.caches counts in the memory of the process. Processor time of the application alone.",
    matters=0.1,
    precision=0.08,
)


@experiment.before
def uncounted(redis: str) -> Iterator[Operation]:
    """Looks and answers."""
    yield from answering(redis, hit=lambda name: None, miss=lambda name: None)


@experiment.after
def counted(redis: str) -> Iterator[Operation]:
    """Looks, counts and answers."""
    meter = Meter(MemoryStore())
    of_process.join(meter)
    yield from answering(redis, hit=caches.hit, miss=caches.miss)


Count = Callable[[str], None]


def answering(redis: str, hit: Count, miss: Count) -> Iterator[Operation]:
    """Yield what answers one request out of Redis."""
    app, request = RestApplication(), Request("GET", "/")
    with Redis.from_url(redis) as client:
        client.set("claims:counted", "value")

        @app.get("/")
        def item() -> dict[str, str]:
            found = client.get("claims:counted")
            if found is None:
                miss("items")
                return {"item": "none"}
            hit("items")
            return {"item": str(found)}

        yield lambda: app.execute(request)
        client.delete("claims:counted")
