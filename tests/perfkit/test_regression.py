import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from perfkit.interleave import Plan, balanced_passes
from perfkit.regression import (
    FAILED,
    PASSED,
    VOID,
    Answer,
    Verdict,
    conclusion,
    judge,
    verdicts,
    visible_change,
)
from perfkit.stats import Interval, Pair, log_ratio

THRESHOLD = 0.02


def _generation(random: Random, change: float, spread: float) -> list[Pair]:
    """Six pairs of two processes, each off by its own *spread*; rounds vary, and some pause."""

    def times(process: float) -> list[float]:
        pauses = [random.choice([1.0] * 19 + [1.5]) for _ in range(6)]
        return [5e-6 * process * pause * math.exp(random.gauss(0, 0.01)) for pause in pauses]

    base = times(math.exp(random.gauss(0, spread)))
    head = times(math.exp(random.gauss(0, spread)) * change)
    return [Pair(*times, base_first=True, disturbed=False) for times in zip(base, head)]  # noqa: B905


def _run(seed: int, change: float = 1.0, generations: int = 40) -> list[list[Pair]]:
    random = Random(seed)
    return [_generation(random, change, spread=0.013) for _ in range(generations)]


def _judged(seed: int, change: float, generations: int = 40) -> Answer:
    return judge(_run(seed, change, generations), THRESHOLD, confidence=0.999).answer


def test_unchanged_code_is_never_called_slower_or_faster() -> None:
    runs = [{f"bench_{i}": _run(100 * run + i) for i in range(12)} for run in range(20)]

    answers = {verdict.answer for run in runs for verdict in verdicts(run, THRESHOLD).values()}

    assert answers <= {Answer.SAME, Answer.UNKNOWN}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("change", [1.05, 1.2, 2.0])
def test_a_slowdown_beyond_the_threshold_is_slower(change: float, seed: int) -> None:
    assert _judged(seed, change) is Answer.SLOWER


@pytest.mark.parametrize("seed", range(10))
def test_twenty_per_cent_are_found_with_half_the_processes(seed: int) -> None:
    assert _judged(seed, 1.2, generations=20) is Answer.SLOWER


@pytest.mark.parametrize("seed", range(10))
def test_a_speed_up_beyond_the_threshold_is_faster(seed: int) -> None:
    assert _judged(seed, 1 / 1.05) is Answer.FASTER


def test_a_change_too_small_to_matter_is_no_difference_however_certain_it_is() -> None:
    verdict = judge(_run(seed=1, change=1.01, generations=200), THRESHOLD, confidence=0.95)

    assert verdict.answer is Answer.SAME
    assert verdict.interval is not None
    assert verdict.interval[0] > 1


@pytest.mark.parametrize(
    ("low", "answer"), [(0.004, Answer.UNKNOWN), (0.006, Answer.SLOWER), (-0.03, Answer.UNKNOWN)]
)
def test_slower_is_what_clears_a_quarter_of_the_threshold(low: float, answer: Answer) -> None:
    spread = _pairs([math.log1p(low), *[math.log1p(0.03)] * 7])

    assert judge(spread, THRESHOLD, confidence=0.99).answer is answer


def test_a_machine_too_noisy_for_the_threshold_cannot_tell() -> None:
    random = Random(3)
    noisy = [_generation(random, 1.0, spread=0.2) for _ in range(20)]

    verdict = judge(noisy, THRESHOLD, confidence=0.99)

    assert verdict.answer is Answer.UNKNOWN
    assert verdict.visible is not None
    assert verdict.visible > 0.05


def test_too_few_processes_cannot_tell_even_a_doubling() -> None:
    verdict = judge(_run(seed=1, change=2.0, generations=7), THRESHOLD, confidence=0.99)

    assert verdict.answer is Answer.UNKNOWN
    assert verdict.interval is None


def test_rounds_of_one_process_count_once_however_many_they_are() -> None:
    lucky = [Pair(1.0, 0.9, base_first=True, disturbed=False)] * 1000

    verdict = judge([lucky] * 3, THRESHOLD, confidence=0.99)

    assert verdict.answer is Answer.UNKNOWN


