"""Reading a large file in async code: how long everyone else waits for the event loop."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import aiofiles

from perfkit.claims import LOOP_STALL, Experiment, Operation

MEGABYTES = 50

experiment = Experiment(
    theme="async",
    claims=["O-71"],
    question="How long does reading a large file keep the other requests waiting?",
    hypothesis="Async code reads a file without holding the others up.",
    metric=LOOP_STALL,
    advice="Send files the server's way (a file response, or the proxy), and read large ones in "
    "pieces in a thread.",
    conditions=f"{MEGABYTES} MB from the page cache; what counts is how late a task is meanwhile "
    "that wants to run every half a millisecond. From a slow disk both would be longer.",
    precision=0.5,
)


@experiment.before
async def plainly() -> AsyncIterator[Operation]:
    """Reads on the event loop."""
    with TemporaryDirectory() as folder:
        path = large_file(folder)

        async def read() -> int:
            return len(path.read_bytes())

        yield read


@experiment.after
async def with_aiofiles() -> AsyncIterator[Operation]:
    """Reads with aiofiles, which does it in a thread."""
    with TemporaryDirectory() as folder:
        path = large_file(folder)

        async def read() -> int:
            async with aiofiles.open(path, "rb") as file:
                return len(await file.read())

        yield read


def large_file(folder: str) -> Path:
    """Return the path of a new file; it may be read on any of the cores."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    path = Path(folder, "content")
    path.write_bytes(b"x" * (MEGABYTES * 1_000_000))
    return path
