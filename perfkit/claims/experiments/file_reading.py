"""Reading a file in async code: as ever, or through aiofiles, by the file's size."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import aiofiles

from perfkit.claims import LATENCY, Experiment, Operation

experiment = Experiment(
    theme="async",
    claims=["O-71"],
    question="How much sooner is a file read with async code?",
    hypothesis="Async code helps with files as it does with networks.",
    metric=LATENCY,
    varies={"kilobytes": [1, 100, 5000]},
    because="The operating system reads files for whoever waits: aiofiles opens, reads and "
    "closes in threads, three hand-overs a file, and the file is there no sooner.",
    advice="Read small files as ever. Hand a large read as a whole to one thread, for the sake "
    "of the other requests, not of this one.",
    conditions="The file is in the page cache, as one that is often served; one read at a time.",
    precision=0.2,
)


@experiment.before
async def plainly(kilobytes: int) -> AsyncIterator[Operation]:
    """Opens and reads on the event loop."""
    with TemporaryDirectory() as folder:
        path = file_of(folder, kilobytes)

        async def read() -> bytes:
            return path.read_bytes()

        yield read


@experiment.after
async def with_aiofiles(kilobytes: int) -> AsyncIterator[Operation]:
    """Opens and reads with aiofiles."""
    with TemporaryDirectory() as folder:
        path = file_of(folder, kilobytes)

        async def read() -> bytes:
            async with aiofiles.open(path, "rb") as file:
                return await file.read()

        yield read


def file_of(folder: str, kilobytes: int) -> Path:
    """Return the path of a new file of so many kilobytes."""
    path = Path(folder, "content")
    path.write_bytes(b"x" * (1000 * kilobytes))
    return path
