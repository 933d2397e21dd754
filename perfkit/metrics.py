"""The one table of metrics: names, units, labels and help texts.

Names follow the HTTP semantic conventions of OpenTelemetry, spelled for Prometheus.
There is no counter of requests: `http_server_request_duration_seconds_count` is that
counter, so the two can never disagree.

Every label is bounded. A method comes from `METHODS` or is `_OTHER`; a route is the
template and never the path, a path without a route is `_UNMATCHED`, and routes beyond
a limit are `_OTHER` and counted; a status is a number from 100 to 599 or `_OTHER`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OTHER = "_OTHER"
UNMATCHED = "_UNMATCHED"
METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)

# 10 s is the last bound: what takes longer is an outage, not a latency to resolve.
SECONDS_BUCKETS = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
BYTES_BUCKETS = tuple(4.0**power for power in range(3, 14))  # 64 B to 64 MiB


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table; *buckets* are the upper bounds of a histogram, in its unit."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: Literal["bytes", "collections", "files", "requests", "seconds"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which a scrape shows this metric."""
        if self.kind == "histogram":
            return (self.bucket, f"{self.name}_sum", self.count)
        return (self.name,)

    @property
    def bucket(self) -> str:
        """The name of a histogram's cumulative buckets, for `histogram_quantile`."""
        return f"{self.name}_bucket"

    @property
    def count(self) -> str:
        """The name of the number of observations of a histogram."""
        return f"{self.name}_count"


REQUEST_DURATION = Metric(
    "http_server_request_duration_seconds",
    "histogram",
    "seconds",
    ("http_request_method", "http_route", "http_response_status_code"),
    "Time from knowing the route to the last byte handed to the server.",
    SECONDS_BUCKETS,
)
RESPONSE_SIZE = Metric(
    "http_server_response_body_size_bytes",
    "histogram",
    "bytes",
    ("http_request_method", "http_route", "http_response_status_code"),
    "Content of a response as sent, without header fields.",
    BYTES_BUCKETS,
)
ACTIVE_REQUESTS = Metric(
    "http_server_active_requests",
    "gauge",
    "requests",
    ("http_request_method", "http_route"),
    "Requests begun and not finished.",
)
WORKER_WAIT = Metric(
    "http_server_worker_wait_seconds",
    "histogram",
    "seconds",
    (),
    "Time that requests with synchronous code waited for a worker thread.",
    SECONDS_BUCKETS,
)
ROUTES_FOLDED = Metric(
    "http_server_routes_folded_total",
    "counter",
    "requests",
    (),
    "Requests counted under the route _OTHER because there are more routes than the limit.",
)

TABLE = (REQUEST_DURATION, RESPONSE_SIZE, ACTIVE_REQUESTS, WORKER_WAIT, ROUTES_FOLDED)

PROCESS_MEMORY = Metric(
    "process_resident_memory_bytes", "gauge", "bytes", (), "Resident memory size in bytes."
)
PROCESS_CPU = Metric(
    "process_cpu_seconds_total",
    "counter",
    "seconds",
    (),
    "Total user and system CPU time spent in seconds.",
)
OPEN_FILES = Metric("process_open_fds", "gauge", "files", (), "Number of open file descriptors.")
GC_COLLECTIONS = Metric(
    "python_gc_collections_total",
    "counter",
    "collections",
    ("generation",),
    "Number of times this generation was collected",
)

# What prometheus-client's own collectors add. With several workers each process_* series
# has a label pid as well, and python_* are absent: they describe one interpreter only.
COLLECTED = (PROCESS_MEMORY, PROCESS_CPU, OPEN_FILES, GC_COLLECTIONS)
