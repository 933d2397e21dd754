"""Pages say what the results say, with the code that was run, and refuse results out of date."""

import math
import re
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest

from perfkit.claims import ledger
from perfkit.claims.library import Found, load
from perfkit.claims.pages import StaleResultsError, pages, write
from perfkit.claims.running import blank

VARYING = '''
from perfkit.claims import LATENCY, Experiment

experiment = Experiment(
    question="Does it pay?",
    hypothesis="It pays.",
    metric=LATENCY,
    claims=["O-25"],
    theme="compression",
    advice="Try it.",
    conditions="On a table.",
    varies={"size": [1, 10, 100]},
    because="Larger is dearer.",
)


@experiment.before
def plain(size):
    """Plain."""
    return helper


@experiment.after
def packed(size):
    """Packed."""
    return helper


def helper():
    """Help."""
'''


def measured(found: Found, gains: list[float], **changes: Any) -> dict[str, Any]:
    """Return results in which *after* was so many times faster, point by point."""
    results = blank(found, seed=1)
    before, after = results["variants"][:2]
    lot = Random(1)

    def rounds(seconds: float) -> list[float]:
        return [seconds * math.exp(lot.gauss(0, 0.005)) for _ in range(4)]

    for point, gain in zip(results["points"], gains, strict=True):
        point["generations"] = [
            {
                "rounds": {before: rounds(1), after: rounds(1 / gain), "control": rounds(1)},
                "disturbed": [False] * 4,
            }
            for _ in range(16)
        ]
    return results | {"complete": True} | changes


@pytest.fixture
def varying(tmp_path: Path) -> Found:
    (tmp_path / "packing.py").write_text(VARYING)
    return load(tmp_path / "packing.py")


@pytest.fixture
def texts(tmp_path: Path, varying: Found) -> dict[str, str]:
    folder = tmp_path / "pages"
    made = pages(folder, [varying], {"packing": measured(varying, [0.5, 1.0, 2.0])})
    return {str(path.relative_to(folder)): text for path, text in made.items()}


def test_a_theme_has_a_page_with_its_claims(texts: dict[str, str]) -> None:
    page = texts["compression.md"]

    assert page.startswith("# Compression\n")
    assert (
        "| O-25 | gzip for answers above a kilobyte makes them smaller and faster. | depends |"
        in page
    )
    assert "| O-26 | gzip in nginx spares the application the work. | not measured yet |" in page


def test_a_section_tells_advice_claim_verdict_reason_and_conditions(
    texts: dict[str, str],
) -> None:
    page = texts["compression.md"]

    assert "## Does it pay?\n\nTry it.\n\nClaimed: It pays. (O-25)\n\n**depends**: " in page
    assert "Larger is dearer. It breaks even at size 10." in page
    assert "On a table. " in page
    assert "`python -m perfkit claims run packing`" in page


def test_the_code_is_that_of_the_experiment(texts: dict[str, str]) -> None:
    page = texts["compression.md"]

    assert "Without:\n\n```python\ndef plain(size):" in page
    assert "With the advice:\n\n```python\ndef packed(size):" in page
    assert '```python\ndef packed(size):\n    """Packed."""\n    return helper\n```' in page
    assert "<details><summary>The code that they use</summary>" in page


def test_each_point_has_a_row_with_its_interval_and_the_control(texts: dict[str, str]) -> None:
    rows = re.findall(r"^\| size \d+ \|.*$", texts["compression.md"], re.MULTILINE)

    assert len(rows) == 3
    assert all(row.count(" times |") == 2 for row in rows)


def test_what_depends_has_a_plot_that_needs_nothing_else(texts: dict[str, str]) -> None:
    drawing = texts["plots/packing.svg"]

    assert "](plots/packing.svg)" in texts["compression.md"]
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert "prefers-color-scheme: dark" in drawing


def test_figures_on_a_page_follow_the_results(tmp_path: Path, varying: Found) -> None:
    first = pages(tmp_path, [varying], {"packing": measured(varying, [2.0, 2.0, 2.0])})
    second = pages(tmp_path, [varying], {"packing": measured(varying, [4.0, 4.0, 4.0])})

    page = tmp_path / "compression.md"
    assert "1.9" in first[page]
    assert first[page] != second[page]


