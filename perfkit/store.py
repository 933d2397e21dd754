"""Where a process keeps its numbers: in memory, or in files that other processes read.

A series is a short row of doubles. In memory it is a list. With several workers it is a
part of a file of that worker, mapped into memory: adding to it costs no system call, and
what was added outlives the process, however that ends. Beside each file of numbers lies
one of keys, a JSON line a series in the order of the numbers. A worker keeps its files of
keys locked while it lives, so that a reader can tell the living from the dead.

A file of keys gets its final name only once it is locked and has its numbers: whoever finds
one that is not locked knows that nobody will write there any more.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import mmap
import os
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol, cast
from uuid import uuid4
from weakref import WeakMethod, finalize

FILE_BYTES = 64 * 1024
"""Size of one file of numbers, some 250 histograms; a worker with more opens another."""

DOUBLE_BYTES = 8

KEYS, NUMBERS, UNFINISHED = ".keys", ".numbers", ".new"

logger = logging.getLogger("perfkit")


class Series(NamedTuple):
    """One series as a process wrote it; *alive* tells whether that process still runs."""

    metric: str
    labels: tuple[str, ...]
    numbers: Sequence[float]
    alive: bool


class Store(Protocol):
    """A place for series, which begins afresh in a forked child."""

    def add(self, metric: str, labels: tuple[str, ...], length: int) -> MutableSequence[float]:
        """Return *length* zeros, which the caller adds to under a lock of its own.

        A series may be added twice: whoever reads sums what has the same labels.
        """


class MemoryStore:
    """Series that only this process sees."""

    def __init__(self) -> None:
        self._series: list[Series] = []
        after_fork(self.reopen)

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
    """Series of this process, in a folder where `totals.read_folder` finds those of all workers.

    When the folder fails, say because the disk is full or read-only, the process goes on
    with numbers that nobody sees, and logs it once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.reopen()
        after_fork(self.reopen)

    def reopen(self) -> None:
        """Leave the files, and thereby their locks, to the parent."""
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

    def _file_for(self, length: int) -> _File:
        if not self._files or not self._files[-1].has_room(length):
            self._files.append(_File(self._folder))
        return self._files[-1]


class _File:
    """One file of numbers, and its keys, locked until the process ends."""

    def __init__(self, folder: Path) -> None:
        # A name that nobody had before: what a dead process left may have been added up already.
        path = folder / f"perfkit-{os.getpid()}-{uuid4().hex}"
        unfinished = path.with_suffix(UNFINISHED)
        # The lock is on the keys, for a mapping would carry it over into forked children.
        self._keys = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        finalize(self, os.close, self._keys)
        try:
            fcntl.flock(self._keys, fcntl.LOCK_EX)
            self._numbers = _mapped(path.with_suffix(NUMBERS))
            unfinished.rename(path.with_suffix(KEYS))
        except OSError:
            path.with_suffix(NUMBERS).unlink(missing_ok=True)
            unfinished.unlink(missing_ok=True)
            raise
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


def _mapped(path: Path) -> memoryview[float]:
    """Return a new file of zeros, mapped into memory as doubles."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        # Blocks are taken now: writing to a mapped hole of a full disk kills the process.
        os.posix_fallocate(descriptor, 0, FILE_BYTES)
        return memoryview(mmap.mmap(descriptor, FILE_BYTES)).cast("d")
    finally:
        os.close(descriptor)


def after_fork(begin: Callable[[], None]) -> None:
    """Call the method *begin* in every forked child, as long as its object lives.

    Those who asked first are called first.
    """
    method = WeakMethod(begin)

    def call() -> None:
        living = method()
        if living is not None:
            living()

    os.register_at_fork(after_in_child=call)
