"""Experiments are found by their files, and mistakes in them are told by file and in one line."""

from pathlib import Path

import pytest

from perfkit.claims.experiment import ExperimentError
from perfkit.claims.ledger import claims, themes
from perfkit.claims.library import OURS, Found, code_of, find, load, select

GOOD = '''
from perfkit.claims import LATENCY, Experiment

experiment = Experiment(
    question="?", hypothesis="!", metric=LATENCY, claims=["O-30"], theme="queries"
)


@experiment.before
def slow():
    """Takes its time."""
    return lambda: sum(range(100))


@experiment.after
def quick():
    """Hurries."""
    return lambda: sum(range(10))
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text(GOOD)
    return tmp_path


def test_a_folder_is_searched_for_files(folder: Path) -> None:
    (folder / "_helpers.py").write_text("")

    assert [found.name for found in find(folder)] == ["sums"]


def test_a_file_is_an_experiment_too(folder: Path) -> None:
    [found] = find(folder / "sums.py")

    assert (found.claims, found.theme) == (("O-30",), "queries")


def test_the_source_changes_with_the_file(folder: Path) -> None:
    before = load(folder / "sums.py").source
    (folder / "sums.py").write_text(GOOD.replace("range(10)", "range(11)"))

    assert load(folder / "sums.py").source != before


def test_code_is_shown_without_its_decorator(folder: Path) -> None:
    assert list(code_of(folder / "sums.py")) == ["slow", "quick"]
    assert code_of(folder / "sums.py")["slow"].startswith("def slow():")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1", r"bad\.py: it has to say: experiment = Experiment"),
        ("def", r"bad\.py: SyntaxError"),
        (GOOD.replace("def quick()", "def quick(postgress)"), 'did you mean "postgres"'),
        (GOOD.replace("def quick()", "def quick(zzz)"), "there are postgres, redis"),
        (GOOD.replace("after", "before"), r"bad\.py: quick: @experiment\.before comes first"),
        (GOOD.replace("metric=LATENCY", "metric=LATENCY, budget_s=0"), r"bad\.py: budget_s"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, code: str, says: str) -> None:
    (tmp_path / "bad.py").write_text(code)

    with pytest.raises(ExperimentError, match=says) as caught:
        find(tmp_path)

    assert "\n" not in str(caught.value)


def test_a_package_that_is_absent_leaves_the_claims_readable(tmp_path: Path) -> None:
    (tmp_path / "absent.py").write_text("import no_such_package\n" + GOOD)

    [found] = find(tmp_path)

    assert found.experiment is None
    assert (found.absent, found.claims, found.theme) == ("no_such_package", ("O-30",), "queries")


@pytest.mark.parametrize("given", ["absent", "empty"])
def test_a_folder_without_experiments_is_an_error(tmp_path: Path, given: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ExperimentError, match=given):
        find(tmp_path / given)


@pytest.mark.parametrize("word", ["O-30", "o-30", "sum", "Queries"])
def test_a_word_picks_by_claim_name_or_theme(folder: Path, word: str) -> None:
    found = find(folder)

    assert select(found, [word]) == found


def test_a_word_that_picks_nothing_is_an_error(folder: Path) -> None:
    with pytest.raises(ExperimentError, match='no experiment matches "gzzip"'):
        select(find(folder), ["sums", "gzzip"])


ours = find(OURS)
every_experiment = pytest.mark.parametrize("found", ours, ids=lambda found: found.name)


@every_experiment
def test_each_of_ours_answers_claims_of_the_ledger_under_its_theme(found: Found) -> None:
    assert found.claims
    assert set(found.claims) <= set(claims())
    assert found.theme in themes()


@every_experiment
def test_each_of_ours_reads_as_its_own_documentation(found: Found) -> None:
    assert found.experiment
    described = [function.__doc__ for function in found.experiment.variants.values()]

    assert all(described)
    assert found.experiment.advice
    assert set(found.experiment.variants) <= set(code_of(found.path))
