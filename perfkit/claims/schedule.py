"""How the time of a whole run is divided among its experiments, so that the whole is held.

No generation begins for which there is no time left. Too few generations tell nothing, so each
experiment in turn may take what its first verdict needs, within reason; its share of the time
limits how long it makes its figures narrower. Those that the end comes before are told, and run
when the run is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.claims.library import Found

# What counts is certain after few generations, however long it may take.
COUNTED_SECONDS = 3.0
LONGEST = 3
"""How many budgets an experiment may use that cannot tell yet, if there is time."""
LIKELY_SHARE = 0.75
"""How much of its budget an experiment is likely to take, as most can tell before its end."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The seconds of one experiment: to make narrower what it tells, and to tell anything."""

    enough: float
    most: float

    def ends(self, elapsed: float, longest: float, telling: bool) -> bool:
        """Return whether there is no time for another generation.

        Args:
            elapsed: The seconds so far.
            longest: What the longest generation took.
            telling: Whether there are enough generations for a verdict.
        """
        return elapsed + longest > self.most or (telling and elapsed > self.enough)


def allowance(todo: Sequence[Found], seconds: float) -> Allowance:
    """Return what the first of *todo* may take.

    Args:
        seconds: What is left for all of them.
    """
    first = todo[0].experiment
    if first is None:
        return Allowance(0.0, 0.0)
    left, later = max(0.0, seconds), LIKELY_SHARE * sum(map(expected, todo[1:]))
    share = min(1.0, left / (first.budget_s + later))
    most = min(LONGEST * first.budget_s, left)
    return Allowance(first.budget_s * share, most)


def expected(found: Found) -> float:
    """Return the seconds that an experiment is expected to take; none when it cannot run."""
    if found.experiment is None:
        return 0.0
    stated = found.experiment.budget_s
    return min(stated, COUNTED_SECONDS) if found.experiment.metric.counted else stated


def time_left(todo: Sequence[Found], elapsed: float, done: Sequence[Found]) -> str:
    """Return how long the rest will take, by what the expectations were worth so far."""
    worth = elapsed / sum(map(expected, done)) if done else 1.0
    seconds = worth * sum(map(expected, todo))
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
