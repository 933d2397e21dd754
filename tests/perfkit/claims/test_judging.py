"""Verdicts are pure functions of raw rounds, and never say more than these do."""

import math
import re
from random import Random
from typing import Any

import pytest

from perfkit.claims.judging import (
    LOOKS,
    Answer,
    Effect,
    Outcome,
    answer_of,
    axis_of,
    break_even,
    curves,
    effect,
    gain_of,
    judge,
    outcome_of,
    settled,
)
from perfkit.stats import Interval

CALM = Effect(1.0, 1.0, Interval(0.99, 1.0, 1.01), exact=False, generations=8)


def results(
    gains: dict[float, float], generations: int = 16, noise: float = 0.005, **changes: Any
) -> dict[str, Any]:
    """Return results in which *after* is so many times faster, by the value of ``size``."""
    lot = Random(5)

    def rounds(seconds: float) -> list[float]:
        return [seconds * math.exp(lot.gauss(0, noise)) for _ in range(4)]

    def generation(gain: float) -> dict[str, Any]:
        taken = {"slow": rounds(1.0), "quick": rounds(1 / gain), "control": rounds(1.0)}
        return {"rounds": taken, "disturbed": [False] * 4}

    return {
        "not_run": "",
        "failed": "",
        "hazard": "",
        "unit": "s",
        "variants": ["slow", "quick"],
        "higher_is_better": False,
        "promised": 1.0,
        "promises": {},
        "matters": 0.02,
        "precision": 0.1,
        "varies": {"size": list(gains)},
        "points": [
            {
                "values": {"size": size},
                "generations": [generation(gain) for _ in range(generations)],
            }
            for size, gain in gains.items()
        ],
    } | changes


def counted(before: list[float], after: list[float]) -> dict[str, Any]:
    """Return results of counts, one round in each generation."""
    return results({1: 1.0}) | {
        "points": [
            {
                "values": {},
                "generations": [
                    {
                        "rounds": {"slow": [one], "quick": [other], "control": [one]},
                        "disturbed": [False],
                    }
                    for one, other in zip(before, after, strict=True)
                ],
            }
        ]
    }


@pytest.mark.parametrize(
    ("gains", "promised", "answer"),
    [
        ({1: 2.0}, 1.0, Answer.CONFIRMED),
        ({1: 2.0}, 1.9, Answer.CONFIRMED),
        ({1: 2.0}, 3.0, Answer.REFUTED),
        ({1: 0.5}, 1.0, Answer.REFUTED),
        ({1: 1.0}, 1.0, Answer.SAME),
        ({1: 1.0}, 2.0, Answer.SAME),
        ({1: 0.5, 10: 1.0, 100: 2.0}, 1.0, Answer.DEPENDS),
        ({1: 2.0, 10: 3.0}, 1.0, Answer.CONFIRMED),
        ({1: 1.2, 10: 4.0}, 2.0, Answer.DEPENDS),
    ],
)
def test_the_answer_follows_the_gains(
    gains: dict[float, float], promised: float, answer: Answer
) -> None:
    assert judge(results(gains, promised=promised)).answer is answer


def test_a_promise_that_the_interval_only_touches_is_not_confirmed() -> None:
    verdict = judge(results({1: 2.0}, noise=0.1, promised=2.0))

    assert verdict.answer is Answer.UNDECIDED
    assert "promised were 2.00" in verdict.reason


def test_a_claim_is_judged_by_its_own_promise() -> None:
    measured = results({1: 2.0}, promises={"O-78": 20.0})

    assert judge(measured).answer is Answer.CONFIRMED
    assert judge(measured, "O-78").answer is Answer.REFUTED


def test_no_difference_says_how_small_a_one_could_have_been_seen() -> None:
    assert judge(results({1: 1.0})).reason == (
        "no difference that we could see, and we could have seen 2%"
    )


def test_a_wide_interval_around_no_change_cannot_tell() -> None:
    assert judge(results({1: 1.0}, generations=8, noise=0.3)).answer is Answer.UNDECIDED


def test_too_few_generations_cannot_tell_even_a_doubling() -> None:
    assert judge(results({1: 2.0}, generations=6)).answer is Answer.UNDECIDED


