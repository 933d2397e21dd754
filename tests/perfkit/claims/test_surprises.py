"""The most surprising results are chosen by the rule that is stated beside them."""

from typing import Any

import pytest

from perfkit.claims.judging import Answer
from perfkit.claims.surprises import RULE, by_turns, markdown, of, surprises


def counted(name: str, before: float, after: float, **changes: Any) -> dict[str, Any]:
    """Return results of counting so many errors before, and so many after."""
    generation = {
        "rounds": {"before": [before], "after": [after], "control": [before]},
        "disturbed": [False],
    }
    return {
        "name": name,
        "theme": "caches",
        "claims": ["O-01"],
        "not_run": "",
        "failed": "",
        "metric": "errors",
        "unit": "errors",
        "higher_is_better": False,
        "promised": 1.0,
        "promises": {},
        "matters": 0.02,
        "precision": 0.1,
        "hazard": "",
        "varies": {},
        "variants": ["before", "after"],
        "points": [{"values": {}, "generations": [generation] * 3}],
    } | changes


def harmful(name: str, before: float, after: float, **changes: Any) -> dict[str, Any]:
    return counted(name, before, after, hazard="It breaks.", **changes)


def names(*results: dict[str, Any]) -> list[str]:
    return [one.name for one in surprises(results)]


def test_harm_is_told_by_how_much_worse_the_advice_is_than_the_safe_way() -> None:
    [found] = of(harmful("risky", 40, 10))

    assert (found.answer, found.distance) == (Answer.HARMFUL, 4.0)
    assert (found.advised, found.otherwise) == ("40 errors", "10 errors")


def test_a_refutation_is_told_by_how_far_it_stays_behind_the_promise() -> None:
    [found] = of(counted("promising", 10, 5, promised=20.0))

    assert (found.answer, found.distance) == (Answer.REFUTED, 10.0)
    assert (found.advised, found.otherwise) == ("5 errors", "10 errors")


def test_only_the_claims_that_are_refuted_are_named() -> None:
    results = counted("both", 10, 5, claims=["O-01", "O-02"], promises={"O-02": 20.0})

    [found] = of(results)

    assert found.claims == ["O-02"]


@pytest.mark.parametrize(
    "results",
    [
        counted("kept", 10, 5),
        counted("same", 10, 10),
        counted("absent", 10, 5, not_run="needs nginx"),
        counted("yours", 5, 10, claims=[]),
    ],
    ids=lambda results: results["name"],
)
def test_what_is_confirmed_the_same_not_run_or_your_own_is_no_surprise(
    results: dict[str, Any],
) -> None:
    assert names(results) == []


def test_harmful_and_refuted_take_turns_each_by_its_distance() -> None:
    found = names(
        counted("slightly", 10, 11),
        harmful("dangerous", 30, 1),
        counted("very", 10, 90),
        harmful("deadly", 10, 0),
        harmful("risky", 2, 1, theme="async"),
    )

    # risky is the first of its theme, so it comes before the second of the other.
    assert found == ["deadly", "very", "risky", "slightly", "dangerous"]


def test_a_tie_goes_to_what_answers_more_claims() -> None:
    few, many = harmful("few", 10, 0), harmful("many", 3, 0, claims=["O-01", "O-02"])

    assert names(few, many) == ["many", "few"]


def test_every_theme_has_its_first_before_any_has_its_second() -> None:
    [far] = of(harmful("far", 100, 1))
    [near] = of(harmful("near", 50, 1))
    [other] = of(harmful("other", 2, 1, theme="async"))

    assert by_turns([near, other, far]) == [far, other, near]


def test_ten_are_shown() -> None:
    results = [harmful(f"number {number}", 10, 1) for number in range(12)]

    assert len(surprises(results)) == 10


def test_the_table_tells_rule_question_figures_and_how_to_rerun() -> None:
    found = of(harmful("risky", 40, 10)) + of(harmful("deadly", 10, 0))

    text = markdown(found, {"risky": "Is it safe?", "deadly": "Alive?"}, {"caches": "caches.md"})

    assert text.startswith(RULE)
    assert (
        "| [Is it safe?](caches.md) O-01 | harmful | 40 errors | 10 errors | 4.00 times "
        "| `make claims ONLY=risky` |" in text
    )
    assert "| 10 errors | 0 errors | all or nothing |" in text
