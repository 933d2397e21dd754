"""Checks the method on effects that are known: does the stated interval hold them?

Simulated runs take their noise from real rounds, recorded here and now: *before* against itself.
Real runs time a loop that repeats one unit of work so many times more, in processes of their own,
by the very code that runs every experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from perfkit.claims.experiment import CONTROL
from perfkit.claims.judging import LOOKS, effect, settled
from perfkit.claims.library import OURS, load
from perfkit.claims.parts import Session
from perfkit.claims.running import Results, blank, run

EFFECTS = (1.0, 1.02, 1.05, 1.2, 2.0, 20.0)
HOLDS_SHARE = 0.93
BUSY = OURS / "_busy_work.py"


@dataclass(frozen=True, slots=True)
class Row:
    """How often the interval held one effect."""

    simulated: int
    runs: int
    real: int
    real_runs: int

    @property
    def holds(self) -> bool:
        """Whether the simulated runs held it often enough."""
        return self.simulated >= HOLDS_SHARE * self.runs


def validate(
    runs: int, real_runs: int, progress: Callable[[str], None], seed: int = 1
) -> dict[float, Row]:
    """Return a row for each effect."""
    real = [real_run(number, progress) for number in range(real_runs)]
    noise = [
        taken
        for results in real
        for point in results["points"]
        if point["values"]["effect"] == 1.0
        for taken in point["generations"]
    ]
    rows = {}
    for known in EFFECTS:
        progress(f"simulating {runs} runs with the effect {known:g}")
        lot = Random(f"{seed} {known}")
        held = sum(holds(simulated(noise, known, lot), known) for _ in range(runs))
        really = sum(holds(only_point(results, known), known) for results in real)
        rows[known] = Row(held, runs, really, real_runs)
    return rows


def real_run(number: int, progress: Callable[[str], None]) -> Results:
    """Return the results of running the loop with every effect."""
    found = load(BUSY)
    results = blank(found, number)
    with Session() as session:
        run(found, session, results, progress)
    return results


def only_point(results: Mapping[str, Any], known: float) -> Results:
    """Return *results* with the point of one effect alone."""
    points = [point for point in results["points"] if point["values"]["effect"] == known]
    return {**results, "points": points}


def simulated(noise: Sequence[Mapping[str, Any]], known: float, lot: Random) -> Results:
    """Return results as a run would have made them, had *after* been *known* times as fast.

    Each generation is a recorded one, drawn by lot, in which *before* ran against itself; by lot
    too, as both are the same, one of the two is made faster. The run ends as a real one does.
    """
    results: Results = {
        "variants": ["before", "after"],
        "higher_is_better": False,
        "promised": 1.0,
        "promises": {},
        "matters": 0.02,
        "precision": 0.1,
        "points": [{"values": {}, "generations": []}],
    }
    point = results["points"][0]
    for number in range(1, LOOKS[-1] + 1):
        point["generations"].append(_drawn(lot.choice(noise), known, lot))
        if number in LOOKS and settled(results, point):
            break
    return results


def _drawn(taken: Mapping[str, Any], known: float, lot: Random) -> Results:
    first, second = lot.sample([taken["rounds"][CONTROL], taken["rounds"]["once"]], 2)
    faster = [value / known for value in second]
    return {
        "rounds": {"before": first, "after": faster, CONTROL: first},
        "disturbed": taken["disturbed"],
    }


def holds(results: Mapping[str, Any], known: float) -> bool:
    """Return whether the interval of the only point contains the effect."""
    before, after, *_ = results["variants"]
    generations = results["points"][0]["generations"]
    gain = effect(generations, before, after, higher_is_better=False).gain
    return gain is not None and gain.low <= known <= gain.high
