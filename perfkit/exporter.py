"""The metrics as Prometheus text or OpenMetrics, for a route or for a port of its own.

One process keeps its numbers in memory. Several workers of one server keep them in the
folder that PROMETHEUS_MULTIPROC_DIR names, and whichever worker answers a scrape adds up
what all of them wrote: counters and histograms also of workers that are gone, gauges only
of those alive. The folder must be empty when the first worker starts.

OpenMetrics shows exemplars as well: the trace of a sampled request for each bucket.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from perfkit import exemplars
from perfkit.errors import MissingExtraError, PerfkitError
from perfkit.exemplars import EXEMPLARS
from perfkit.metrics import REQUEST_DURATION, TABLE, Metric
from perfkit.store import FolderStore, MemoryStore, Series, Store
from perfkit.tally import told
from perfkit.totals import Sums, compact, live_processes, read_folder, summed

try:
    from prometheus_client import (
        CollectorRegistry,
        GCCollector,
        PlatformCollector,
        ProcessCollector,
        make_asgi_app,
        start_http_server,
    )
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.registry import Collector
    from prometheus_client.samples import Exemplar
    from prometheus_client.utils import floatToGoString
except ModuleNotFoundError as missing:
    raise MissingExtraError("perfkit.exporter", str(missing.name), "metrics") from missing

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

logger = logging.getLogger("perfkit")


class Exporter:
    """The store of one application's metrics, and the text that a scrape of them gets."""

    def __init__(self, store: Store, registry: CollectorRegistry) -> None:
        self.store = store
        self.registry = registry
        self._kept: list[object] = []

    def keep(self, *those: object) -> None:
        """Let what adds to the store live as long as it is shown."""
        self._kept += those

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return content and its media type, as an Accept field asks for them."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


def exporter(registry: CollectorRegistry | None = None) -> Exporter:
    """Return a new exporter that shows its metrics in *registry*, or in one of its own.

    Raises:
        PerfkitError: The registry shows another application, or the folder is unusable.
    """
    folder = shared_folder()
    shown = new_registry() if registry is None else registry
    store: Store
    if folder is None:
        store = memory = MemoryStore()
        _register(TableCollector(memory.read), shown)
    else:
        workers = Workers(folder)
        # Each worker that starts makes good for one that has ended, also where nobody scrapes.
        workers.compact()
        _register(TableCollector(workers.read), shown)
        store = FolderStore(folder)
    return Exporter(store, shown)


def new_registry() -> CollectorRegistry:
    """Return a registry with what prometheus-client knows of this process, or of all workers."""
    registry = CollectorRegistry()
    folder = shared_folder()
    if folder is not None:
        registry.register(WorkerProcesses(folder))
        return registry
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def asgi_app(registry: CollectorRegistry | None = None) -> Callable[..., Any]:
    """Return an ASGI application that answers every path with the metrics.

    For a port of its own: with the registry given to `perfkit.instrument`, or with none in
    any process which has the PROMETHEUS_MULTIPROC_DIR of the workers.

    Raises:
        PerfkitError: Neither is there.
    """
    return make_asgi_app(_shown(registry))


def serve(port: int, host: str = "127.0.0.1", registry: CollectorRegistry | None = None) -> Thread:
    """Answer scrapes on a port of its own, on a thread that ends with the process.

    What it shows is as for `asgi_app`: with workers, one port serves the sum of them all.

    Raises:
        PerfkitError: There is nothing to show, or the port cannot be used.
    """
    try:
        _, thread = start_http_server(port, host, _shown(registry))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PerfkitError(
            f"cannot show the metrics on {host}:{port}: {reason}; choose another port"
        ) from error
    return thread


def _shown(registry: CollectorRegistry | None) -> CollectorRegistry:
    if registry is not None:
        return registry
    folder = shared_folder()
    if folder is None:
        raise PerfkitError(
            "there are no metrics to show: give the registry that "
            f"perfkit.instrument has, or set {FOLDER_VARIABLE} as for the workers"
        )
    registry = new_registry()
    _register(TableCollector(Workers(folder).read), registry)
    return registry


