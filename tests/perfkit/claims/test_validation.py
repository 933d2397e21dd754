"""Known effects are recovered within the interval that is stated.

`python -m perfkit claims validate` does the same with noise that it records, at full length.
"""

import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from perfkit.claims import store
from perfkit.claims.experiment import ExperimentError
from perfkit.claims.pages import method_page
from perfkit.claims.validation import EFFECTS, holds, only_point, recovered, rows, simulated

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

    assert len(run["points"][0]["generations"]) in {7, 14}


def test_one_effect_is_taken_out_of_a_real_run() -> None:
    points = [{"values": {"effect": known}} for known in EFFECTS]

    [point] = only_point({"name": "busy", "points": points}, 1.2)["points"]

    assert point["values"] == {"effect": 1.2}


def validation_of(held: list[int], noise: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a validation of a hundred runs, with two real ones of which the second is off."""
    return {
        "started": "2026-11-28T00:00:00+00:00",
        "seed": 1,
        "environment": {
            "machine": "A machine", "load average before": "0.1", "Python": "CPython 3.11",
            "source": "abc1234",
        },
        "elapsed_s": 120.0,
        "runs": 100,
        "simulated": held,
        "real": [[[known * 0.99, known * 1.01], [known * 1.1, known * 1.2]] for known in EFFECTS],
        "noise": noise,
    }  # fmt: skip


def test_a_row_counts_the_real_runs_that_hold_its_effect(noise: list[dict[str, Any]]) -> None:
    found = rows(validation_of([93] * 6, noise))

    assert [row.real for row in found] == [1] * 6
    assert all(row.holds for row in found)


def test_fewer_than_93_of_100_do_not_hold(noise: list[dict[str, Any]]) -> None:
    found = rows(validation_of([92, 93, 94, 95, 96, 97], noise))

    assert [row.holds for row in found] == [False, True, True, True, True, True]


def test_the_simulated_runs_follow_from_noise_and_seed(noise: list[dict[str, Any]]) -> None:
    first = recovered(noise, 1.02, 20, seed=4)

    assert recovered(noise, 1.02, 20, seed=4) == first
    assert first > 0


def test_the_page_has_a_line_for_each_effect(noise: list[dict[str, Any]]) -> None:
    page = method_page(validation_of([93, 94, 95, 96, 97, 98], noise))

    assert "| 1.02 | 94 of 100 | 1 of 2 | 1.00 to 1.03 times; 1.12 to 1.22 times |" in page
    assert "each effect has them" in page
    assert "A machine, load before 0.1" in page


def test_the_page_says_which_effect_was_recovered_too_seldom(noise: list[dict[str, Any]]) -> None:
    page = method_page(validation_of([93, 94, 95, 96, 12, 98], noise))

    assert "It does **not** hold for 2: " in page


def test_a_validation_is_kept_beside_the_results(
    tmp_path: Path, noise: list[dict[str, Any]]
) -> None:
    validation = validation_of([93] * 6, noise)

    path = store.write_validation(tmp_path / "claims", validation)

    assert path == tmp_path / "claims-validation.json"
    assert store.read_validation(tmp_path / "claims") == validation


def test_without_a_validation_there_is_none(tmp_path: Path) -> None:
    assert store.read_validation(tmp_path / "claims") is None


def test_a_file_that_holds_no_validation_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "claims-validation.json").write_text("{}")

    with pytest.raises(ExperimentError, match=r"holds no validation \('started'\): remove it"):
        store.read_validation(tmp_path / "claims")
