"""A scrape of four workers, each with forty series of requests, after many were recycled."""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfkit.exporter import FOLDER_VARIABLE, exporter
from perfkit.meter import Meter
from perfkit.requests import Routes
from perfkit.store import FolderStore
from perfkit.totals import compact

RECYCLED = 1000
ROUTES = 20


def _worker(folder: Path) -> Routes:
    routes = Routes(Meter(FolderStore(folder)))
    for route in range(ROUTES):
        for status in (200, 404):
            made = [("dependency", f"d{number}", 1.0, 1.1) for number in range(5)]
            series = routes.find("GET", f"/route{route}/{{id}}")
            series.begin()
            series.end(0.01, status, 0, "G7", made)
    return routes


def workers(folder: Path) -> list[Routes]:
    """Return four workers that live as long as they are kept; others have come and gone."""
    living = [_worker(folder) for _ in range(4)]
    for _ in range(RECYCLED):
        _worker(folder)
        compact(folder)
    assert len(list(folder.iterdir())) < 40
    return living


def scraper(folder: Path) -> Callable[[], bytes]:
    """Return what scrapes the workers of a folder."""
    os.environ[FOLDER_VARIABLE] = str(folder)
    shown = exporter()
    del os.environ[FOLDER_VARIABLE]

    def scrape() -> bytes:
        return shown.scrape("")[0]

    assert b'http_route="/route19/{id}"' in scrape()
    return scrape


def bench_scrape_of_four_workers_after_many(benchmark: Any) -> None:
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    living = workers(Path(kept.name))

    benchmark(scraper(Path(kept.name)))

    assert living