def shared_folder() -> Path | None:
    """Return the folder that several workers share, or None for one process alone.

    Raises:
        PerfkitError: The folder is named and cannot be read.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir() or not os.access(named, os.R_OK | os.X_OK):
        raise PerfkitError(
            f"{FOLDER_VARIABLE}={named} is not a folder that can be read: "
            "create it, empty, before the server starts"
        )
    return Path(named)


def _register(collector: Collector, registry: CollectorRegistry) -> None:
    try:
        registry.register(collector)
    except ValueError as duplicated:
        raise PerfkitError(
            "the registry already has the metrics of another application: "
            "give each its own, or leave registry= out"
        ) from duplicated


class Workers:
    """What all workers wrote to their folder, kept small."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failed = False

    def read(self) -> Iterable[Series]:
        """Return every series, that of workers which are gone added up."""
        self.compact()
        return read_folder(self._folder)

    def compact(self) -> None:
        """Add up what is left of workers that are gone; logged once if that fails."""
        try:
            compact(self._folder)
        except OSError as error:
            if not self._failed:
                self._failed = True
                logger.warning("%s keeps the files of ended workers: %s", self._folder, error)


class TableCollector(Collector):
    """Adds up series into the metrics of the table."""

    def __init__(self, read: Callable[[], Iterable[Series]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Family]:
        """Yield the metrics without series, which reserves their names in a registry."""
        return [_family(row, {}) for row in TABLE]

    def collect(self) -> Iterable[Family]:
        """Yield the metrics of the table, each with the sum of its series by label."""
        sums = summed(told(self._read()))
        by_row: dict[str, Sums] = {}
        for (metric, labels), numbers in sums.items():
            by_row.setdefault(metric, {})[metric, labels] = numbers
        return [_family(row, by_row.get(row.name, {}), by_row.get(EXEMPLARS, {})) for row in TABLE]


def _family(row: Metric, sums: Sums, traced: Sums | None = None) -> Family:
    if row.kind == "histogram":
        histogram = HistogramMetricFamily(row.name, row.help, labels=row.labels)
        for (_, labels), (total, *counts) in sums.items():
            buckets = _cumulative(row.buckets, counts)
            kept = None if row is not REQUEST_DURATION else (traced or {}).get((EXEMPLARS, labels))
            histogram.add_metric(labels, _with_exemplars(buckets, kept), total)
        return histogram
    kind = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    family = kind(row.name, row.help, labels=row.labels)
    for (_, labels), (value,) in sums.items():
        family.add_metric(labels, value)
    return family


def _with_exemplars(
    buckets: Sequence[tuple[str, float]], kept: Sequence[float] | None
) -> Sequence[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Return the buckets, those with the trace of a request that have one."""
    if kept is None:
        return buckets
    return [
        (*bucket, Exemplar({"trace_id": trace.trace_id}, trace.value, trace.timestamp))
        if trace
        else bucket
        for bucket, trace in zip(buckets, exemplars.read(kept), strict=True)
    ]


def _cumulative(bounds: Sequence[float], counts: Sequence[float]) -> list[tuple[str, float]]:
    """Return each bucket's bound as text and the number of observations up to it."""
    buckets = []
    up_to_here = 0.0
    for bound, inside in zip((*bounds, float("inf")), counts, strict=True):
        up_to_here += inside
        # That module of prometheus-client has no annotations.
        buckets.append((floatToGoString(bound), up_to_here))  # type: ignore[no-untyped-call]
    return buckets


class WorkerProcesses(Collector):
    """What prometheus-client tells of a process, for every live worker, with a label pid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Family]:
        """Yield the process_* metrics."""
        merged: dict[str, Family] = {}
        for pid in sorted(live_processes(self._folder)):
            for family in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                everyone = merged.setdefault(
                    family.name, Family(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {**sample.labels, "pid": str(pid)}
                    everyone.add_sample(sample.name, labels, sample.value)
        return merged.values()