def test_more_benchmarks_in_a_run_make_each_interval_wider() -> None:
    taken = _run(seed=5)

    alone = verdicts({"bench_a": taken}, THRESHOLD)["bench_a"].interval
    among_many = verdicts({f"bench_{i}": taken for i in range(50)}, THRESHOLD)["bench_0"].interval

    assert alone is not None
    assert among_many is not None
    assert among_many[0] < alone[0] < alone[1] < among_many[1]


@pytest.mark.parametrize(("excess", "answer"), [(-1e-6, Answer.UNKNOWN), (1e-6, Answer.SLOWER)])
def test_the_visible_change_is_where_the_verdict_turns(excess: float, answer: Answer) -> None:
    noise = [0.03 * step for step in range(-10, 11)]
    visible = judge(_pairs(noise), THRESHOLD, confidence=0.99).visible
    assert visible is not None

    slowed = _pairs([step + math.log1p(visible) + excess for step in noise])

    assert judge(slowed, THRESHOLD, confidence=0.99).answer is answer


def _pairs(logs: list[float]) -> list[list[Pair]]:
    return [[Pair(1.0, math.exp(log), base_first=True, disturbed=False)] for log in logs]


def test_a_narrow_interval_sees_no_less_than_the_threshold() -> None:
    visible = visible_change(Interval(-1e-9, 0.0, 1e-9), THRESHOLD)

    assert visible == pytest.approx(THRESHOLD, rel=1e-6)


def test_interrupted_rounds_do_not_count() -> None:
    quiet = Pair(1.0, 1.0, base_first=True, disturbed=False)
    interrupted = Pair(1.0, 3.0, base_first=True, disturbed=True)

    assert log_ratio([quiet, interrupted, interrupted]) == 0.0


def test_interrupted_rounds_count_when_nearly_all_are() -> None:
    quiet = Pair(1.0, 1.0, base_first=True, disturbed=False)
    interrupted = Pair(1.0, 3.0, base_first=True, disturbed=True)

    assert log_ratio([quiet, *[interrupted] * 3]) == pytest.approx(math.log(3))


def test_the_dearer_a_start_the_more_rounds_it_serves() -> None:
    passes = [balanced_passes(startup, benchmarks=4) for startup in (0.01, 1.0, 10.0, 1000.0)]

    assert passes == sorted(passes)
    assert passes[0] == 2
    assert passes[-1] == 20


def _verdict(answer: Answer, ratio: float = 1.0) -> Verdict:
    return Verdict(answer, ratio, (ratio - 0.01, ratio + 0.01), 0.015, 40)


def test_one_slower_benchmark_fails_the_run_and_is_named() -> None:
    judged = {
        "bench_a": _verdict(Answer.FASTER, 0.5),
        "bench_b": _verdict(Answer.SLOWER, 1.2),
        "bench_c": _verdict(Answer.SLOWER, 1.4),
        "bench_d": _verdict(Answer.UNKNOWN),
    }

    status, line = conclusion(judged, seconds=75)

    assert status == FAILED == 3
    assert line == "slower: 2 of 4, most of all bench_c with 1.400 times BASE"


def test_what_cannot_be_told_passes_but_is_said_aloud() -> None:
    judged = {"bench_a": _verdict(Answer.SAME), "bench_b": _verdict(Answer.UNKNOWN)}

    status, line = conclusion(judged, seconds=75)

    assert status == PASSED == 0
    assert line.startswith("CANNOT TELL for 1 of 2 (bench_b)")
    assert "150 --seconds" in line


def test_a_run_without_slower_benchmarks_passes() -> None:
    judged = {"bench_a": _verdict(Answer.SAME), "bench_b": _verdict(Answer.FASTER, 0.7)}

    assert conclusion(judged, seconds=75) == (
        PASSED,
        "not slower: 1 of 2 faster, the others without difference",
    )


def test_nothing_to_compare_is_void() -> None:
    status, line = conclusion({}, seconds=75)

    assert status == VOID == 2
    assert line == "void: no benchmark of the working tree runs on BASE"


