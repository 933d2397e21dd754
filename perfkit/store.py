"""Where a process keeps its numbers: in memory, or in files that other processes read.

A series is a short row of doubles. In memory it is a list. With several workers it is a
part of a file of that worker, mapped into memory: adding to it costs no system call, and
what was added outlives the process, however that ends. Beside each file of numbers lies
one of keys, a JSON line a series in the order of the numbers. A worker keeps its files of
keys locked while it lives, so that a reader can tell the living from the dead.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import mmap
import os
from array import array
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from itertools import count
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol, cast
from weakref import finalize

FILE_BYTES = 64 * 1024
"""Size of one file of numbers, some 250 histograms; a worker with more opens another."""

DOUBLE_BYTES = 8

logger = logging.getLogger("perfkit")


class Series(NamedTuple):
    """One series as a process wrote it; *alive* tells whether that process still runs."""

    metric: str
    labels: tuple[str, ...]
    numbers: Sequence[float]
    alive: bool


class Store(Protocol):
    """A place for series."""

    def add(self, metric: str, labels: tuple[str, ...], length: int) -> MutableSequence[float]:
        """Return *length* zeros, which the caller adds to under a lock of its own.

        A series may be added twice: whoever reads sums what has the same labels.
        """

    def reopen(self) -> None:
        """Begin afresh in a forked child: what was added so far belongs to the parent."""


class MemoryStore:
    """Series that only this process sees."""

    def __init__(self) -> None:
        self._series: list[Series] = []

    def add(self, metric: str, labels: tuple[str, ...], length: int) -> MutableSequence[float]:
        """Return *length* zeros."""
        numbers = [0.0] * length
        self._series.append(Series(metric, labels, numbers, alive=True))
        return numbers

    def reopen(self) -> None:
        """Forget the series of the parent."""
        self._series = []

    def read(self) -> Iterable[Series]:
        """Return every series, with its numbers as they are now."""
        return tuple(self._series)


class FolderStore:
    """Series of this process, in a folder where `read_folder` finds those of all workers.

    When the folder fails, say because the disk is full, the process goes on with numbers
    that nobody sees, and logs it once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._files: list[_File] = []
        self._failed = False

    def add(self, metric: str, labels: tuple[str, ...], length: int) -> MutableSequence[float]:
        """Return *length* zeros of the newest file, or of a new one when that is full."""
        with self._lock:
            if not self._failed:
                try:
                    return self._file_for(length).add(metric, labels, length)
                except OSError as error:
                    self._failed = True
                    logger.error(
                        "New metrics of process %d are lost from here on: %s", os.getpid(), error
                    )
        return [0.0] * length

    def reopen(self) -> None:
        """Leave the files, and thereby their locks, to the parent."""
        self._lock = Lock()
        self._files = []
        self._failed = False

    def _file_for(self, length: int) -> _File:
        if not self._files or not self._files[-1].has_room(length):
            self._files.append(_File(self._folder))
        return self._files[-1]


class _File:
    """One file of numbers, and its keys, locked until the process ends."""

    def __init__(self, folder: Path) -> None:
        descriptor, path = _create(folder)
        try:
            # Blocks are taken now: writing to a mapped hole of a full disk kills the process.
            os.posix_fallocate(descriptor, 0, FILE_BYTES)
            self._numbers = memoryview(mmap.mmap(descriptor, FILE_BYTES)).cast("d")
        finally:
            os.close(descriptor)
        # The lock is on the keys, for a mapping would carry it over into forked children.
        self._keys = os.open(path.with_suffix(".keys"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        finalize(self, os.close, self._keys)
        fcntl.flock(self._keys, fcntl.LOCK_EX)
        self._used = 0

    def has_room(self, length: int) -> bool:
        return self._used + length <= len(self._numbers)

    def add(self, metric: str, labels: tuple[str, ...], length: int) -> MutableSequence[float]:
        line = json.dumps([metric, labels, length]).encode() + b"\n"
        if os.write(self._keys, line) < len(line):  # and the next one would be garbled
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        start, self._used = self._used, self._used + length
        # A view of a writable mapping is written like any sequence of fixed length.
        return cast(MutableSequence[float], self._numbers[start : self._used])


def _create(folder: Path) -> tuple[int, Path]:
    """Create a file under a name that neither this process nor a dead namesake has used."""
    numbering = count()
    while True:
        path = folder / f"perfkit-{os.getpid()}-{next(numbering)}.numbers"
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), path
        except FileExistsError:
            continue


def read_folder(folder: Path) -> Iterator[Series]:
    """Yield every series that any worker wrote to *folder*, with its numbers as of now."""
    for path in sorted(folder.glob("perfkit-*.keys")):
        alive = _is_locked(path)
        # The last line may be half written, and then has no numbers either.
        lines = path.read_bytes().split(b"\n")[:-1]
        keys = [json.loads(line) for line in lines]
        numbers = array("d")
        with path.with_suffix(".numbers").open("rb") as file:
            numbers.frombytes(file.read(DOUBLE_BYTES * sum(length for *_, length in keys)))
        start = 0
        for metric, labels, length in keys:
            yield Series(metric, tuple(labels), numbers[start : start + length], alive)
            start += length


def live_processes(folder: Path) -> set[int]:
    """Return the numbers of the processes that write to *folder* now."""
    return {
        int(path.name.split("-")[1]) for path in folder.glob("perfkit-*.keys") if _is_locked(path)
    }


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