def test_harm_stands_in_a_red_box(tmp_path: Path, varying: Found) -> None:
    (tmp_path / "packing.py").write_text(
        VARYING.replace('advice="Try it.",', 'advice="Try it.", hazard="It breaks.",')
    )
    found = load(tmp_path / "packing.py")

    page = pages(tmp_path, [found], {"packing": measured(found, [9.0, 9.0, 9.0])})

    text = page[tmp_path / "compression.md"]
    assert "> [!CAUTION]\n> It breaks." in text
    assert "As it is advised, which does the harm:\n\n```python\ndef plain(size):" in text
    assert "The safe way:\n\n```python\ndef packed(size):" in text


def test_a_hazard_that_did_not_show_has_no_red_box(tmp_path: Path) -> None:
    (tmp_path / "packing.py").write_text(
        VARYING.replace('advice="Try it.",', 'advice="Try it.", hazard="It breaks.",')
    )
    found = load(tmp_path / "packing.py")

    page = pages(tmp_path, [found], {"packing": measured(found, [1.0, 1.0, 1.0])})

    assert "CAUTION" not in page[tmp_path / "compression.md"]


def test_results_older_than_the_code_are_refused(tmp_path: Path, varying: Found) -> None:
    results = measured(varying, [1.0, 1.0, 1.0])
    (tmp_path / "packing.py").write_text(VARYING + "\n# changed\n")

    with pytest.raises(StaleResultsError, match="packing are older than the code they measured"):
        write(tmp_path / "pages", [load(tmp_path / "packing.py")], {"packing": results})

    assert not (tmp_path / "pages").exists()


def test_an_experiment_that_was_not_run_shows_the_gap(tmp_path: Path, varying: Found) -> None:
    results = blank(varying, 1) | {"not_run": "needs nginx, install with apt-get install nginx"}

    made = pages(tmp_path, [varying], {"packing": results})

    page = made[tmp_path / "compression.md"]
    assert "**not run**: needs nginx, install with apt-get install nginx." in page


def test_the_overview_lists_every_claim_with_its_verdict(texts: dict[str, str]) -> None:
    page = texts["index.html"]

    rows = re.findall(r'<tr data-theme="([^"]+)" data-verdict="([^"]+)">', page)
    assert len(rows) == 119
    assert [verdict for _, verdict in rows].count(ledger.UNMEASURED) == 118
    assert '<span class="verdict depends">1 depends</span>' in page


def test_the_overview_needs_no_network(texts: dict[str, str]) -> None:
    assert "//" not in re.sub(r"<!--.*?-->", "", texts["index.html"])


def test_every_link_of_the_overview_leads_to_a_page(texts: dict[str, str]) -> None:
    links = set(re.findall(r'href="([^"]+)"', texts["index.html"]))

    assert links
    assert links <= set(texts)


def test_a_validation_has_a_page_that_the_overview_leads_to(tmp_path: Path, varying: Found) -> None:
    validation = {
        "started": "2026-11-28T00:00:00+00:00", "seed": 1, "elapsed_s": 1.0, "runs": 100,
        "environment": {
            "machine": "A machine", "load average before": "0", "Python": "3", "source": "abc",
        },
        "simulated": [95] * 6, "real": [[[0.9, 1.1]]] * 6, "noise": [],
    }  # fmt: skip

    made = pages(tmp_path, [varying], {"packing": measured(varying, [1.0] * 3)}, validation)

    assert "| 1 | 95 of 100 | 1 of 1 |" in made[tmp_path / "method.md"]
    assert 'href="method.md"' in made[tmp_path / "index.html"]


def test_experiments_of_your_own_have_a_page_too(tmp_path: Path) -> None:
    code = VARYING.replace('    claims=["O-25"],\n    theme="compression",\n', "")
    (tmp_path / "packing.py").write_text(code)
    found = load(tmp_path / "packing.py")

    made = pages(tmp_path, [found], {"packing": measured(found, [2.0, 2.0, 2.0])})

    assert "## Does it pay?" in made[tmp_path / "yours.md"]
    assert "The claims" not in made[tmp_path / "yours.md"]
    assert "Does it pay?" in made[tmp_path / "index.html"]
    assert {path.name for path in made} == {"index.html", "yours.md", "packing.svg"}
