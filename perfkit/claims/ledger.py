"""The ledger: every claim of the guides, and what became of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from perfkit.claims.judging import Answer, Verdict, judge

SOURCE = Path(__file__).with_name("claims.toml")
UNMEASURED = "not measured yet"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim in our words."""

    id: str
    theme: str
    words: str

    @property
    def number(self) -> int:
        """The number in its id, for sorting."""
        return int(self.id.removeprefix("O-"))


@dataclass(frozen=True, slots=True)
class Finding:
    """What one experiment says about a claim."""

    experiment: str
    metric: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Entry:
    """A claim with all that is known of it."""

    claim: Claim
    findings: Sequence[Finding]

    @property
    def headline(self) -> str:
        """The verdict in a word or two; `UNMEASURED` when there is no experiment."""
        if not self.findings:
            return UNMEASURED
        return combined([finding.verdict.answer for finding in self.findings])


@cache
def claims() -> dict[str, Claim]:
    """Return all claims by id, in the order of their numbers."""
    themes = tomllib.loads(SOURCE.read_text())
    found = [
        Claim(id, theme, words) for theme, listed in themes.items() for id, words in listed.items()
    ]
    return {claim.id: claim for claim in sorted(found, key=lambda claim: claim.number)}


def themes() -> list[str]:
    """Return the themes in the order of the pages."""
    return list(tomllib.loads(SOURCE.read_text()))


def combined(answers: Sequence[Answer]) -> Answer:
    """Return what several experiments on one claim say together.

    One that shows harm stands above all; those that agree say what they say; where one confirms
    what another refutes, it depends on what one asks for. One that could not tell, or was not
    run, takes nothing from those that could.
    """
    told = set(answers) - {Answer.UNDECIDED, Answer.NOT_RUN}
    if Answer.HARMFUL in told:
        return Answer.HARMFUL
    if len(told) == 1:
        return told.pop()
    if told:
        return Answer.DEPENDS
    return Answer.UNDECIDED if Answer.UNDECIDED in answers else Answer.NOT_RUN


def entries(results: Mapping[str, Mapping[str, Any]]) -> list[Entry]:
    """Return every claim with what *results*, by name of the experiment, say about it."""
    return [
        Entry(
            claim,
            [
                Finding(name, one.get("metric", ""), judge(one, claim.id))
                for name, one in results.items()
                if claim.id in one["claims"]
            ],
        )
        for claim in claims().values()
    ]
