"""What is not timed runs two at a time, and what becomes of one leaves the other alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.__main__ import main
from perfkit.claims import store
from perfkit.claims.lanes import run_beside
from perfkit.claims.library import Found, load
from perfkit.claims.running import Results
from perfkit.claims.schedule import Allowance

MEETING = """import time
    from pathlib import Path
    Path({mine!r}).touch()
    while not Path({other!r}).exists():
        time.sleep(0.01)
    return lambda: 1"""


def written(folder: Path, name: str, code: str) -> Found:
    """Return the experiment of that *name* which does *code* where another returns 1."""
    file = folder / f"{name}.py"
    file.write_text((folder / "sums.py").read_text().replace("return lambda: 1", code))
    return load(file)


def beside(*todo: Found) -> dict[str, Results]:
    """Return the results of *todo* by name, run in lanes."""
    kept: dict[str, Results] = {}
    run_beside(
        todo,
        1,
        lambda waiting: Allowance(20, 60),
        lambda line: None,
        lambda results: kept.update({results["name"]: results}),
    )
    return kept


def test_two_experiments_run_at_a_time(folder: Path) -> None:
    here, there = str(folder / "here"), str(folder / "there")
    one = written(folder, "one", MEETING.format(mine=here, other=there))
    other = written(folder, "other", MEETING.format(mine=there, other=here))

    kept = beside(one, other)

    assert [kept[name]["failed"] for name in ("one", "other")] == ["", ""]
    assert [len(kept[name]["points"][0]["generations"]) for name in kept] == [3, 3]


def test_a_process_that_dies_fails_its_experiment_alone(folder: Path, sums: Found) -> None:
    # The variant is a fork of a process that the lane started.
    killing = """import os, signal, psutil
    return lambda: os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL) or 1"""
    one = written(folder, "one", killing)
    others = [written(folder, name, "return lambda: 1") for name in ("other", "third")]

    kept = beside(one, *others, sums)

    assert kept["one"]["failed"] == "the process that ran it ended with status -9"
    assert [kept[name]["complete"] for name in ("other", "third", "sums")] == [True] * 3
    assert [kept[name]["failed"] for name in ("other", "third", "sums")] == [""] * 3


def test_no_time_is_told_of_all_that_it_befalls(folder: Path, sums: Found) -> None:
    other = written(folder, "other", "return lambda: 1")
    kept: dict[str, Results] = {}

    run_beside(
        [other, sums],
        1,
        lambda waiting: Allowance(0, 0),
        lambda line: None,
        lambda results: kept.update({results["name"]: results}),
    )

    assert ["--resume" in kept[name]["not_run"] for name in ("other", "sums")] == [True, True]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_both_have_measured(folder: Path, sent: signal.Signals) -> None:
    here, there = str(folder / "here"), str(folder / "there")
    changing = "import itertools\n    return itertools.count(time.time()).__next__"
    for name, mine, other in (("other", there, here), ("sums", here, there)):
        code = MEETING.format(mine=mine, other=other).replace("return lambda: 1", changing)
        written(folder, name, code)
    results = folder / "results"
    command = [sys.executable, "-m", "perfkit", "claims", "run", "--experiments", str(folder)]
    process = subprocess.Popen(
        [*command, "--results", str(results)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    assert process.stderr
    # The first line of progress is told after a generation of one of them.
    process.stderr.readline()
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)

    kept = store.read(results)
    assert process.returncode == 2, err
    assert "--resume goes on" in err
    assert sorted(kept) == ["other", "sums"]
    assert not any(one["complete"] for one in kept.values())
    assert sorted(line.partition(":")[0] for line in out.splitlines()) == ["other", "sums"]


def test_lines_of_two_are_whole(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "other.py").write_text((folder / "sums.py").read_text())

    main(["claims", "run", "--experiments", str(folder), "--results", str(folder / "results")])

    said = capfd.readouterr()
    assert sorted(line.partition(":")[0] for line in said.out.splitlines()) == ["other", "sums"]
    assert [line[:8] for line in said.err.splitlines()] == ["claims: "] * len(said.err.splitlines())
