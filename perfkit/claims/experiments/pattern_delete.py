"""Invalidating a list by a pattern: DEL takes the pattern for the name of one key."""

from collections.abc import Callable, Iterator

from redis import Redis

from perfkit.claims import ERRORS, Experiment, Operation

PAGES = 100

experiment = Experiment(
    theme="caches",
    claims=["O-60"],
    question="How many stale pages are left after a pattern was deleted?",
    hypothesis="delete('products:*') removes the cached pages.",
    metric=ERRORS,
    hazard="DEL knows no patterns: it looks for a key of that very name, finds none and says 0. "
    "Every cached page stays as it was until it expires.",
    advice="Put a version into the keys and count it up, or walk with SCAN and UNLINK what "
    "matches. Look at the number that DEL answers.",
    conditions="A hundred cached pages; what is counted are the pages still there.",
)


@experiment.before
def deleted_by_pattern(redis: str) -> Iterator[Operation]:
    """Deletes the pattern."""
    yield from invalidating(redis, lambda client: client.delete("claims:products:*"))


@experiment.after
def unlinked_by_scan(redis: str) -> Iterator[Operation]:
    """Unlinks each key that SCAN finds."""
    yield from invalidating(
        redis, lambda client: client.unlink(*client.scan_iter("claims:products:*"))
    )


def invalidating(redis: str, invalidate: Callable[[Redis], object]) -> Iterator[Operation]:
    """Yield what fills the cache, invalidates it, and counts what is left."""
    with Redis.from_url(redis) as client:
        pages = {f"claims:products:{page}": "stale" for page in range(PAGES)}

        def stale_pages() -> int:
            client.mset(pages)
            invalidate(client)
            left = sum(value is not None for value in client.mget(list(pages)))
            client.unlink(*pages)
            return left

        yield stale_pages