def test_damage_that_the_safe_way_avoids_is_harmful() -> None:
    assert judge(results({1: 20.0}, hazard="it breaks")).answer is Answer.HARMFUL


def test_harm_is_told_as_what_the_advice_does_and_what_the_safe_way_does() -> None:
    reason = judge(results({1: 20.0}, hazard="it breaks")).reason

    assert re.match(r"1.00\ss as advised, 50.*ms the safe way: .* better$", reason)


def test_damage_anywhere_is_harmful() -> None:
    assert judge(results({1: 1.0, 100: 20.0}, hazard="deep")).answer is Answer.HARMFUL


def test_what_depends_says_where() -> None:
    reason = judge(results({1: 0.5, 10: 2.0}, noise=1e-6)).reason

    assert reason == "1.99 to 2.00 times at size 10, 0.499 to 0.500 times at size 1"


def test_damage_that_does_not_show_is_not_called_harmful() -> None:
    verdict = judge(results({1: 1.0}, hazard="it breaks"))

    assert verdict.answer is Answer.UNDECIDED
    assert verdict.reason == "the damage did not show"


def test_an_absent_part_is_not_run_and_says_what_to_install() -> None:
    missing = "needs nginx, install with apt-get install nginx"

    verdict = judge(results({1: 1.0}, not_run=missing))

    assert (verdict.answer, verdict.reason) == (Answer.NOT_RUN, missing)


def test_a_crash_is_not_run_and_keeps_its_reason() -> None:
    verdict = judge(results({1: 2.0}, failed="a.py:3: KeyError: 'x'"))

    assert verdict.answer is Answer.NOT_RUN
    assert "KeyError" in verdict.reason


def test_what_was_interrupted_before_any_round_is_not_run() -> None:
    assert judge(results({})).answer is Answer.NOT_RUN


def test_equal_counts_are_exact_after_three_generations() -> None:
    verdict = judge(counted([21.0] * 3, [1.0] * 3))

    assert verdict.answer is Answer.CONFIRMED
    assert verdict.points[0].effect.exact
    assert verdict.points[0].effect.gain == Interval(21, 21, 21)


def test_equal_counts_are_not_yet_exact_after_two() -> None:
    assert judge(counted([21.0] * 2, [1.0] * 2)).answer is Answer.UNDECIDED


def test_counts_that_vary_beside_zeros_still_tell() -> None:
    before = [5.0, 7, 6, 5, 8, 6, 7, 9, 5, 6]

    verdict = judge(counted(before, [0.0] * 10))

    assert verdict.answer is Answer.CONFIRMED
    assert verdict.points[0].effect.gain is not None
    assert not verdict.points[0].effect.exact


def test_zeros_on_either_side_by_chance_cannot_tell() -> None:
    before, after = [0.0, 1, 0, 2, 0, 1, 0, 1], [1.0, 0, 0, 1, 0, 0, 2, 1]

    assert judge(counted(before, after)).answer is Answer.UNDECIDED


@pytest.mark.parametrize(
    ("before", "after", "higher_is_better", "gain"),
    [
        (2.0, 1.0, False, 2.0),
        (2.0, 1.0, True, 0.5),
        (0.0, 0.0, False, 1.0),
        (3.0, 0.0, False, math.inf),
        (0.0, 3.0, False, 0.0),
        (0.0, 0.8, True, math.inf),
    ],
)
def test_the_gain_is_how_many_times_better(
    before: float, after: float, higher_is_better: bool, gain: float
) -> None:
    assert gain_of(before, after, higher_is_better) == gain


def test_a_higher_rate_is_a_gain_where_higher_is_better() -> None:
    measured = results({1: 0.5}, higher_is_better=True)

    assert judge(measured).answer is Answer.CONFIRMED


def test_disturbed_rounds_do_not_count_beside_quiet_ones() -> None:
    taken = {"slow": [1.0, 1.0], "quick": [0.5, 9.0], "control": [1.0, 1.0]}
    generation = {"rounds": taken, "disturbed": [False, True]}

    seen = effect([generation] * 8, "slow", "quick", higher_is_better=False)

    assert seen.gain == pytest.approx((2.0, 2.0, 2.0))


