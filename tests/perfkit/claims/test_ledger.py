"""The ledger holds every claim once, in our words, and says of each what is known."""

from typing import Any

import pytest

from perfkit.claims.judging import Answer
from perfkit.claims.ledger import UNMEASURED, claims, combined, entries, themes
from perfkit.claims.pages import guide_of


def results(claims: list[str], before: float, after: float) -> dict[str, Any]:
    generation = {
        "rounds": {"old": [before], "new": [after], "control": [before]}, "disturbed": [False]
    }  # fmt: skip
    return {
        "claims": claims, "metric": "calls", "unit": "calls", "not_run": "", "failed": "",
        "hazard": "", "variants": ["old", "new"], "higher_is_better": False, "promised": 1.0,
        "promises": {}, "matters": 0.02, "precision": 0.1,
        "points": [{"values": {}, "generations": [generation] * 3}],
    }  # fmt: skip


def test_there_are_119_claims_in_order() -> None:
    assert list(claims()) == [f"O-{number:02}" for number in range(1, 120)]


def test_every_claim_has_words_of_its_own() -> None:
    words = [claim.words for claim in claims().values()]

    assert len(set(words)) == len(words)
    assert all(text.endswith(".") and len(text) < 100 for text in words)


def test_there_are_13_themes() -> None:
    assert len(themes()) == 13
    assert themes()[0] == "dependencies"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([Answer.CONFIRMED], Answer.CONFIRMED),
        ([Answer.CONFIRMED, Answer.CONFIRMED], Answer.CONFIRMED),
        ([Answer.CONFIRMED, Answer.HARMFUL], Answer.HARMFUL),
        ([Answer.CONFIRMED, Answer.REFUTED], Answer.DEPENDS),
        ([Answer.CONFIRMED, Answer.SAME], Answer.DEPENDS),
        ([Answer.CONFIRMED, Answer.UNDECIDED], Answer.CONFIRMED),
        ([Answer.UNDECIDED, Answer.NOT_RUN], Answer.UNDECIDED),
        ([Answer.NOT_RUN], Answer.NOT_RUN),
    ],
)
def test_experiments_on_one_claim_are_told_together(
    answers: list[Answer], expected: Answer
) -> None:
    assert combined(answers) is expected


def test_an_entry_tells_what_each_experiment_says() -> None:
    measured = {
        "halved": results(["O-02"], before=2, after=1),
        "doubled": results(["O-02", "O-06"], before=1, after=2),
    }

    by_id = {entry.claim.id: entry for entry in entries(measured)}

    assert [finding.experiment for finding in by_id["O-02"].findings] == ["halved", "doubled"]
    assert by_id["O-02"].headline == Answer.DEPENDS
    assert by_id["O-06"].headline == Answer.REFUTED
    assert by_id["O-01"].headline == UNMEASURED


@pytest.mark.parametrize(
    ("id", "guide"),
    [
        ("O-39", "the performance page of RestMachine"),
        ("O-40", "day 13 of a Nexios course"),
        ("O-119", "a collection of FastAPI patterns"),
    ],
)
def test_a_claim_knows_its_guide(id: str, guide: str) -> None:
    assert guide_of(claims()[id]) == guide
