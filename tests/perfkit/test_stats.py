import math
from collections.abc import Callable
from random import Random

import pytest
from scipy.stats import wilcoxon

from perfkit.stats import (
    TooFewRoundsError,
    needed_samples,
    paired_log_ratio,
    signed_rank_interval,
)

SAMPLES = [0.31, -0.12, 0.05, 0.44, 0.18, -0.27, 0.22, 0.09, 0.61, 0.13, -0.03, 0.28]


def test_equal_rounds_have_the_log_ratio_zero() -> None:
    rounds = [1.0, 1.1, 0.9]

    assert paired_log_ratio(rounds, rounds) == 0.0


def test_twice_the_time_is_the_logarithm_of_two() -> None:
    base = [1.0, 1.1, 0.9]

    ratio = paired_log_ratio(base, [2 * seconds for seconds in base])

    assert ratio == pytest.approx(math.log(2))


def test_a_machine_that_becomes_slower_during_the_run_slows_both_sides_of_a_pair() -> None:
    drift = [1.0, 2.0, 4.0, 8.0, 16.0]

    ratio = paired_log_ratio(drift, [1.2 * seconds for seconds in drift])

    assert ratio == pytest.approx(math.log(1.2))


def test_one_long_pause_does_not_move_the_ratio() -> None:
    assert paired_log_ratio([1.0] * 5, [1.0, 1.0, 500.0, 1.0, 1.0]) == 0.0


def test_no_pair_is_too_few() -> None:
    with pytest.raises(TooFewRoundsError, match="0 measurements are too few"):
        paired_log_ratio([], [])


def test_sides_of_different_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_log_ratio([1.0, 1.0], [1.0])


@pytest.mark.parametrize(("confidence", "needed"), [(0.5, 2), (0.75, 3), (0.95, 6), (0.99, 8)])
def test_more_confidence_needs_more_samples(confidence: float, needed: int) -> None:
    assert needed_samples(confidence) == needed


@pytest.mark.parametrize("confidence", [0.5, 0.75, 0.9, 0.99, 0.999])
def test_an_interval_exists_from_the_needed_number_of_samples_on(confidence: float) -> None:
    needed = needed_samples(confidence)
    samples = [float(2**exponent) for exponent in range(needed)]

    interval = signed_rank_interval(samples, confidence)

    assert (interval.low, interval.high) == (samples[0], samples[-1])
    with pytest.raises(TooFewRoundsError, match=f"it takes {needed}"):
        signed_rank_interval(samples[1:], confidence)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_interval_holds_what_the_signed_rank_test_does_not_reject(confidence: float) -> None:
    def p_value(hypothesis: float) -> float:
        return float(wilcoxon([sample - hypothesis for sample in SAMPLES], method="exact").pvalue)

    low, _, high = signed_rank_interval(SAMPLES, confidence)

    assert p_value(low - 1e-6) <= 1 - confidence < p_value(low + 1e-6)
    assert p_value(high + 1e-6) <= 1 - confidence < p_value(high - 1e-6)


def test_the_estimate_lies_in_the_middle_of_symmetric_samples() -> None:
    samples = [0.1 + offset for offset in (-3.0, -1.0, -0.5, 0.5, 1.0, 3.0)]

    assert signed_rank_interval(samples, 0.9).estimate == pytest.approx(0.1)


def _normal(random: Random) -> float:
    return random.gauss(0, 0.02)


def _with_outliers(random: Random) -> float:
    return random.gauss(0, 0.2 if random.random() < 0.2 else 0.005)


def _of_two_kinds(random: Random) -> float:
    return random.choice([-0.1, 0.1]) + random.gauss(0, 0.001)


@pytest.mark.parametrize("noise", [_normal, _with_outliers, _of_two_kinds])
def test_intervals_miss_as_seldom_as_they_say(noise: Callable[[Random], float]) -> None:
    random = Random(0)
    confidence, trials = 0.95, 1000

    intervals = [
        signed_rank_interval([noise(random) for _ in range(12)], confidence) for _ in range(trials)
    ]

    missed = sum(not (low <= 0 <= high) for low, _, high in intervals)
    three_deviations = 3 * math.sqrt(confidence * (1 - confidence) / trials)
    assert missed / trials <= 1 - confidence + three_deviations
