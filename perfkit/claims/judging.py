"""From the raw rounds of an experiment to a verdict: pure functions of its results.

Improvements are stated as **gains**: how many times better *after* is than *before*, whichever
way the metric points; 1.0 is no change, 20 is twenty times as fast, 0.5 is half as fast.

One generation of processes is one sample, as in `perfkit.stats`. An experiment is looked at up
to three times and may end at each, so every interval is as wide as three of them need to hold
together with 95 %: however the end was chosen, it errs once in twenty runs at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import fmean, median
from typing import Any

from perfkit.claims.experiment import CONTROL
from perfkit.claims.wording import amount, cut, gain_text, point_text
from perfkit.stats import (
    Interval,
    Pair,
    log_ratio,
    needed_samples,
    signed_rank_interval,
    single_confidence,
)

CONFIDENCE = 0.95
LOOKS = (7, 14, 28)
"""After how many generations an experiment is looked at: the first that allow an interval."""
EXACT_GENERATIONS = 3
"""How often a count has to be the same to be taken for certain."""
MARGIN = 0.25
"""Share of what matters that an interval must clear beyond "no change" to be a change."""
LOOK_CONFIDENCE = single_confidence(CONFIDENCE, len(LOOKS))


class Answer(StrEnum):
    """What became of a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    DEPENDS = "depends"
    HARMFUL = "harmful"
    SAME = "no difference"
    UNDECIDED = "cannot tell"
    NOT_RUN = "not run"


class Outcome(StrEnum):
    """What was seen at one point."""

    KEPT = "as promised"
    LESS = "less than promised"
    SAME = "no difference"
    WORSE = "worse"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class Effect:
    """One variant against *before* at one point.

    Attributes:
        before, variant: Typical values, in the unit of the metric: a median, and what the gain
            makes of it, as medians of all rounds may contradict what neighbours say.
        gain: None when there were too few generations for an interval.
        exact: Whether both were the same in every round, so that nothing is estimated.
    """

    before: float
    variant: float
    gain: Interval | None
    exact: bool
    generations: int

    @property
    def width(self) -> float:
        """How wide the interval is, as a share: 0.1 is a tenth; infinite without one."""
        if self.gain is None:
            return math.inf
        if self.gain.low == self.gain.high:
            return 0.0
        return self.gain.high / self.gain.low - 1 if self.gain.low > 0 else math.inf


