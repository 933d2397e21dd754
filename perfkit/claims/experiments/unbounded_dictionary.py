"""A dictionary as a cache, with a bound or without: the memory it needs by the keys it saw."""

from collections import OrderedDict

from perfkit.claims import PEAK_MEMORY, Experiment, Operation

ENTRIES = 256

experiment = Experiment(
    theme="caches",
    claims=["O-23"],
    question="How much memory does a dictionary need whose entries expire but never leave?",
    hypothesis="A bound keeps the memory of a cache constant.",
    metric=PEAK_MEMORY,
    varies={"keys_seen": [300, 3000, 30_000]},
    because="Without a bound an entry stays after its lifetime until its key is asked for again, "
    "so a dictionary holds every key that was ever seen.",
    advice="Give each cache a bound as well as a lifetime: lru_cache(maxsize=...), or a library "
    "such as cachetools.",
    conditions=f"Each key is stored once with 200 bytes; the bound is {ENTRIES} entries.",
    precision=0.25,
)


@experiment.before
def unbounded(keys_seen: int) -> Operation:
    """Keeps every entry."""

    def fill() -> None:
        cache: dict[int, tuple[float, bytes]] = {}
        for key in range(keys_seen):
            cache[key] = (0.0, bytes(200))

    return fill


@experiment.after
def bounded(keys_seen: int) -> Operation:
    """Drops the oldest entry for each one beyond the bound."""

    def fill() -> None:
        cache: OrderedDict[int, tuple[float, bytes]] = OrderedDict()
        for key in range(keys_seen):
            cache[key] = (0.0, bytes(200))
            if len(cache) > ENTRIES:
                cache.popitem(last=False)

    return fill
