"""The page size of the client's choice in the cache key, or one of a few sizes."""

from collections.abc import Callable, Iterator

from redis import Redis

from perfkit.claims import Experiment, Metric, Operation

LARGEST = 200
SIZES = (20, 50, 100)
PREFIX = "claims:sizes"

experiment = Experiment(
    theme="caches",
    claims=["O-55"],
    question="How many copies of one page does a cache hold when clients choose the page size?",
    hypothesis="A page of a list is cached under its number and its size.",
    metric=Metric("keys too many", "keys", "count"),
    hazard="Every size that a client thinks of is a key of its own, which misses at first, costs "
    "the query and fills Redis; whoever counts per_page up makes as many as they like.",
    advice="Allow a few page sizes, or round up to them and cut the page after the cache. A size "
    "without a limit also lets one request ask for the whole table, and store it.",
    conditions=f"Clients ask for the first page of a list with every size from 1 to {LARGEST}; "
    f"what is counted are the keys in Redis beyond {len(SIZES)}, one for each size worth having.",
)


@experiment.before
def any_size(redis: str) -> Iterator[Operation]:
    """Caches under the size that was asked for."""
    yield from caching(redis, lambda size: size)


@experiment.after
def few_sizes(redis: str) -> Iterator[Operation]:
    """Caches under the next of three sizes, and the largest for all beyond."""
    yield from caching(redis, lambda size: next((one for one in SIZES if one >= size), max(SIZES)))


def caching(redis: str, cached_size: Callable[[int], int]) -> Iterator[Operation]:
    """Yield what asks for every size and returns how many keys too many are left."""
    with Redis.from_url(redis) as client:

        def keys_too_many() -> int:
            for size in range(1, LARGEST + 1):
                key = f"{PREFIX}:1:{cached_size(size)}"
                if client.get(key) is None:
                    client.setex(key, 300, "x" * cached_size(size))
            left = list(client.scan_iter(f"{PREFIX}:*"))
            client.unlink(*left)
            return len(left) - len(SIZES)

        yield keys_too_many
