"""Series by row and labels: bounded, safe under threads, and those of the whole process."""

from __future__ import annotations

import gc
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry

from perfkit import caches, clients, record
from perfkit.errors import PerfkitError
from perfkit.exporter import exporter
from perfkit.meter import Meter, ProcessMeters, of_process
from perfkit.metrics import (
    CACHE_LOOKUPS,
    LABEL_LIMITS,
    LOOP_LAG,
    POOL_MAX,
    QUERY_DURATION,
    SPANS_DROPPED,
)
from perfkit.record import Operation, Record
from perfkit.store import MemoryStore


class Shown:
    """A meter of the process, and what a scrape shows of it."""

    def __init__(self, **limits: int) -> None:
        shown = exporter(CollectorRegistry())
        self.value = shown.registry.get_sample_value
        self.meter = Meter(shown.store, {**LABEL_LIMITS, **limits})
        of_process.join(self.meter)


def test_counters_grow_gauges_are_set_and_histograms_observe() -> None:
    shown = Shown()

    shown.meter.add(SPANS_DROPPED)
    shown.meter.add(SPANS_DROPPED, by=4.0)
    shown.meter.set(POOL_MAX, "main", to=7.0)
    shown.meter.set(POOL_MAX, "main", to=5.0)
    shown.meter.observe(LOOP_LAG, value=0.3)

    assert shown.value("perfkit_spans_dropped_total") == 5
    pool = {"db_client_connection_pool_name": "main"}
    assert shown.value("db_client_connection_max", pool) == 5
    assert shown.value("python_event_loop_lag_seconds_bucket", {"le": "0.25"}) == 0
    assert shown.value("python_event_loop_lag_seconds_bucket", {"le": "0.5"}) == 1


def test_a_label_that_explodes_is_folded_and_counted() -> None:
    shown = Shown(cache=2)

    for number in range(1000):
        shown.meter.add(CACHE_LOOKUPS, f"user {number}", "hit")

    assert shown.value("cache_lookups_total", {"cache": "user 1", "result": "hit"}) == 1
    assert shown.value("cache_lookups_total", {"cache": "_OTHER", "result": "hit"}) == 998
    assert shown.value("perfkit_labels_folded_total", {"label": "cache"}) == 998


def test_an_exploding_label_keeps_memory_bounded() -> None:
    store = MemoryStore()
    meter = Meter(store, {"cache": 2})

    for number in range(1000):
        meter.add(CACHE_LOOKUPS, f"_user {number}", "hit")

    assert len(list(store.read())) == 4  # two, the rest, and the counter of the rest


def test_threads_lose_nothing() -> None:
    shown = Shown()

    def work(number: int) -> None:
        shown.meter.add(CACHE_LOOKUPS, f"cache {number % 3}", "hit")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(3000)))

    hits = [
        shown.value("cache_lookups_total", {"cache": f"cache {number}", "result": "hit"})
        for number in range(3)
    ]
    assert hits == [1000, 1000, 1000]


def test_what_happens_in_the_process_is_told_to_every_meter() -> None:
    first, second = Shown(), Shown()

    caches.hit("users")
    caches.hit("users")
    caches.miss("users")

    found = {"cache": "users", "result": "hit"}
    missed = {"cache": "users", "result": "miss"}
    assert [first.value("cache_lookups_total", found)] == [2]
    assert [second.value("cache_lookups_total", missed)] == [1]


def test_a_meter_that_nobody_keeps_is_told_nothing() -> None:
    everyone = ProcessMeters()
    store = MemoryStore()
    kept = Meter(store)
    everyone.join(Meter(store))
    everyone.join(kept)
    gc.collect()

    everyone.add(SPANS_DROPPED)
    everyone.set(POOL_MAX, "main", to=1.0)
    everyone.observe(LOOP_LAG, value=1.0)

    assert sorted(series.metric for series in store.read()) == sorted(
        [SPANS_DROPPED.name, POOL_MAX.name, LOOP_LAG.name]
    )


def test_a_query_counts_by_system_route_and_text() -> None:
    shown = Shown()
    request = Record("GET", "/users", 0.0)

    clients.count(Operation("postgresql", "SELECT ?", 0.0, 0.25), request)
    clients.count(Operation("postgresql", "SELECT ?", 0.0, 0.5), None)

    asked = {"db_system_name": "postgresql", "http_route": "/users"}
    outside = {"db_system_name": "postgresql", "http_route": "_UNMATCHED"}
    text = {"db_system_name": "postgresql", "db_query_text": "SELECT ?"}
    assert shown.value(f"{QUERY_DURATION.name}_sum", asked) == 0.25
    assert shown.value(f"{QUERY_DURATION.name}_count", outside) == 1
    assert shown.value("db_client_statements_total", text) == 2
    assert shown.value("db_client_statement_seconds_total", text) == 0.75


def test_statements_beyond_the_limit_are_folded_and_counted() -> None:
    shown = Shown(db_query_text=1)

    for number in range(5):
        clients.count(Operation("sqlite", f"SELECT {number}", 0.0, 0.5), None)

    rest = {"db_system_name": "sqlite", "db_query_text": "_OTHER"}
    assert shown.value("db_client_statements_total", rest) == 4
    folded = shown.value("perfkit_labels_folded_total", {"label": "db_query_text"})
    assert folded == 8  # each is counted and timed


def test_calls_to_other_servers_count_by_method_and_host() -> None:
    shown = Shown()

    clients.count(Operation("http", "GET api.example.net", 0.0, 0.25), None)
    clients.count(Operation("http", "BREW api.example.net", 0.0, 0.25), None)

    name = "http_client_request_duration_seconds_count"
    host = {"server_address": "api.example.net"}
    assert shown.value(name, {**host, "http_request_method": "GET"}) == 1
    assert shown.value(name, {**host, "http_request_method": "_OTHER"}) == 1


def test_failures_count_by_the_type_of_the_exception() -> None:
    shown = Shown()

    clients.count(Operation("redis", "GET", 0.0, 0.25, "TimeoutError"), None)

    failed = {"db_system_name": "redis", "error_type": "TimeoutError"}
    assert shown.value("perfkit_client_errors_total", failed) == 1


def test_operations_that_are_reported_are_counted_once() -> None:
    shown = Shown()
    clients.count_operations()
    clients.count_operations()

    record.report(Operation("mysql", "SELECT 1", 0.0, 0.25))

    text = {"db_system_name": "mysql", "db_query_text": "SELECT 1"}
    assert shown.value("db_client_statements_total", text) == 1


def test_a_slow_query_is_logged_with_its_route_and_without_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = clients.SlowOperations(0.5)
    request = Record("GET", "/users/{user_id}", 0.0)

    slow(Operation("sqlite", "SELECT ?", 0.0, 0.4), request)
    slow(Operation("sqlite", "SELECT ?", 0.0, 0.6, "OperationalError"), request)

    (message,) = caplog.messages
    assert json.loads(message) == {
        "event": "slow operation",
        "system": "sqlite",
        "name": "SELECT ?",
        "seconds": 0.6,
        "error": "OperationalError",
        "route": "/users/{user_id}",
    }


def test_a_threshold_below_zero_is_refused() -> None:
    with pytest.raises(PerfkitError, match="seconds from 0 on"):
        clients.SlowOperations(-1.0)
