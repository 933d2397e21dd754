"""Adds up what processes wrote: for a scrape, and to keep the folder of workers small.

What dead workers left is added up into one file, `perfkit.totals`, from time to time. Whoever
is killed in the middle of that, and wherever, no reader counts anything twice or misses it:

1. One process at a time does it, under a lock that ends with the process.
2. The new totals name the files which are added up in them. They are written beside the old
   ones and take their place in one step: before it nothing has changed, and after it readers
   leave out the files that are named, whether they are still there or not.
3. Then those files are removed; what is left of them by one that was killed, the next removes
   before it adds up anything else.

A reader reads the totals, then the files, then whether the totals are still the same; if not,
it reads again. So it never combines files of one moment with totals of another.
"""

from __future__ import annotations

import fcntl
import json
import logging
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from perfkit.exemplars import EXEMPLARS, latest
from perfkit.metrics import TABLE
from perfkit.store import DOUBLE_BYTES, KEYS, NUMBERS, UNFINISHED, Series

FEW_DEAD = 8
"""Files of dead workers that a reader reads one by one; with more, they are added up first."""

UNFINISHED_SECONDS = 60.0
"""Age from which a file that was never finished is taken for that of a killed process."""

TOTALS = "perfkit.totals"
LOCK = "perfkit.lock"
GAUGES = frozenset(row.name for row in TABLE if row.kind == "gauge")

Key = tuple[str, tuple[str, ...], int]
"""The name of a metric, labels, and how many numbers there are."""

Sums = dict[tuple[str, tuple[str, ...]], Sequence[float]]
"""Numbers by the name of a metric and its labels."""

logger = logging.getLogger("perfkit")

_one_thread = Lock()


def summed(series: Iterable[Series]) -> Sums:
    """Return the sum of all series with the same name and labels; gauges only of the living."""
    sums: Sums = {}
    for metric, labels, numbers, alive in series:
        if metric in GAUGES and not alive:
            continue
        key = (metric, labels)
        so_far = sums.get(key)
        if so_far is None:
            sums[key] = numbers
        elif metric == EXEMPLARS:
            sums[key] = latest(so_far, numbers)
        else:
            sums[key] = [a + b for a, b in zip(so_far, numbers, strict=True)]
    return sums


@dataclass(frozen=True)
class _Totals:
    """What was added up so far; *generation* grows, *absorbed* names files by their stem."""

    generation: int
    absorbed: frozenset[str]
    series: Sequence[Series]

    @classmethod
    def read(cls, folder: Path) -> _Totals:
        try:
            content = (folder / TOTALS).read_bytes()
        except FileNotFoundError:
            return cls(0, frozenset(), ())
        head, keys, numbers = content.split(b"\n", 2)
        generation, absorbed = json.loads(head)
        read = [(metric, tuple(labels), length) for metric, labels, length in json.loads(keys)]
        return cls(generation, frozenset(absorbed), _split(read, numbers, False))

    def write(self, folder: Path) -> None:
        keys = [(each.metric, each.labels, len(each.numbers)) for each in self.series]
        numbers = array("d")
        for each in self.series:
            numbers.extend(each.numbers)
        lines = (json.dumps(part).encode() for part in ([self.generation, [*self.absorbed]], keys))
        unfinished = folder / f"{TOTALS}.new"
        unfinished.write_bytes(b"\n".join((*lines, numbers.tobytes())))
        unfinished.rename(folder / TOTALS)


def read_folder(folder: Path) -> Sequence[Series]:
    """Return every series that any worker wrote to *folder*, with its numbers as of now."""
    while True:
        totals = _Totals.read(folder)
        found = [each for path in _key_files(folder, totals) for each in _read_file(path)]
        if _generation(folder) == totals.generation:
            return [*totals.series, *found]


def compact(folder: Path, few: int = FEW_DEAD) -> None:
    """Add up what dead workers left in *folder* when it is more than a *few* files.

    Raises:
        OSError: The folder cannot be written to; nothing is lost.
    """
    if len(_dead(folder, _Totals.read(folder))) <= few:
        return
    with _alone(folder) as alone:
        if alone:
            _add_up(folder, _Totals.read(folder))


def _add_up(folder: Path, before: _Totals) -> None:
    _remove(folder, before.absorbed)
    _remove_unfinished(folder)
    dead = _dead(folder, before)
    if not dead:
        return
    left = (each for path in dead for each in _read_file(path))
    sums = summed([*before.series, *left])
    after = _Totals(
        before.generation + 1,
        frozenset(path.stem for path in dead),
        [Series(metric, labels, numbers, False) for (metric, labels), numbers in sums.items()],
    )
    after.write(folder)
    _remove(folder, after.absorbed)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this thread, of all processes, is the one to add up; nobody waits for another."""
    if not _one_thread.acquire(blocking=False):
        yield False
        return
    try:
        # Unlike flock, such a lock is not carried over into a child that is forked meanwhile.
        with (folder / LOCK).open("w") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                yield False
            else:
                yield True
    finally:
        _one_thread.release()


def _remove(folder: Path, stems: Iterable[str]) -> None:
    for stem in stems:
        # The keys last: by them one finds what is still to be removed.
        for suffix in (NUMBERS, KEYS):
            (folder / stem).with_suffix(suffix).unlink(missing_ok=True)


def _remove_unfinished(folder: Path) -> None:
    """Remove what processes left that were killed while they made a file."""
    for path in folder.glob(f"perfkit-*{UNFINISHED}"):
        try:
            age = time.time() - path.stat().st_mtime
            abandoned = age > UNFINISHED_SECONDS and not _is_locked(path)
        except FileNotFoundError:  # finished just now
            continue
        if abandoned:
            path.with_suffix(NUMBERS).unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def _generation(folder: Path) -> int:
    try:
        with (folder / TOTALS).open("rb") as file:
            return int(json.loads(file.readline())[0])
    except FileNotFoundError:
        return 0


def _key_files(folder: Path, totals: _Totals) -> list[Path]:
    paths = sorted(folder.glob(f"perfkit-*{KEYS}"))
    return [path for path in paths if path.stem not in totals.absorbed]


def _dead(folder: Path, totals: _Totals) -> list[Path]:
    return [path for path in _key_files(folder, totals) if not _is_locked(path)]


def _read_file(path: Path) -> Iterable[Series]:
    try:
        # In this order: what is dead at the first look has written its last number.
        alive = _is_locked(path)
        # The last line may be half written, and then has no numbers either.
        keys = [_key(line) for line in path.read_bytes().split(b"\n")[:-1]]
        with path.with_suffix(NUMBERS).open("rb") as file:
            numbers = file.read(DOUBLE_BYTES * sum(length for *_, length in keys))
    except FileNotFoundError:  # added up meanwhile, so that the reader reads again
        return ()
    return _split(keys, numbers, alive)


@lru_cache(maxsize=4096)
def _key(line: bytes) -> Key:
    """Return a line of a file of keys, of which all workers write much the same."""
    metric, labels, length = json.loads(line)
    return metric, tuple(labels), length


def _split(keys: Iterable[Key], content: bytes, alive: bool) -> list[Series]:
    numbers = array("d", content)
    series = []
    start = 0
    for metric, labels, length in keys:
        series.append(Series(metric, labels, numbers[start : start + length], alive))
        start += length
    return series


def live_processes(folder: Path) -> set[int]:
    """Return the numbers of the processes that write to *folder* now."""
    return {
        int(path.name.split("-")[1])
        for path in _key_files(folder, _Totals.read(folder))
        if _is_locked(path)
    }


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
