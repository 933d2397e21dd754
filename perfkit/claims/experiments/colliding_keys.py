"""Cache keys from parts joined by a colon: different parts can make the same key."""

import hashlib
import json
from collections.abc import Callable

from perfkit.claims import ERRORS, Experiment, Operation

LOOKUPS = [
    ("user", "1:posts"), ("user:1", "posts"),
    ("search", "a:b", "c"), ("search", "a", "b:c"),
    ("tenant", "x", "1"), ("tenant", "x:1"),
]  # fmt: skip

experiment = Experiment(
    theme="caches",
    claims=["O-42"],
    question="Can two look-ups with different parts get one another's cached answer?",
    hypothesis="Parts that contain the separator make equal keys, hashed or not.",
    metric=ERRORS,
    hazard="Two different look-ups share one entry: a user is shown what was cached for another.",
    advice="Encode the parts so that their borders stay visible, as JSON does, or forbid the "
    "separator in them. Hashing afterwards only hides the collision, and the key's meaning.",
    conditions="Three pairs of look-ups that differ only in where a colon stands.",
)


@experiment.before
def joined() -> Operation:
    """Hashes the parts joined by colons."""
    return asking(lambda parts: hashlib.md5(":".join(parts).encode()).hexdigest())


@experiment.after
def encoded() -> Operation:
    """Uses the parts as a JSON list for the key."""
    return asking(json.dumps)


def asking(key_of: Callable[[tuple[str, ...]], str]) -> Operation:
    """Return what counts the look-ups that are answered with another's value."""

    def wrong_answers() -> int:
        cache: dict[str, tuple[str, ...]] = {}
        return sum(cache.setdefault(key_of(parts), parts) != parts for parts in LOOKUPS)

    return wrong_answers
