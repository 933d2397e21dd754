"""A scrape of four workers, each with forty series of requests, after many were recycled."""

import atexit
import os
import tempfile
from pathlib import Path

from perfkit.exporter import FOLDER_VARIABLE, exporter
from perfkit.meter import Meter
from perfkit.record import Record
from perfkit.requests import RequestMetrics
from perfkit.store import FolderStore
from perfkit.totals import compact

RECYCLED = 200
ROUTES = 20


def _worker(folder):
    store = FolderStore(folder)
    metrics = RequestMetrics(Meter(store))
    for route in range(ROUTES):
        for status in (200, 404):
            made = [("dependency", f"d{number}", 1.0, 1.1) for number in range(5)]
            record = Record("GET", f"/route{route}/{{id}}", 1.0, made)
            metrics.begin(record, None)
            record.status, record.finished, record.decision = status, 1.01, "G7"
            metrics.finish(record)
    return store, metrics


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
