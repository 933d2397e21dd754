"""Statistics of raw rounds: pure functions, without clocks and without files.

Times are compared as logarithms of ratios, so that twice as slow and twice as fast lie equally
far from "no change", which is 0.0.

One process can be off by several per cent for its whole life, because of where its memory
happens to lie. Rounds of one process share that error, so they count as **one** sample: the
median of their ratios. The interval is then taken over processes, never over rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import median
from typing import NamedTuple

import numpy as np


class TooFewRoundsError(ValueError):
    """There are not enough measurements for the answer that was asked for."""

    def __init__(self, rounds: int, needed: int) -> None:
        super().__init__(f"{rounds} measurements are too few for this answer: it takes {needed}")
        self.rounds = rounds
        self.needed = needed


class Interval(NamedTuple):
    """An estimate and the range that the true value lies in, all in one unit."""

    low: float
    estimate: float
    high: float


class Pair(NamedTuple):
    """Two neighbouring rounds, in one unit, seconds per call for example."""

    base: float
    head: float
    base_first: bool
    disturbed: bool
    """Whether the kernel took the processor away during one of the two."""


def paired_log_ratio(base: Sequence[float], head: Sequence[float]) -> float:
    """Return how much slower *head* is, as the logarithm of a ratio of times: 0.0 is unchanged.

    Args:
        base, head: Times of neighbouring rounds: ``base[i]`` and ``head[i]`` ran one after the
            other, so what slows the machine for longer than two rounds slows both.

    Raises:
        TooFewRoundsError: There is no pair.
        ValueError: The sides differ in length.
    """
    if not base:
        raise TooFewRoundsError(0, needed=1)
    # One pause of the operating system moves a mean, hardly a median.
    return median(math.log(ours / theirs) for theirs, ours in zip(base, head, strict=True))


def log_ratio(pairs: Sequence[Pair]) -> float:
    """Return the log ratio of one generation, by its undisturbed pairs where there are enough.

    A benchmark that hands work to a thread on the same core is interrupted in every round; that
    is then its nature, and all pairs count.
    """
    quiet = [pair for pair in pairs if not pair.disturbed]
    chosen = quiet if len(quiet) * 3 >= len(pairs) else pairs
    return paired_log_ratio([pair.base for pair in chosen], [pair.head for pair in chosen])


def single_confidence(confidence: float, intervals: int) -> float:
    """Return the confidence each of *intervals* needs for all of them to hold at *confidence*."""
    return 1 - (1 - confidence) / max(1, intervals)


def needed_samples(confidence: float) -> int:
    """Return the fewest samples for which `signed_rank_interval` exists at *confidence*."""
    # All n signs agree by chance once in 2 ** (n - 1) cases.
    return max(1, math.ceil(1 - math.log2(1 - confidence)))


def signed_rank_interval(samples: Sequence[float], confidence: float) -> Interval:
    """Return the middle of *samples* and its interval after Wilcoxon, Hodges and Lehmann.

    The two versions of unchanged code can swap their names, so the log ratios between them lie
    symmetrically around zero whatever their distribution. That symmetry is all this interval
    asks for, and it then errs exactly as often as it says: with ten samples as with a hundred,
    with outliers as without. Bootstrapping so few samples is too sure of itself far out in the
    tails, which is where a verdict on many benchmarks has to look.

    Args:
        samples: Independent measurements of one thing, at least `needed_samples`.
        confidence: Share of intervals that contain the true value, say 0.99.

    Raises:
        TooFewRoundsError: So few samples cannot be that sure.
    """
    if len(samples) < needed_samples(confidence):
        raise TooFewRoundsError(len(samples), needed_samples(confidence))
    values = np.asarray(samples, dtype=float)
    averages = np.sort(np.add.outer(values, values)[np.triu_indices(len(values))]) / 2
    cut = _signed_rank_cut(len(samples), (1 - confidence) / 2)
    return Interval(float(averages[cut - 1]), float(np.median(averages)), float(averages[-cut]))


@cache
def _signed_rank_cut(count: int, tail: float) -> int:
    """Return how many values of the signed-rank sum of *count* samples fit into one tail."""
    # chance[s]: how likely the ranks of the positive samples add up to s, when signs are by lot.
    chance = np.ones(1)
    for rank in range(1, count + 1):
        chance = (np.pad(chance, (0, rank)) + np.pad(chance, (rank, 0))) / 2
    # The tolerance keeps a tail of exactly one choice of signs, as needed_samples counts it.
    return int(np.sum(np.cumsum(chance) <= tail * (1 + 1e-9)))
