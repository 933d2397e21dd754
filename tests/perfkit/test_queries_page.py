"""The page about queries: its code runs, and its figures are those that were measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "queries.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_block_runs(code: str, tmp_path: Path) -> None:
    module = tmp_path / "block.py"
    module.write_text(code)

    done = subprocess.run(
        [sys.executable, "-P", str(module)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_figures_are_those_of_the_published_report() -> None:
    done = subprocess.run([sys.executable, "docs/query_costs.py", "check"], cwd=ROOT, check=False)

    assert done.returncode == 0, "run: python docs/query_costs.py write"
