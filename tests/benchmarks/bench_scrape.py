"""A scrape of four workers, each with forty series of requests, after many were recycled."""

import atexit
import os
import tempfile
from pathlib import Path

from perfkit.exporter import FOLDER_VARIABLE, exporter
from perfkit.meter import Meter
from perfkit.requests import Routes
from perfkit.store import FolderStore
from perfkit.totals import compact

RECYCLED = 200
ROUTES = 20


def _worker(folder):
    store = FolderStore(folder)
    routes = Routes(Meter(store))
    for route in range(ROUTES):
        for status in (200, 404):
            made = [("dependency", f"d{number}", 1.0, 1.1) for number in range(5)]
            series = routes.find("GET", f"/route{route}/{{id}}")
            series.begin()
            series.end(0.01, status, 0, "G7", made)
    return store, routes


def bench_scrape_of_four_workers_after_many(benchmark):
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    folder = Path(kept.name)
    living = [_worker(folder) for _ in range(4)]
    for _ in range(RECYCLED):
        _worker(folder)
        compact(folder)
    os.environ[FOLDER_VARIABLE] = kept.name
    shown = exporter()
    del os.environ[FOLDER_VARIABLE]

    def scrape():
        assert living
        return shown.scrape("")[0]

    assert b'http_route="/route19/{id}"' in scrape()
    assert len(list(folder.iterdir())) < 40

    benchmark(scrape)
