"""Checks the method on effects that are known: does the stated interval hold them?

Simulated runs take their noise from real rounds, recorded here and now: *before* against itself.
Real runs time a loop that repeats one unit of work so many times more, in processes of their own,
by the very code that runs every experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
    """How often the interval held one effect.

    *intervals* are those that the real runs stated; None for one with too few generations.
    """

    effect: float
    simulated: int
    runs: int
    intervals: Sequence[tuple[float, float] | None]

    @property
    def holds(self) -> bool:
        """Whether the simulated runs held it often enough."""
        return self.simulated >= HOLDS_SHARE * self.runs

    @property
    def real(self) -> int:
        """How many of the real runs held it."""
        return sum(one[0] <= self.effect <= one[1] for one in self.intervals if one)


def validate(runs: int, real_runs: int, progress: Callable[[str], None], seed: int = 1) -> Results:
    """Return what came of it as plain data: the recorded noise, and what `rows` needs of the rest.

    The simulated runs follow from the noise and the seed, so anyone may have them again.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    real = [real_run(number, progress) for number in range(real_runs)]
    noise = [
        {"disturbed": taken["disturbed"],
         "rounds": {name: taken["rounds"][name] for name in (CONTROL, "once")}}
        for results in real
        for point in results["points"]
        if point["values"]["effect"] == 1.0
        for taken in point["generations"]
    ]  # fmt: skip
    progress(f"simulating {runs} runs of each effect")
    return {
        "started": started,
        "seed": seed,
        "environment": real[0]["environment"],
        "elapsed_s": round(sum(results["elapsed_s"] for results in real), 3),
        "runs": runs,
        "simulated": [recovered(noise, known, runs, seed) for known in EFFECTS],
        "real": [[interval(only_point(results, known)) for results in real] for known in EFFECTS],
        "noise": noise,
    }


def recovered(noise: Sequence[Mapping[str, Any]], known: float, runs: int, seed: int) -> int:
    """Return in how many of the simulated runs the interval holds the effect."""
    lot = Random(f"{seed} {known}")
    return sum(holds(simulated(noise, known, lot), known) for _ in range(runs))


def rows(validation: Mapping[str, Any]) -> list[Row]:
    """Return a row for each effect of what `validate` returned."""
    columns = EFFECTS, validation["simulated"], validation["real"]
    return [
        Row(known, simulated, validation["runs"], [one and (one[0], one[1]) for one in real])
        for known, simulated, real in zip(*columns, strict=True)
    ]


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
    stated = interval(results)
    return stated is not None and stated[0] <= known <= stated[1]


def interval(results: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the interval of the gain at the only point, None when there were too few rounds."""
    before, after, *_ = results["variants"]
    generations = results["points"][0]["generations"]
    gain = effect(generations, before, after, higher_is_better=False).gain
    return gain and (gain.low, gain.high)