def test_a_gain_no_larger_than_the_controls_is_not_believed() -> None:
    seen = Effect(1.0, 0.9, Interval(1.05, 1.07, 1.09), exact=False, generations=8)
    biased = Effect(1.0, 0.9, Interval(1.01, 1.05, 1.08), exact=False, generations=8)

    believed = outcome_of(seen, CALM, promised=1.0, matters=0.02)
    doubted = outcome_of(seen, biased, promised=1.0, matters=0.02)

    assert (believed, doubted) == (Outcome.KEPT, Outcome.UNKNOWN)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.985, 1.015, Outcome.SAME),
        (1.006, 1.03, Outcome.KEPT),
        (1.004, 1.03, Outcome.UNKNOWN),
        (0.97, 0.99, Outcome.WORSE),
        (0.97, 1.03, Outcome.UNKNOWN),
    ],
)
def test_a_change_is_what_clears_a_quarter_of_what_matters(
    low: float, high: float, outcome: Outcome
) -> None:
    seen = Effect(1.0, 1.0, Interval(low, (low + high) / 2, high), exact=False, generations=8)

    assert outcome_of(seen, CALM, promised=1.0, matters=0.02) is outcome


def test_one_open_point_keeps_a_claim_from_being_confirmed() -> None:
    outcomes = [Outcome.KEPT, Outcome.UNKNOWN]

    assert answer_of(outcomes, harmful=False) is Answer.UNDECIDED


def test_a_point_is_settled_when_it_is_narrow_and_told() -> None:
    narrow, wide = results({1: 2.0}), results({1: 2.0}, noise=0.5)

    assert settled(narrow, narrow["points"][0])
    assert not settled(wide, wide["points"][0])


def test_a_point_is_open_while_one_of_its_promises_is() -> None:
    measured = results({1: 2.0}, promises={"O-75": 2.0})

    assert not settled(measured, measured["points"][0])


def errs(seed: int) -> bool:
    """Return whether a run on unchanged code excludes the truth at any of its looks."""
    lot = Random(seed)
    taken: list[dict[str, Any]] = []
    for number in range(1, LOOKS[-1] + 1):
        pair = {"slow": [math.exp(lot.gauss(0, 0.1))], "quick": [math.exp(lot.gauss(0, 0.1))]}
        taken.append({"rounds": pair, "disturbed": [False]})
        if number in LOOKS:
            gain = effect(taken, "slow", "quick", higher_is_better=False).gain
            assert gain
            if not gain.low <= 1.0 <= gain.high:
                return True
    return False


def test_looking_four_times_errs_no_more_often_than_once_in_twenty() -> None:
    assert sum(map(errs, range(200))) <= 200 * 0.05


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([(1, 2.0), (100, 0.5)], 10.0),
        ([(1, 2.0), (10, 1.5), (100, 1.1)], None),
        ([(0, 2.0), (10, 0.5)], 5.0),
    ],
)
def test_the_break_even_lies_where_the_gain_passes_one(
    gains: list[tuple[float, float]], expected: float | None
) -> None:
    clear = [(at, Interval(gain * 0.99, gain, gain * 1.01)) for at, gain in gains]

    assert break_even(clear) == (expected if expected is None else pytest.approx(expected))


def test_a_point_that_cannot_tell_is_no_side_of_a_break_even() -> None:
    gains = [
        (1, Interval(1.9, 2.0, 2.1)),
        (10, Interval(0.9, 0.99, 1.1)),
        (100, Interval(0.4, 0.5, 0.6)),
    ]

    assert break_even(gains) == pytest.approx(10.0)


def test_points_make_a_curve_for_each_value_of_the_others() -> None:
    measured = results({1: 2.0, 10: 0.5})
    measured["varies"]["level"] = ["low"]
    for point in measured["points"]:
        point["values"]["level"] = "low"

    axis = axis_of(measured)
    assert axis == "size"
    [curve] = curves(judge(measured), axis)

    assert curve.label == {"level": "low"}
    assert [point.point["size"] for point in curve.points] == [1, 10]
    assert curve.break_even == pytest.approx(math.sqrt(10), rel=0.05)


@pytest.mark.parametrize(
    "varies", [{}, {"kind": ["a", "b"]}, {"one": [1]}, {"flag": [True, False]}]
)
def test_what_has_no_numbers_to_vary_has_no_curve(varies: dict[str, list[Any]]) -> None:
    assert axis_of({"varies": varies}) is None
