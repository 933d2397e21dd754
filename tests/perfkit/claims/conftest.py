from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.claims.library import Found, load
from perfkit.claims.parts import Session

SUMS = '''
from perfkit.claims import CALLS, Experiment

experiment = Experiment(
    question="Is one call fewer than two?",
    hypothesis="One call is half of two.",
    promised=2,
    metric=CALLS,
    claims=["O-02"],
    theme="dependencies",
    advice="Call once.",
)


@experiment.before
def twice():
    """Calls twice."""
    return lambda: 2


@experiment.after
def once():
    """Calls once."""
    return lambda: 1
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one experiment, of counts, so that it is quick and certain."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "sums.py").write_text(SUMS)
    return folder


@pytest.fixture
def sums(folder: Path) -> Found:
    return load(folder / "sums.py")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session
