"""The code in docs/caching.md runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "caching.md"


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_a_block_of_the_page_runs(code: str, tmp_path: Path) -> None:
    module = tmp_path / "block.py"
    module.write_text(code)

    names = runpy.run_path(str(module))

    assert names["counted"] == [2026]
