"""The results that nobody would have expected by what the guides say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from perfkit.claims.judging import Answer, PointVerdict, judge
from perfkit.claims.wording import amount, cut, point_text

SHOWN = 10
RULE = (
    "Harmful and refuted advice take turns. Among each, what was seen furthest from what was "
    "promised comes first, at the end of its interval that is kinder to the guides, and each "
    "theme has its first before any has a second; ties go to what answers more claims."
)


@dataclass(frozen=True, slots=True)
class Surprise:
    """One experiment whose answer is not what is claimed, at the point that shows it best.

    Attributes:
        distance: How many times worse than promised the advice is, or than the safe way;
            infinite where the safe way has nothing at all of what the advice does.
        advised, otherwise: What was seen with the advice and without it.
    """

    name: str
    theme: str
    claims: Sequence[str]
    answer: Answer
    distance: float
    where: str
    advised: str
    otherwise: str


def surprises(results: Iterable[Mapping[str, Any]], shown: int = SHOWN) -> list[Surprise]:
    """Return the most surprising of all results, by `RULE`."""
    found = [surprise for one in results if one["claims"] for surprise in of(one)]
    harmful, refuted = (
        by_turns([one for one in found if one.answer is answer])
        for answer in (Answer.HARMFUL, Answer.REFUTED)
    )
    pairs = zip_longest(harmful, refuted)
    return [one for pair in pairs for one in pair if one][:shown]


def by_turns(found: Iterable[Surprise]) -> list[Surprise]:
    """Return *found* by their distance, the first of each theme before the second of any."""
    place: Counter[str] = Counter()
    turns = []
    for one in sorted(found, key=lambda one: (-one.distance, -len(one.claims), one.name)):
        turns.append((place[one.theme], one))
        place[one.theme] += 1
    return [one for _, one in sorted(turns, key=lambda turn: turn[0])]


def of(results: Mapping[str, Any]) -> list[Surprise]:
    """Return what is surprising about one experiment: at most one thing."""
    verdicts = {claim: judge(results, claim) for claim in results["claims"]}
    answers = {verdict.answer for verdict in verdicts.values()}
    if Answer.HARMFUL in answers:
        verdict = next(iter(verdicts.values()))
        point = max(verdict.points, key=damage)
        return [_told(results, Answer.HARMFUL, results["claims"], point, damage(point))]
    refuted = {
        claim: verdict for claim, verdict in verdicts.items() if verdict.answer is Answer.REFUTED
    }
    if not refuted:
        return []
    distance, point = max(
        ((shortfall(point, results["promises"].get(claim, results["promised"])), point)
         for claim, verdict in refuted.items() for point in verdict.points),
        key=lambda pair: pair[0],
    )  # fmt: skip
    return [_told(results, Answer.REFUTED, list(refuted), point, distance)]


def damage(point: PointVerdict) -> float:
    """Return how many times worse the advice is than the safe way, at least."""
    return point.effect.gain.low if point.effect.gain else 0.0


def shortfall(point: PointVerdict, promised: float) -> float:
    """Return how many times less the advice does than was promised, at least."""
    if point.effect.gain is None:
        return 0.0
    return promised / point.effect.gain.high if point.effect.gain.high else math.inf


def _told(
    results: Mapping[str, Any],
    answer: Answer,
    claims: Sequence[str],
    point: PointVerdict,
    distance: float,
) -> Surprise:
    before = amount(point.effect.before, results["unit"])
    after = amount(point.effect.variant, results["unit"])
    # The dangerous advice is what stands before, any other what stands after.
    advised, otherwise = (before, after) if answer is Answer.HARMFUL else (after, before)
    name, theme = results["name"], results["theme"]
    where = point_text(point.point) if len(results["points"]) > 1 else ""
    return Surprise(name, theme, claims, answer, distance, where, advised, otherwise)


def markdown(
    found: Sequence[Surprise], questions: Mapping[str, str], pages: Mapping[str, str]
) -> str:
    """Return a table of *found*, with the question of each and the page of its theme."""
    lines = ["| asked | the advice is | with it | without it | worse than promised | rerun |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for one in found:
        where = f" ({one.where})" if one.where else ""
        worse = "all or nothing" if math.isinf(one.distance) else f"{cut(one.distance)} times"
        lines.append(
            f"| [{questions[one.name]}]({pages[one.theme]}) {', '.join(one.claims)} "
            f"| {one.answer} | {one.advised}{where} | {one.otherwise} | {worse} "
            f"| `make claims ONLY={one.name}` |"
        )
    return "\n".join([RULE, "", *lines])
