"""Reading a cached value that somebody else wrote: pickle runs what it says, JSON does not."""

import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import Redis

from perfkit.claims import ERRORS, Experiment, Operation

KEY = "claims:user:1"

experiment = Experiment(
    theme="caches",
    claims=["O-40"],
    question="Does reading a pickled value from Redis run code that it names?",
    hypothesis="Whoever can write one key runs code of their choice in each process that reads it.",
    metric=ERRORS,
    hazard="pickle.loads runs whatever the value says. One writable Redis, and every worker "
    "that reads from it executes a stranger's code.",
    advice="Keep JSON or MessagePack in a cache: a value that is no data is then an error, "
    "and nothing of it is run.",
    conditions="The value that is read makes an empty folder and does nothing else; what is "
    "counted is whether that folder is there afterwards.",
)


class Planted:
    """A value that, unpickled, makes a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self._folder,)


@experiment.before
def pickle_loads(redis: str) -> Iterator[Operation]:
    """Reads the value with pickle."""
    yield from reading(redis, pickle.loads)


@experiment.after
def json_loads(redis: str) -> Iterator[Operation]:
    """Reads the value as JSON."""
    yield from reading(redis, json.loads)


def reading(redis: str, loads: Callable[[bytes], Any]) -> Iterator[Operation]:
    """Yield what counts how often the planted code ran."""
    with Redis.from_url(redis) as client, tempfile.TemporaryDirectory() as folder:

        def code_that_ran() -> int:
            mark = Path(folder, "ran")
            client.set(KEY, pickle.dumps(Planted(str(mark))))
            with suppress(ValueError):
                loads(client.get(KEY))
            client.delete(KEY)
            ran = mark.exists()
            if ran:
                mark.rmdir()
            return int(ran)

        yield code_that_ran