def test_a_run_too_short_for_any_interval_is_void() -> None:
    judged = {"bench_a": Verdict(Answer.UNKNOWN, 2.0, None, None, 3)}

    status, line = conclusion(judged, seconds=1)

    assert status == VOID
    assert line == "void: 1 s are too short for a verdict; give more --seconds"


def test_the_plan_of_a_run_starts_without_samples() -> None:
    assert Plan({"bench_a": 5}, passes=2, new={}, gone=[]).samples == {}


PACKAGE = """\
def handle():
    return sum(range({size}))
"""
BENCHMARKS = """\
from toy import handle


def bench_handle(benchmark):
    assert benchmark(handle) > 0
"""
GIT_SETTINGS = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit on `main`: a package `toy` and a benchmark for it."""
    root = tmp_path / "repository"
    _write(root / "toy" / "__init__.py", PACKAGE.format(size=1000))
    _write(root / "tests" / "benchmarks" / "bench_toy.py", BENCHMARKS)
    _git(root, "init", "--quiet", "--initial-branch=main")
    _git(root, "add", ".")
    _git(root, *GIT_SETTINGS, "commit", "--quiet", "--message", "first")
    return root


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the gate makes its temporary folders."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _git(root: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    return subprocess.run(
        ["git", *arguments], cwd=root, env=environment, check=True, capture_output=True, text=True
    ).stdout


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "perfkit", "gate", "--packages", "toy", *options]


def _gate(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*options), cwd=root, capture_output=True, text=True)


def _is_clean(root: Path, temporary: Path) -> bool:
    worktrees = _git(root, "worktree", "list").splitlines()
    return len(worktrees) == 1 and list(temporary.iterdir()) == []


def test_a_handler_made_twice_as_slow_fails_the_gate(repository: Path, temporary: Path) -> None:
    _write(repository / "toy" / "__init__.py", PACKAGE.format(size=2000))

    done = _gate(repository, "--base", "main", "--seconds", "8")

    assert done.returncode == FAILED, done.stdout + done.stderr
    last_line = done.stdout.splitlines()[-1]
    assert last_line.startswith("gate: slower: 1 of 1, most of all bench_toy.py::bench_handle with")
    assert _is_clean(repository, temporary)
    [report] = (repository / "reports" / "gate").glob("*/gate.json")
    measured = json.loads(report.read_text())
    assert measured["base"] == {
        "name": "main",
        "commit": _git(repository, "rev-parse", "HEAD")[:-1],
    }
    assert measured["head"]["changed"] is True
    benchmark = measured["benchmarks"]["bench_toy.py::bench_handle"]
    assert benchmark["verdict"]["answer"] == "slower"
    assert len(benchmark["generations"]) == benchmark["verdict"]["generations"] >= 10
    columns = benchmark["generations"][0]
    assert len(columns["base"]) == len(columns["head"]) >= 4
    assert sum(columns["base_first"]) * 2 == len(columns["base_first"])
    assert measured["machine"]["python"]


def test_benchmarks_of_one_side_only_are_told_and_make_a_run_void(
    repository: Path, temporary: Path
) -> None:
    added = "from toy import created\n\n\ndef bench_created(benchmark):\n    benchmark(created)\n"
    (repository / "tests" / "benchmarks" / "bench_toy.py").unlink()
    _write(repository / "tests" / "benchmarks" / "bench_new.py", added)
    _write(repository / "toy" / "__init__.py", "def created():\n    return 1\n")

    done = _gate(repository, "--base", "main")

    assert done.returncode == VOID, done.stdout + done.stderr
    assert (
        "bench_new.py::bench_created new, nothing to compare: bench_new.py:1: ImportError"
        in done.stdout
    )
    assert "bench_toy.py::bench_handle  only BASE has it" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "gate: void: no benchmark of the working tree runs on BASE"
    )
    assert _is_clean(repository, temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_void_and_leaves_nothing(
    repository: Path, temporary: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        _command("--base", "main", "--seconds", "600"),
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first, second = process.stderr.readline(), process.stderr.readline()
        process.send_signal(number)
        output, errors = process.communicate()

    assert first.startswith("gate: BASE is ")
    assert "1 of 1 benchmarks open" in second
    assert (process.returncode, output, errors) == (
        VOID,
        "gate: void: interrupted before a verdict\n",
        "",
    )
    assert _is_clean(repository, temporary)


def _remove_the_package(root: Path) -> None:
    (root / "toy" / "__init__.py").unlink()
    (root / "toy").rmdir()


def _break_the_benchmark(root: Path) -> None:
    _write(root / "toy" / "__init__.py", "def handle():\n    return 0\n")


def _ask_for_a_fixture(root: Path) -> None:
    _write(root / "tests/benchmarks/bench_toy.py", "def bench_toy(benchmark, tmp_path):\n    ...\n")


def _forget_to_time(root: Path) -> None:
    _write(root / "tests/benchmarks/bench_toy.py", "def bench_toy(benchmark):\n    ...\n")


def _end_the_process(root: Path) -> None:
    _write(root / "toy" / "__init__.py", "raise SystemExit('no more')\n")


def _nothing(root: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (
            _nothing,
            ["--base", ""],
            "say what to compare the working tree with: make gate BASE=main",
        ),
        (_nothing, [], "say what to compare the working tree with: make gate BASE=main"),
        (
            _nothing,
            ["--base", "nowhere"],
            'BASE "nowhere" does not exist: try a branch, tag or commit',
        ),
        (
            _nothing,
            ["--base=--help"],
            'BASE "--help" does not exist: try a branch, tag or commit',
        ),
        (
            _nothing,
            ["--base", "main", "--only", "absent"],
            'no benchmark in tests/benchmarks matches "absent": see --only',
        ),
        (
            _break_the_benchmark,
            ["--base", "main"],
            "cannot time the working tree: "
            "bench_toy.py::bench_handle fails: bench_toy.py:5: AssertionError",
        ),
        (
            _ask_for_a_fixture,
            ["--base", "main"],
            "cannot time the working tree: bench_toy.py::bench_toy fails: "
            "it takes ['benchmark', 'tmp_path'], not only the fixture benchmark",
        ),
        (
            _forget_to_time,
            ["--base", "main"],
            "cannot time the working tree: bench_toy.py::bench_toy fails: "
            "it never called benchmark(...)",
        ),
        (
            _end_the_process,
            ["--base", "main"],
            "cannot time the working tree: no more",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_leaves_nothing(
    repository: Path,
    temporary: Path,
    spoil: Callable[[Path], None],
    options: list[str],
    message: str,
) -> None:
    spoil(repository)

    done = _gate(repository, *options)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"perfkit: {message}"
    assert _is_clean(repository, temporary)


def test_a_folder_without_a_repository_is_told(tmp_path: Path) -> None:
    done = _gate(tmp_path, "--base", "main")

    assert done.returncode == 1
    assert done.stderr == (
        f"perfkit: {tmp_path} is not inside a git checkout: run this in a clone of the code\n"
    )


def test_a_package_from_elsewhere_is_not_mistaken_for_the_version(
    repository: Path, temporary: Path, tmp_path: Path
) -> None:
    _remove_the_package(repository)
    elsewhere = "import sys\nsys.path.append({!r})\n".format(str(tmp_path / "elsewhere"))
    _write(repository / "tests" / "benchmarks" / "bench_toy.py", elsewhere + BENCHMARKS)
    _write(tmp_path / "elsewhere" / "toy" / "__init__.py", PACKAGE.format(size=10))

    done = _gate(repository, "--base", "main")

    assert done.returncode == 1
    assert "cannot time the working tree: toy was imported from" in done.stderr
    assert _is_clean(repository, temporary)


def test_hardly_any_time_is_void(repository: Path, temporary: Path) -> None:
    done = _gate(repository, "--base", "main", "--seconds", "0.001")

    assert done.returncode == VOID
    assert done.stdout.splitlines()[-1] == (
        "gate: void: 0.001 s are too short for a verdict; give more --seconds"
    )
    assert _is_clean(repository, temporary)


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "soon"])
def test_time_must_be_a_positive_number(repository: Path, seconds: str) -> None:
    done = _gate(repository, "--base", "main", f"--seconds={seconds}")

    assert done.returncode == 1
    assert "--seconds" in done.stderr
    assert len(done.stderr.splitlines()) == 1
