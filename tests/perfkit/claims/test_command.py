"""The command line: lists, shows, runs, resumes, reports; and says mistakes in one line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.__main__ import main
from perfkit.claims import store
from perfkit.claims.command import is_current
from perfkit.claims.library import Found


def claims(*arguments: str | Path) -> int:
    return main(["claims", *map(str, arguments)])


def run(folder: Path, *arguments: str) -> int:
    return claims("run", "--experiments", folder, "--results", folder / "results", *arguments)


def test_list_tells_the_claims_the_question_and_the_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = claims("list", "O-30", "memoised")

    printed = capsys.readouterr().out
    assert status == 0
    assert "How much does one JOIN save against a query for each row?" in printed
    assert "needs link, postgres" in printed
    assert "memoised_mutable" in printed
    assert "gzip" not in printed


def test_show_tells_the_hypothesis_the_code_and_the_last_verdict(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder)
    capsys.readouterr()

    claims("show", "sums", "--experiments", folder, "--results", folder / "results")

    printed = capsys.readouterr().out
    assert "Claimed:  One call is half of two." in printed
    assert "def twice():" in printed
    assert "sums: confirmed: 2 calls become 1 call: 2.00 times better" in printed


def test_run_keeps_the_results_and_prints_the_verdict(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(folder)

    kept = json.loads((folder / "results" / "sums.json").read_text())
    assert status == 0
    assert kept["complete"]
    assert "sums: confirmed" in capsys.readouterr().out


def test_run_tells_the_time_that_is_left(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder)

    assert "1 of 1, 3 s left; sums: " in capfd.readouterr().err


def test_resume_runs_only_what_is_not_there(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(folder)
    started = json.loads((folder / "results" / "sums.json").read_text())["started"]
    (folder / "other.py").write_text((folder / "sums.py").read_text())
    capfd.readouterr()

    run(folder, "--resume")

    said = capfd.readouterr()
    assert "1 of 2 are there already" in said.err
    assert said.out.startswith("other: confirmed")
    assert json.loads((folder / "results" / "sums.json").read_text())["started"] == started


def test_results_of_another_source_are_run_again(sums: Found) -> None:
    results = {"complete": True, "source": sums.source}

    assert is_current(sums, results)
    assert not is_current(sums, results | {"source": "another"})
    assert not is_current(sums, results | {"complete": False})
    assert not is_current(sums, None)


def test_a_failing_experiment_loses_no_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = (folder / "sums.py").read_text().replace("return lambda: 1", "return lambda: 1 / 0")
    (folder / "broken.py").write_text(broken)

    status = run(folder)

    printed = capsys.readouterr().out
    assert status == 0
    assert "broken: not run: it failed: broken.py:24: ZeroDivisionError" in printed
    assert "sums: confirmed" in printed


def test_ctrl_c_keeps_what_was_measured_and_resume_goes_on(folder: Path) -> None:
    slow = (folder / "sums.py").read_text().replace("CALLS", "LATENCY")
    (folder / "sums.py").write_text(
        slow.replace("return lambda: 2", "import time\n    return lambda: time.sleep(0.01)")
    )
    results = folder / "results"
    command = [sys.executable, "-m", "perfkit", "claims", "run", "--experiments", str(folder)]
    process = subprocess.Popen(
        [*command, "--results", str(results)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    assert process.stderr
    # The first line of progress is told after the first generation.
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    kept = store.read(results)["sums"]
    assert "1 generations" in first
    assert process.returncode == 2, err
    assert "--resume goes on" in err
    assert not kept["complete"]
    assert len(kept["points"][0]["generations"]) >= 1
    assert out.startswith("sums: cannot tell")


def test_report_judges_results_and_counts_the_verdicts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder)
    capsys.readouterr()

    claims("report", "--experiments", folder, "--results", folder / "results")

    printed = capsys.readouterr().out
    assert "sums: confirmed" in printed
    assert "1 confirmed, 118 not measured yet" in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "gzzip"], 'no experiment matches "gzzip"'),
        (["report", "--results", "/absent"], "/absent holds no results"),
        (["list", "--experiments", "/absent"], "/absent does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = claims(*arguments)

    error = capsys.readouterr().err
    assert status == 1
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["validate", "--runs", "0"], ["fly"], []])
def test_a_wrong_option_is_status_1(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        claims(*arguments)

    assert caught.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_results_that_are_none_are_told_with_their_file(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('{"name": ')

    with pytest.raises(Exception, match=r"torn\.json holds no results .* remove it"):
        store.read(tmp_path)


def test_a_run_writes_no_half_file(tmp_path: Path) -> None:
    store.write(tmp_path, {"name": "sums", "value": 1})
    store.write(tmp_path, {"name": "sums", "value": 2})

    assert [path.name for path in tmp_path.iterdir()] == ["sums.json"]
    assert store.read(tmp_path)["sums"]["value"] == 2
