"""The README's code runs, its commands work, and its figures are those that were measured."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]


def run(*command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=200
    )


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "app.py").write_text(PYTHON_BLOCKS[0])
    return folder


@pytest.mark.parametrize("code", PYTHON_BLOCKS, ids=lambda code: code.splitlines()[0])
def test_python_block_runs(code: str, tmp_path: Path) -> None:
    module = tmp_path / "block.py"
    module.write_text(code)

    names = runpy.run_path(str(module))

    assert {"app", "experiment"} & set(names)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_command_is_a_target(command: str) -> None:
    outcome = run(*shlex.split(command), "--dry-run")

    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python ")])
def test_python_command_works_on_the_example(command: str, example: Path) -> None:
    _, *arguments = shlex.split(command)

    outcome = run(sys.executable, *arguments, folder=example)

    assert outcome.returncode == 0, outcome.stderr


def test_explained_request_ends_in_304(example: Path) -> None:
    command = next(c for c in COMMANDS if " explain " in c)

    outcome = run(sys.executable, *shlex.split(command)[1:], folder=example)

    assert "304" in outcome.stdout
    assert "K13" in outcome.stdout


def test_every_command_is_tried_or_known() -> None:
    untried = [c for c in COMMANDS if not c.startswith(("make ", "python "))]

    assert untried == ["docker compose --file dashboards/compose.yml up"]


def test_figures_are_those_of_the_published_reports() -> None:
    outcome = run(sys.executable, "docs/figures.py", "check")

    assert outcome.returncode == 0, "run: python docs/figures.py write"


def test_every_target_has_a_help_line() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    shown = run("make", "--no-print-directory", "help").stdout

    assert {line.split()[0] for line in shown.splitlines()} == targets


def test_every_benchmark_named_in_a_comment_exists() -> None:
    sources = [*(ROOT / "restmachine").glob("*.py"), *(ROOT / "perfkit").glob("*.py")]
    named = {
        match.groups()
        for source in sources
        for match in re.finditer(r"(bench_\w+\.py)::(bench_\w+)", source.read_text())
    }

    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / "tests" / "benchmarks" / file).read_text()
    ]

    assert named
    assert missing == []
