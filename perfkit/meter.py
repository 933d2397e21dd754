"""Series of one process by row and labels, each label bounded.

`Meter` is what rooms that measure something add to. It is safe under threads and begins
afresh in a forked child.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, MutableSequence
from threading import RLock
from weakref import ref

from perfkit.metrics import LABEL_LIMITS, LABELS_FOLDED, OTHER, UNMATCHED, Metric
from perfkit.store import Store, after_fork

Numbers = MutableSequence[float]

_ALWAYS = frozenset((OTHER, UNMATCHED))


class Meter:
    """Counts, observes and sets what a table's rows tell of; *limits* bound labels by name.

    *lock* is held to change any number; whoever changes several may take it first.
    """

    def __init__(self, store: Store, limits: Mapping[str, int] = LABEL_LIMITS) -> None:
        self._store = store
        self._limits = limits
        self._start()
        after_fork(self._start)

    def _start(self) -> None:
        self.lock = RLock()
        self._series: dict[tuple[str, tuple[str, ...]], Numbers] = {}
        self._values: dict[str, set[str]] = {name: set() for name in self._limits}
        self._folded: dict[str, Numbers] = {}

    def numbers(self, row: Metric, *labels: str) -> Numbers:
        """Return the numbers of a series, zeros at first; its labels must be bounded already."""
        with self.lock:
            return self._numbers(row, labels)

    def new_numbers(self, name: str, labels: tuple[str, ...], length: int) -> Numbers:
        """Return zeros of the caller's own, kept by a name which is not in the table."""
        return self._store.add(name, labels, length)

    def other_numbers(self, name: str, labels: tuple[str, ...], length: int) -> Numbers:
        """Return numbers that are kept by a name which is not in the table, zeros at first."""
        with self.lock:
            return self._found(name, labels, length)

    def add(self, row: Metric, *labels: str, by: float = 1.0) -> None:
        """Let a counter grow."""
        with self.lock:
            self._bounded_numbers(row, labels)[0] += by

    def set(self, row: Metric, *labels: str, to: float) -> None:
        """Give a gauge another value."""
        with self.lock:
            self._bounded_numbers(row, labels)[0] = to

    def observe(self, row: Metric, *labels: str, value: float) -> None:
        """Put a value into a histogram."""
        with self.lock:
            numbers = self._bounded_numbers(row, labels)
            numbers[0] += value
            numbers[1 + bisect_left(row.buckets, value)] += 1

    def bounded(self, label: str, value: str) -> str:
        """Return a label's value, or `_OTHER` when too many others came before; that is counted."""
        with self.lock:
            return self._bounded(label, value)

    def _bounded_numbers(self, row: Metric, labels: tuple[str, ...]) -> Numbers:
        numbers = self._series.get((row.name, labels))
        if numbers is not None:
            return numbers
        pairs = zip(row.labels, labels, strict=True)
        return self._numbers(row, tuple(self._bounded(name, value) for name, value in pairs))

    def _numbers(self, row: Metric, labels: tuple[str, ...]) -> Numbers:
        return self._found(row.name, labels, row.length)

    def _found(self, name: str, labels: tuple[str, ...], length: int) -> Numbers:
        numbers = self._series.get((name, labels))
        if numbers is None:
            numbers = self._series[name, labels] = self._store.add(name, labels, length)
        return numbers

    def _bounded(self, label: str, value: str) -> str:
        values = self._values.get(label)
        if values is None or value in values or value in _ALWAYS:
            return value
        if len(values) < self._limits[label]:
            values.add(value)
            return value
        self._numbers(LABELS_FOLDED, (label,))[0] += 1
        return OTHER


class ProcessMeters:
    """The meters that show what happens in the process, whichever application causes it."""

    def __init__(self) -> None:
        self._meters: tuple[ref[Meter], ...] = ()

    def join(self, meter: Meter) -> None:
        """Add to a meter from now on, as long as somebody keeps it."""
        self._meters = (*(each for each in self._meters if each() is not None), ref(meter))

    def add(self, row: Metric, *labels: str, by: float = 1.0) -> None:
        """Let a counter grow."""
        for reference in self._meters:
            if (meter := reference()) is not None:
                meter.add(row, *labels, by=by)

    def set(self, row: Metric, *labels: str, to: float) -> None:
        """Give a gauge another value."""
        for reference in self._meters:
            if (meter := reference()) is not None:
                meter.set(row, *labels, to=to)

    def observe(self, row: Metric, *labels: str, value: float) -> None:
        """Put a value into a histogram."""
        for reference in self._meters:
            if (meter := reference()) is not None:
                meter.observe(row, *labels, value=value)


of_process = ProcessMeters()
