"""The one table of metrics: names, units, labels and help texts.

Names follow the semantic conventions of OpenTelemetry, spelled for Prometheus. There is no
counter of requests: `http_server_request_duration_seconds_count` is that counter, so the two
can never disagree; the same goes for queries and for every other histogram.

Every label is bounded. A method comes from `METHODS` or is `_OTHER`; a route is the template
and never the path, a path without a route is `_UNMATCHED`; a status is a number from 100 to
599 or `_OTHER`. Of the labels in `LABEL_LIMITS`, values beyond the limit are `_OTHER`, and
what was folded so is counted. Nothing of a request's content is ever a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

OTHER = "_OTHER"
UNMATCHED = "_UNMATCHED"
METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)

LABEL_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "http_route": 500,
        "dependency": 200,
        "db_system_name": 20,
        "db_query_text": 200,
        "db_client_connection_pool_name": 50,
        "server_address": 100,
        "error_type": 50,
        "cache": 100,
    }
)
"""Labels whose values come from the application: how many get series of their own.

A route costs some 45 numbers per method and status.
"""

CLOSED_LABELS = frozenset(
    (
        "http_request_method",
        "http_response_status_code",
        "decision",
        "db_client_connection_state",
        "result",
        "generation",
        "label",
    )
)
"""Labels whose values come from a list that cannot grow while the application runs."""

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
    unit: Literal[
        "bytes",
        "collections",
        "connections",
        "decisions",
        "files",
        "lookups",
        "observations",
        "operations",
        "requests",
        "seconds",
        "spans",
        "stalls",
        "threads",
    ]
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
    def length(self) -> int:
        """How many numbers a series has.

        A histogram has the sum of what was observed, a count for each bucket, and one for all
        beyond the last bound.
        """
        return 2 + len(self.buckets) if self.buckets else 1

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
REQUEST_SIZE = Metric(
    "http_server_request_body_size_bytes",
    "histogram",
    "bytes",
    ("http_request_method", "http_route"),
    "Content of a request as far as it was read; requests without any are left out.",
    BYTES_BUCKETS,
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
WORKERS_BUSY = Metric(
    "http_server_worker_threads_busy",
    "gauge",
    "threads",
    (),
    "Worker threads that run a request.",
)
WORKERS_WAITING = Metric(
    "http_server_worker_requests_waiting",
    "gauge",
    "requests",
    (),
    "Requests that wait for a worker thread.",
)
REQUEST_MEMORY = Metric(
    "http_server_request_memory_bytes",
    "histogram",
    "bytes",
    ("http_route",),
    "Most memory that a sampled request had allocated at one time.",
    BYTES_BUCKETS,
)
DECISIONS_ENDED = Metric(
    "restmachine_decisions_ended_total",
    "counter",
    "decisions",
    ("decision", "http_response_status_code"),
    "Requests by the decision at which the diagram ended, and by status.",
)
DEPENDENCY_DURATION = Metric(
    "restmachine_dependency_duration_seconds",
    "histogram",
    "seconds",
    ("dependency",),
    "Time to make a dependency, without the dependencies it asks for.",
    SECONDS_BUCKETS,
)
QUERY_DURATION = Metric(
    "db_client_operation_duration_seconds",
    "histogram",
    "seconds",
    ("db_system_name", "http_route"),
    "Time that a request waited for a query or command of a database.",
    SECONDS_BUCKETS,
)
STATEMENTS = Metric(
    "db_client_statements_total",
    "counter",
    "operations",
    ("db_system_name", "db_query_text"),
    "Queries and commands by their text without values.",
)
STATEMENT_SECONDS = Metric(
    "db_client_statement_seconds_total",
    "counter",
    "seconds",
    ("db_system_name", "db_query_text"),
    "Time waited for queries and commands, by their text without values.",
)
HTTP_CLIENT_DURATION = Metric(
    "http_client_request_duration_seconds",
    "histogram",
    "seconds",
    ("http_request_method", "server_address"),
    "Time that a request waited for another HTTP server.",
    SECONDS_BUCKETS,
)
CLIENT_ERRORS = Metric(
    "perfkit_client_errors_total",
    "counter",
    "operations",
    ("db_system_name", "error_type"),
    "Calls to other systems that ended in an exception, by its type.",
)
POOL_CONNECTIONS = Metric(
    "db_client_connection_count",
    "gauge",
    "connections",
    ("db_client_connection_pool_name", "db_client_connection_state"),
    "Connections of a pool, idle or used.",
)
POOL_MAX = Metric(
    "db_client_connection_max",
    "gauge",
    "connections",
    ("db_client_connection_pool_name",),
    "Connections that a pool may have at most.",
)
POOL_PENDING = Metric(
    "db_client_connection_pending_requests",
    "gauge",
    "requests",
    ("db_client_connection_pool_name",),
    "Callers that wait for a connection of a pool.",
)
POOL_WAITS = Metric(
    "db_client_connection_waits_total",
    "counter",
    "requests",
    ("db_client_connection_pool_name",),
    "Callers that had to wait for a connection of a pool.",
)
POOL_WAIT_SECONDS = Metric(
    "db_client_connection_wait_seconds_total",
    "counter",
    "seconds",
    ("db_client_connection_pool_name",),
    "Time that callers waited for a connection of a pool.",
)
CACHE_LOOKUPS = Metric(
    "cache_lookups_total",
    "counter",
    "lookups",
    ("cache", "result"),
    "Lookups in a cache that was named with perfkit.caches, by result: hit or miss.",
)
LOOP_LAG = Metric(
    "python_event_loop_lag_seconds",
    "histogram",
    "seconds",
    (),
    "How much later than asked for the event loop woke up.",
    SECONDS_BUCKETS,
)
LOOP_STALLS = Metric(
    "python_event_loop_stalls_total",
    "counter",
    "stalls",
    ("http_route",),
    "Times that code blocked the event loop for longer than the threshold.",
)
GC_PAUSE = Metric(
    "python_gc_pause_seconds",
    "histogram",
    "seconds",
    ("generation",),
    "Time that a garbage collection stopped the process.",
    SECONDS_BUCKETS,
)
SPANS_DROPPED = Metric(
    "perfkit_spans_dropped_total",
    "counter",
    "spans",
    (),
    "Spans that were not exported because the exporter failed or was too slow.",
)
LABELS_FOLDED = Metric(
    "perfkit_labels_folded_total",
    "counter",
    "observations",
    ("label",),
    "Observations counted under _OTHER because the label has more values than its limit.",
)

TABLE = (
    REQUEST_DURATION,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    ACTIVE_REQUESTS,
    WORKER_WAIT,
    WORKERS_BUSY,
    WORKERS_WAITING,
    REQUEST_MEMORY,
    DECISIONS_ENDED,
    DEPENDENCY_DURATION,
    QUERY_DURATION,
    STATEMENTS,
    STATEMENT_SECONDS,
    HTTP_CLIENT_DURATION,
    CLIENT_ERRORS,
    POOL_CONNECTIONS,
    POOL_MAX,
    POOL_PENDING,
    POOL_WAITS,
    POOL_WAIT_SECONDS,
    CACHE_LOOKUPS,
    LOOP_LAG,
    LOOP_STALLS,
    GC_PAUSE,
    SPANS_DROPPED,
    LABELS_FOLDED,
)

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
