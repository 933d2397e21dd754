"""Counters equal the client's own ledger, whatever happens to workers; see `ledger`.

`make ledger` repeats it a hundred times.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from .ledger import Load, serving

RUNS = int(os.environ.get("LEDGER_RUNS", "1"))
KILLS = 3


@pytest.mark.parametrize("run", range(RUNS))
def test_counters_equal_the_ledger_when_workers_are_killed_between_requests(
    tmp_path: Path, run: int
) -> None:
    with serving(tmp_path) as server:
        ledger = asyncio.run(Load(server, seed=run, quietly=True).run(KILLS))
        counted = server.counted()

    assert ledger.killed
    assert ledger.answered > 0
    assert counted == ledger.answered


@pytest.mark.parametrize("run", range(RUNS))
def test_counters_equal_the_ledger_but_for_requests_whose_worker_was_killed_over_them(
    tmp_path: Path, run: int
) -> None:
    with serving(tmp_path) as server:
        ledger = asyncio.run(Load(server, seed=run, quietly=False).run(KILLS))
        counted = server.counted()

    assert ledger.killed
    assert ledger.answered <= counted <= ledger.answered + ledger.open