@dataclass(frozen=True, slots=True)
class PointVerdict:
    """What was seen at one combination of what varies; *effects* by variant, the control too."""

    point: Mapping[str, Any]
    outcome: Outcome
    effects: Mapping[str, Effect]
    after: str

    @property
    def effect(self) -> Effect:
        """What *after* did."""
        return self.effects[self.after]

    @property
    def control(self) -> Effect:
        """What *before* did against itself."""
        return self.effects[CONTROL]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one experiment, its reason in one sentence, and what was seen where."""

    answer: Answer
    reason: str
    points: Sequence[PointVerdict] = ()


def judge(results: Mapping[str, Any], claim: str = "") -> Verdict:
    """Return the verdict on the results that `perfkit.claims.running` made of an experiment.

    *claim* is the id of the claim to judge, which may promise a figure of its own.
    """
    if results["not_run"]:
        return Verdict(Answer.NOT_RUN, results["not_run"])
    measured = [point for point in results["points"] if point["generations"]]
    promised = results["promises"].get(claim, results["promised"])
    points = [judge_point(results, point, promised) for point in measured]
    if results["failed"]:
        return Verdict(Answer.NOT_RUN, f"it failed: {results['failed']}", points)
    if not points:
        return Verdict(Answer.NOT_RUN, "it was interrupted before the first figures")
    answer = answer_of([point.outcome for point in points], harmful=bool(results["hazard"]))
    return Verdict(answer, reason_of(answer, points, results, promised), points)


def judge_point(
    results: Mapping[str, Any], point: Mapping[str, Any], promised: float
) -> PointVerdict:
    """Return what was seen at one point of the results."""
    before, after, *_ = results["variants"]
    effects = {
        name: effect(point["generations"], before, name, results["higher_is_better"])
        for name in [*results["variants"][1:], CONTROL]
    }
    outcome = outcome_of(effects[after], effects[CONTROL], promised, results["matters"])
    return PointVerdict(point["values"], outcome, effects, after)


def effect(
    generations: Sequence[Mapping[str, Any]], before: str, name: str, higher_is_better: bool
) -> Effect:
    """Return how *name* did against *before*, over all generations of one point."""
    ours = [value for taken in generations for value in taken["rounds"][name]]
    theirs = [value for taken in generations for value in taken["rounds"][before]]
    exact = len(set(ours)) == 1 and len(set(theirs)) == 1
    count = len(generations)
    if exact and count >= EXACT_GENERATIONS:
        factor = gain_of(theirs[0], ours[0], higher_is_better)
        return Effect(theirs[0], ours[0], Interval(factor, factor, factor), True, count)
    typical = median(theirs)
    if count < needed_samples(LOOK_CONFIDENCE):
        return Effect(typical, median(ours), None, False, count)
    if min(*ours, *theirs) > 0:
        logs = [log_gain(taken, before, name, higher_is_better) for taken in generations]
        gain = Interval(*map(math.exp, signed_rank_interval(logs, LOOK_CONFIDENCE)))
        shown = typical * gain.estimate if higher_is_better else typical / gain.estimate
        return Effect(typical, shown, gain, False, count)
    gain = _gain_with_zeros(generations, before, name, higher_is_better)
    return Effect(typical, median(ours), gain, False, count)


def gain_of(before: float, variant: float, higher_is_better: bool) -> float:
    """Return how many times better *variant* is; infinite when one of them is nothing at all."""
    if before == variant:
        return 1.0
    more, less = (variant, before) if higher_is_better else (before, variant)
    return more / less if less else math.inf


def log_gain(
    generation: Mapping[str, Any], before: str, name: str, higher_is_better: bool
) -> float:
    """Return the logarithm of the gain that one generation saw."""
    columns = generation["rounds"][before], generation["rounds"][name], generation["disturbed"]
    pairs = [
        Pair(theirs, ours, base_first=True, disturbed=disturbed)
        for theirs, ours, disturbed in zip(*columns, strict=True)
    ]
    ratio = log_ratio(pairs)
    return ratio if higher_is_better else -ratio


def _gain_with_zeros(
    generations: Sequence[Mapping[str, Any]], before: str, name: str, higher_is_better: bool
) -> Interval:
    """Return the gain of counts that vary and may be zero, which no ratio of rounds exists for.

    The interval is that of the differences, told as a multiple of the better side's mean.
    """
    means = [
        (fmean(taken["rounds"][before]), fmean(taken["rounds"][name])) for taken in generations
    ]
    sign = 1 if higher_is_better else -1
    differences = [sign * (ours - theirs) for theirs, ours in means]
    interval = signed_rank_interval(differences, LOOK_CONFIDENCE)
    smaller = fmean(min(theirs, ours) for theirs, ours in means)
    return Interval(*(_factor(difference, smaller) for difference in interval))


def _factor(difference: float, smaller: float) -> float:
    if difference == 0:
        return 1.0
    size = 1 + abs(difference) / smaller if smaller else math.inf
    return size if difference > 0 else 1 / size


def outcome_of(seen: Effect, control: Effect, promised: float, matters: float) -> Outcome:
    """Return what an effect means for a promise; *matters* is a share, 0.02 for 2 %."""
    if seen.gain is None:
        return Outcome.UNKNOWN
    low, _, high = seen.gain
    if 1 / (1 + matters) < low and high < 1 + matters:
        return Outcome.SAME
    # Where *before* differs from itself, that much may be the machine's doing.
    floor, ceiling = bias_of(control)
    clear = 1 + matters * MARGIN
    if high < min(1 / clear, floor):
        return Outcome.WORSE
    if low > max(clear, ceiling):
        if low >= promised:
            return Outcome.KEPT
        return Outcome.LESS if high < promised else Outcome.UNKNOWN
    return Outcome.UNKNOWN


def bias_of(control: Effect) -> tuple[float, float]:
    """Return the range of gains that *before* shows against itself; (1, 1) when it shows none."""
    if control.gain is None or control.gain.low <= 1 <= control.gain.high:
        return 1.0, 1.0
    return min(1.0, control.gain.low), max(1.0, control.gain.high)


def answer_of(outcomes: Sequence[Outcome], *, harmful: bool) -> Answer:
    """Return the answer that the outcomes of all points give together."""
    seen = set(outcomes)
    kept, decided = Outcome.KEPT in seen, seen - {Outcome.UNKNOWN, Outcome.KEPT}
    if harmful:
        return Answer.HARMFUL if kept else Answer.UNDECIDED
    if kept and decided:
        return Answer.DEPENDS
    if Outcome.UNKNOWN in seen:
        return Answer.UNDECIDED
    if kept:
        return Answer.CONFIRMED
    return Answer.SAME if seen == {Outcome.SAME} else Answer.REFUTED


def settled(results: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    """Return whether more rounds of a point could tell nothing more that was asked for."""
    promises = {results["promised"], *results["promises"].values()}
    verdicts = [judge_point(results, point, promised) for promised in promises]
    narrow = verdicts[0].effect.width <= results["precision"]
    return narrow and all(verdict.outcome is not Outcome.UNKNOWN for verdict in verdicts)


def reason_of(
    answer: Answer,
    points: Sequence[PointVerdict],
    results: Mapping[str, Any],
    promised: float,
) -> str:
    """Return why, in one sentence with figures."""
    if not any(point.effect.gain for point in points):
        return "there were too few rounds for an interval: give it more time"
    promise = f"; promised were {cut(promised)}" if promised > 1 else ""
    if answer is Answer.SAME:
        return f"no difference that we could see, and we could have seen {results['matters']:.0%}"
    if answer is Answer.UNDECIDED:
        if results["hazard"] and all(point.outcome is Outcome.SAME for point in points):
            return "the damage did not show"
        where = "" if len(points) == 1 else f" over {len(points)} points"
        return f"the gain is {spread(points)}{where}{promise}: not narrow enough to tell"
    if len(points) == 1:
        return f"{figures(points[0].effect, results['unit'], answer)}{promise}"
    kept = [point for point in points if point.outcome is Outcome.KEPT]
    if answer in {Answer.DEPENDS, Answer.HARMFUL} and len(kept) < len(points):
        others = [point for point in points if point.outcome is not Outcome.KEPT]
        return f"{spread(kept)} at {places(kept)}, {spread(others)} at {places(others)}{promise}"
    return f"{spread(points)} as good over {len(points)} points{promise}"


def spread(points: Sequence[PointVerdict]) -> str:
    """Return the range of the gains of *points*."""
    gains = [point.effect.gain for point in points if point.effect.gain is not None]
    return gain_text(min(gain.low for gain in gains), max(gain.high for gain in gains))


def places(points: Sequence[PointVerdict]) -> str:
    """Return where *points* are: all that differs between them, up to three."""
    texts = [point_text(point.point) for point in points]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(texts[:3]) + more


def figures(effect: Effect, unit: str, answer: Answer) -> str:
    """Return what became of *before*, and by which gain."""
    assert effect.gain
    before, after = amount(effect.before, unit), amount(effect.variant, unit)
    became = f"{before} become {after}"
    if answer is Answer.HARMFUL:
        became = f"{before} as advised, {after} the safe way"
    if math.isinf(effect.gain.low):
        return became
    better = "better" if effect.gain.low >= 1 else "as good, which is worse"
    return f"{became}: {gain_text(effect.gain.low, effect.gain.high)} {better}"


@dataclass(frozen=True, slots=True)
class Curve:
    """The gains along the one parameter with numbers, with all the others at one value each."""

    label: Mapping[str, Any]
    points: Sequence[PointVerdict]
    break_even: float | None
    """Where the gain passes 1, in the unit of the parameter; None when it does not."""


def axis_of(results: Mapping[str, Any]) -> str | None:
    """Return the first parameter that has more than one number for its values."""
    return next(
        (
            name
            for name, values in results["varies"].items()
            if len(values) > 1
            and all(isinstance(value, int | float) and not isinstance(value, bool)
                    for value in values)
        ),
        None,
    )  # fmt: skip


def curves(verdict: Verdict, axis: str) -> list[Curve]:
    """Return the points of a verdict as curves over *axis*, each with its break-even."""
    grouped: dict[tuple[tuple[str, Any], ...], list[PointVerdict]] = {}
    for point in verdict.points:
        others = tuple((name, value) for name, value in point.point.items() if name != axis)
        grouped.setdefault(others, []).append(point)
    return [
        Curve(dict(others), ordered, break_even([(p.point[axis], p.effect.gain) for p in ordered]))
        for others, points in grouped.items()
        for ordered in [sorted(points, key=lambda point: point.point[axis])]
    ]


def break_even(gains: Sequence[tuple[float, Interval | None]]) -> float | None:
    """Return where the gain first passes 1, between two points whose intervals both exclude it.

    Between neighbours the gain is taken to be a power of the parameter, a straight line on
    logarithmic axes.
    """
    clear = [
        (at, gain.estimate)
        for at, gain in gains
        if gain is not None and not gain.low <= 1 <= gain.high and 0 < gain.estimate < math.inf
    ]
    for (left, one), (right, other) in pairwise(clear):
        if (one - 1) * (other - 1) < 0:
            share = math.log(one) / (math.log(one) - math.log(other))
            if left <= 0:
                return left + share * (right - left)
            return math.exp(math.log(left) + share * (math.log(right) - math.log(left)))
    return None
