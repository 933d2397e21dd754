"""How the time of a whole run is divided among its experiments, so that the whole is held.

What the experiments after it are expected to take is set aside before one begins; it may use
the rest while it cannot tell. Where there is too little for all, each has its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.claims.library import Found

# What counts is certain after few generations, however long it may take.
COUNTED_SECONDS = 6.0
LONGEST = 3
"""How many budgets an experiment may use that cannot tell yet, if there is time."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The seconds of one experiment: to narrow what it can tell already, and in any case."""

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
    left, wanted = max(0.0, seconds), sum(map(expected, todo))
    share = min(1.0, left / wanted)
    most = min(LONGEST * first.budget_s, left - share * (wanted - expected(todo[0])))
    return Allowance(min(first.budget_s * share, most), most)


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
