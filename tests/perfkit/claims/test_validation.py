"""Known effects are recovered within the interval that is stated.

`python -m perfkit claims validate` does the same with noise that it records, at full length.
"""

import math
from random import Random
from typing import Any

import pytest

from perfkit.claims.validation import EFFECTS, holds, only_point, simulated

RUNS = 40


@pytest.fixture(scope="module")
def noise() -> list[dict[str, Any]]:
    """Give generations of unchanged code: each process off for its life, each round by itself."""
    lot = Random(3)

    def rounds() -> list[float]:
        process = math.exp(lot.gauss(0, 0.02))
        pauses = lot.choices([1.0, 1.5], [19, 1], k=6)
        return [1e-3 * process * pause * math.exp(lot.gauss(0, 0.01)) for pause in pauses]

    return [
        {"rounds": {"once": rounds(), "control": rounds()}, "disturbed": [False] * 6}
        for _ in range(60)
    ]


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_known_effect_is_recovered_in_at_least_93_of_100_runs(
    noise: list[dict[str, Any]], effect: float
) -> None:
    lot = Random(f"7 {effect}")

    held = sum(holds(simulated(noise, effect, lot), effect) for _ in range(RUNS))

    assert held >= 0.93 * RUNS


def test_an_effect_that_is_not_there_is_not_recovered(noise: list[dict[str, Any]]) -> None:
    lot = Random(7)

    held = sum(holds(simulated(noise, 1.2, lot), 2.0) for _ in range(RUNS))

    assert held == 0


def test_a_clear_effect_ends_a_simulated_run_early(noise: list[dict[str, Any]]) -> None:
    run = simulated(noise, 20.0, Random(7))

    assert len(run["points"][0]["generations"]) in {8, 16}


def test_one_effect_is_taken_out_of_a_real_run() -> None:
    points = [{"values": {"effect": known}} for known in EFFECTS]

    [point] = only_point({"name": "busy", "points": points}, 1.2)["points"]

    assert point["values"] == {"effect": 1.2}
