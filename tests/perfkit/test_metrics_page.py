"""The code in the page on metrics runs, each block by itself."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from perfkit.spans import Exporter

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS)
def test_python_block_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "block.py"
    module.write_text(code)
    monkeypatch.chdir(tmp_path)  # some write a file

    names = runpy.run_path(str(module))
    for exporter in filter(lambda each: isinstance(each, Exporter), names.values()):
        exporter.close()

    assert names["__name__"] != "__main__"
