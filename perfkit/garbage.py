"""Python's garbage collector: how long it holds everything up, and which objects become more."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from perfkit.listeners import guarded

GENERATIONS = 3


class GCPauses:
    """Times every collection; no Python code of the process runs during one.

    Args:
        on_pause: Takes the generation, 0 to 2, and the seconds of each collection, on whatever
            thread caused it.

    Attributes:
        seconds, collections: What all collections took, and how many there were, by generation.
    """

    def __init__(
        self,
        on_pause: Callable[[int, float], None] | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.seconds = [0.0] * GENERATIONS
        self.collections = [0] * GENERATIONS
        self._on_pause = None if on_pause is None else guarded(on_pause)
        self._clock = clock
        self._started: float | None = None

    def start(self) -> None:
        """Time collections from now on."""
        if self._heard not in gc.callbacks:
            gc.callbacks.append(self._heard)

    def stop(self) -> None:
        """Time no further collection."""
        if self._heard in gc.callbacks:
            gc.callbacks.remove(self._heard)
        self._started = None

    def _heard(self, phase: str, facts: dict[str, Any]) -> None:
        # Collections never overlap, so one moment is enough to remember.
        if phase == "start":
            self._started = self._clock()
        elif self._started is not None:
            seconds, self._started = self._clock() - self._started, None
            generation = facts["generation"]
            self.seconds[generation] += seconds
            self.collections[generation] += 1
            if self._on_pause is not None:
                self._on_pause(generation, seconds)


def object_counts() -> Counter[str]:
    """Return how many objects of each type the collector knows, by qualified name.

    Objects that can refer to no other, such as text and numbers, are not among them. It looks at
    every object, which takes some 0.1 s for a million.
    """
    gc.collect()
    kinds = Counter(map(type, gc.get_objects()))
    named: Counter[str] = Counter()
    for kind, count in kinds.items():
        named[f"{kind.__module__}.{kind.__qualname__}"] += count
    return named


def object_growth(
    before: Mapping[str, int], after: Mapping[str, int], top: int = 20
) -> list[tuple[str, int]]:
    """Return the types of which there are more than before, at most *top*, most growth first."""
    more = Counter(after)
    more.subtract(before)
    return [(name, count) for name, count in more.most_common(top) if count > 0]
