"""The published pages are what the published results make, and those are of the code as it is."""

from pathlib import Path

from perfkit.claims import store
from perfkit.claims.library import OURS, find
from perfkit.claims.pages import pages
from perfkit.claims.validation import EFFECTS, recovered, rows

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "claims"
FOUND = find(OURS)
PUBLISHED = ROOT / "reports" / "published" / "claims"
RESULTS, VALIDATION = store.read(PUBLISHED), store.read_validation(PUBLISHED)
AGAIN = (
    "run: python -m perfkit claims validate --results reports/published/claims; "
    "python -m perfkit claims run --resume --results reports/published/claims; "
    "python -m perfkit claims report --results reports/published/claims --output docs/claims"
)


def test_every_experiment_has_published_results() -> None:
    assert set(RESULTS) == {found.name for found in FOUND}, AGAIN


def test_results_are_no_older_than_the_code_that_they_measured() -> None:
    stale = [found.name for found in FOUND if RESULTS[found.name]["source"] != found.source]

    assert stale == [], AGAIN


def test_pages_and_plots_are_those_that_the_results_make() -> None:
    made = pages(DOCS, FOUND, RESULTS, VALIDATION)

    there = {path: path.read_text() for path in DOCS.rglob("*") if path.is_file()}
    assert set(there) == set(made), AGAIN
    assert [path.name for path in made if there[path] != made[path]] == [], AGAIN


def test_known_effects_were_recovered_in_at_least_93_of_100_runs() -> None:
    assert VALIDATION, "run: python -m perfkit claims validate --results reports/published/claims"
    assert VALIDATION["runs"] >= 100
    assert all(row.holds and row.intervals for row in rows(VALIDATION))


def test_the_simulated_runs_are_those_that_the_recorded_noise_makes() -> None:
    assert VALIDATION
    runs, seed = VALIDATION["runs"], VALIDATION["seed"]

    again = [recovered(VALIDATION["noise"], known, runs, seed) for known in EFFECTS]

    assert again == VALIDATION["simulated"], AGAIN


def test_every_experiment_ran_to_its_end_within_its_limits() -> None:
    failed = {name: results["failed"] for name, results in RESULTS.items() if results["failed"]}

    assert failed == {}
    assert all(results["complete"] for results in RESULTS.values())
    assert max(results["memory_mib"] for results in RESULTS.values()) <= 500


def test_statistics_took_less_than_a_fiftieth_of_the_run() -> None:
    spent = sum(results["statistics_s"] for results in RESULTS.values())

    assert spent < 0.02 * sum(results["elapsed_s"] for results in RESULTS.values())
