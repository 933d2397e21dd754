"""The tables of cases as a whole: how many there are, and that no decision is left out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from restmachine.decisions import DIAGRAM, Effect

HERE = Path(__file__).parent
DECISIONS = [id for id, row in DIAGRAM.items() if not isinstance(row, Effect)]
CASE = re.compile(r"\[(in_process|over_socket)-((RFC\d+-)?\d+(\.\d+)*-.+)\]$")


@pytest.fixture(scope="module")
def names() -> list[str]:
    """List the other tests of this folder as pytest names them."""
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", str(HERE.parents[1])]
    command = [sys.executable, "-m", "pytest", *options, str(HERE), f"--ignore={__file__}"]
    listing = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True)
    assert listing.returncode == 0, listing.stdout[-2000:]
    return [line for line in listing.stdout.splitlines() if "::" in line]


def test_three_hundred_cases_name_their_section_and_are_asked_both_ways(names: list[str]) -> None:
    cases = {match.groups()[:2] for name in names if (match := CASE.search(name))}

    ways = Counter(way for way, _ in cases)
    assert ways["in_process"] == ways["over_socket"] >= 300


def test_a_server_answers_none_but_misframed_cases_itself(names: list[str]) -> None:
    refused = [name for name in names if name.endswith("-refused-by-server]")]

    assert len(refused) == 2 * 3
    assert all("-RFC9112-6.3-" in name for name in refused)


@pytest.mark.parametrize("decision", DECISIONS)
def test_each_decision_is_in_the_name_of_a_test(names: list[str], decision: str) -> None:
    word = re.compile(rf"(?<![a-z0-9]){decision}(?![a-z0-9])", re.IGNORECASE)

    naming = [name for name in names if word.search(name.partition("::")[2])]

    assert naming != []
