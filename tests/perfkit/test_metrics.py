"""The table of metrics: conventions that every row keeps."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from perfkit import metrics
from perfkit.metrics import Metric

EVERY_ROW = pytest.mark.parametrize("row", metrics.TABLE, ids=lambda row: row.name)


@EVERY_ROW
def test_a_name_is_one_that_prometheus_accepts(row: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", row.name)


@EVERY_ROW
def test_only_a_counter_ends_in_total(row: Metric) -> None:
    assert row.name.endswith("_total") == (row.kind == "counter")


@EVERY_ROW
def test_a_histogram_names_its_unit_last(row: Metric) -> None:
    assert row.kind != "histogram" or row.name.endswith(f"_{row.unit}")


@EVERY_ROW
def test_a_row_has_buckets_when_it_is_a_histogram(row: Metric) -> None:
    assert bool(row.buckets) == (row.kind == "histogram")


@EVERY_ROW
def test_buckets_rise(row: Metric) -> None:
    assert list(row.buckets) == sorted(set(row.buckets))


@EVERY_ROW
def test_labels_are_those_whose_values_are_bounded(row: Metric) -> None:
    assert set(row.labels) <= metrics.CLOSED_LABELS | set(metrics.LABEL_LIMITS)


@EVERY_ROW
def test_a_help_text_is_a_sentence(row: Metric) -> None:
    assert re.fullmatch(r"[A-Z][^\n]+\.", row.help)


def test_durations_resolve_a_quarter_of_a_millisecond_to_ten_seconds() -> None:
    buckets = metrics.REQUEST_DURATION.buckets

    assert (buckets[0], buckets[-1]) == (0.00025, 10.0)
    assert max(high / low for low, high in pairwise(buckets)) <= 2.5


def test_the_samples_of_a_histogram_are_its_buckets_sum_and_count() -> None:
    row = Metric("wait_seconds", "histogram", "seconds", (), "Wait.", (1.0,))

    assert row.samples == ("wait_seconds_bucket", "wait_seconds_sum", "wait_seconds_count")


def test_a_counter_or_gauge_is_its_own_sample() -> None:
    assert metrics.ACTIVE_REQUESTS.samples == (metrics.ACTIVE_REQUESTS.name,)


def test_collected_rows_are_what_prometheus_client_collects() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

    described = {
        sample.name: (family.type, family.documentation, set(sample.labels))
        for family in registry.collect()
        for sample in family.samples
    }

    rows = {row.name: (row.kind, row.help, set(row.labels)) for row in metrics.COLLECTED}
    assert rows == {name: described[name] for name in rows}
