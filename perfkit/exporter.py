"""The metrics as Prometheus text or OpenMetrics, for a route or for a port of its own.

One process keeps its metrics in a registry. Several workers of one server write them
to the folder that PROMETHEUS_MULTIPROC_DIR names, and whichever worker answers a scrape
adds up what all of them wrote: counters and histograms also of workers that are gone,
gauges only of those alive. The variable must be set, and the folder be empty, before
the first worker starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from perfkit import metrics
from perfkit.errors import MissingExtraError, PerfkitError

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        GCCollector,
        Histogram,
        PlatformCollector,
        ProcessCollector,
        make_asgi_app,
        values,
    )
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.metrics_core import Metric
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
    from prometheus_client.registry import Collector
    from psutil import NoSuchProcess, Process
except ModuleNotFoundError as missing:
    raise MissingExtraError("perfkit.exporter", str(missing.name), "metrics") from missing

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Exporter:
    """The live metrics of one application, and the text that a scrape of them gets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        # With several workers the folder is read, and the workers write to it unregistered.
        target = None if multiprocess_folder() else registry
        self.request_duration = _histogram(metrics.REQUEST_DURATION, target)
        self.response_size = _histogram(metrics.RESPONSE_SIZE, target)
        self.worker_wait = _histogram(metrics.WORKER_WAIT, target)
        row = metrics.ACTIVE_REQUESTS
        self.active_requests = Gauge(
            row.name, row.help, row.labels, registry=target, multiprocess_mode="livesum"
        )
        row = metrics.ROUTES_FOLDED
        self.routes_folded = Counter(row.name, row.help, row.labels, registry=target)

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return content and its media type, as an Accept field asks for them."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


def exporter(registry: CollectorRegistry | None = None) -> Exporter:
    """Return a new exporter, or with several workers the one of this process.

    Args:
        registry: Where to keep the metrics; without it, one that also has the process's
            own. With several workers the shared folder takes its place.

    Raises:
        PerfkitError: The registry counts another application, or the folder is unusable.
    """
    if multiprocess_folder():
        return _exporter_of_process()
    try:
        return Exporter(new_registry() if registry is None else registry)
    except ValueError as duplicated:
        raise PerfkitError(
            "the registry already has the metrics of another application: "
            "give each its own, or leave registry= out"
        ) from duplicated


@cache
def _exporter_of_process() -> Exporter:
    # Two objects of one series in one process would overwrite each other in its file.
    return Exporter(new_registry())


def new_registry() -> CollectorRegistry:
    """Return a registry with what prometheus-client knows of the process, or the workers."""
    registry = CollectorRegistry(support_collectors_without_names=True)
    folder = multiprocess_folder()
    if folder is not None:
        registry.register(Workers(folder))
        return registry
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def asgi_app(registry: CollectorRegistry | None = None) -> Callable[..., Any]:
    """Return an ASGI application that answers every path with the metrics.

    For a port of its own: with the registry given to `perfkit.instrument`, or in any
    process which has the workers' PROMETHEUS_MULTIPROC_DIR, with none.

    Raises:
        PerfkitError: Neither is there.
    """
    if multiprocess_folder():
        return make_asgi_app(new_registry())
    if registry is None:
        raise PerfkitError(
            "there are no metrics to show: give asgi_app the registry that "
            f"perfkit.instrument has, or set {FOLDER_VARIABLE} as for the workers"
        )
    return make_asgi_app(registry)


def multiprocess_folder() -> Path | None:
    """Return the folder that several workers share, or None for one process alone.

    Raises:
        PerfkitError: The folder is named and cannot serve.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    if values.ValueClass is values.MutexValue:
        raise PerfkitError(
            f"{FOLDER_VARIABLE} was set after prometheus_client was imported, too late to be "
            "heard: set it before the server starts"
        )
    if not os.access(named, os.R_OK | os.W_OK | os.X_OK) or not Path(named).is_dir():
        raise PerfkitError(
            f"{FOLDER_VARIABLE}={named} is not a folder that can be written to: "
            "create it, empty, before the server starts"
        )
    return Path(named)


class Workers(Collector):
    """Adds up what all workers wrote to their folder, and looks at each live process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Yield the workers' metrics, then process_* with a label pid."""
        alive = self._live_workers()
        # The ignores here and below: that module of prometheus-client has no annotations.
        files = MultiProcessCollector(None, str(self._folder))  # type: ignore[no-untyped-call]
        yield from files.collect()  # type: ignore[no-untyped-call]
        yield from _process_metrics(alive)

    def _live_workers(self) -> set[int]:
        """Return who of those with a file is alive, after dropping the gauges of the dead."""
        alive = set()
        for file in self._folder.glob("*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if _may_have_written(pid, file):
                alive.add(pid)
                continue
            with suppress(FileNotFoundError):  # another worker's scrape was faster
                mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        return alive


def _may_have_written(pid: int, file: Path) -> bool:
    """Return whether process *pid* is alive and not a later one of the same number."""
    try:
        # A second for the coarse clock of process starts.
        return Process(pid).create_time() < file.stat().st_mtime + 1
    except (FileNotFoundError, NoSuchProcess):
        return False


def _process_metrics(pids: Iterable[int]) -> Iterable[Metric]:
    merged: dict[str, Metric] = {}
    for pid in sorted(pids):
        for family in ProcessCollector(pid=partial(str, pid), registry=None).collect():
            everyone = merged.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            for sample in family.samples:
                everyone.add_sample(sample.name, {**sample.labels, "pid": str(pid)}, sample.value)
    return merged.values()


def _histogram(row: metrics.Metric, registry: CollectorRegistry | None) -> Histogram:
    return Histogram(row.name, row.help, row.labels, registry=registry, buckets=row.buckets)
