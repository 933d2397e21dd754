"""A cache key as it reads, or its MD5: what hashing costs at each look-up."""

import hashlib

from perfkit.claims import LATENCY, Experiment, Operation

experiment = Experiment(
    theme="caches",
    claims=["O-42"],
    question="Is a cache key faster when it is hashed?",
    hypothesis="MD5 of the joined parts makes short keys, and thereby a faster cache.",
    metric=LATENCY,
    varies={"length": [20, 200, 2000]},
    because="A longer key takes longer to join, and longer still to hash.",
    advice="Leave keys readable: a hash costs more than it saves, breaks patterns and tells "
    "nobody what is cached. Hash only what would be longer than a few hundred bytes.",
    conditions="Making the key and looking it up in a dictionary.",
)


@experiment.before
def readable(length: int) -> Operation:
    """Looks up the joined parts."""
    parts = ("products", "x" * length)
    cache = {":".join(parts): 1}
    return lambda: cache[":".join(parts)]


@experiment.after
def md5(length: int) -> Operation:
    """Looks up the MD5 of the joined parts."""
    parts = ("products", "x" * length)
    cache = {hashlib.md5(":".join(parts).encode()).hexdigest(): 1}
    return lambda: cache[hashlib.md5(":".join(parts).encode()).hexdigest()]
