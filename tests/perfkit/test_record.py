import logging
from collections.abc import Iterator

import pytest

from perfkit.record import Operation, Record, current, listen, report, unlisten

QUERY = Operation("postgresql", "SELECT ?", started=1.0, seconds=0.25)


@pytest.fixture
def heard() -> Iterator[list[tuple[Operation, Record | None]]]:
    told: list[tuple[Operation, Record | None]] = []

    def listener(operation: Operation, record: Record | None) -> None:
        told.append((operation, record))

    listen(listener)
    yield told
    unlisten(listener)


def test_an_operation_is_kept_with_the_request_that_runs(heard) -> None:
    record = Record("GET", "/items", started=0.5)
    token = current.set(record)

    report(QUERY)
    current.reset(token)

    assert record.operations == [QUERY]
    assert heard == [(QUERY, record)]


def test_an_operation_outside_of_requests_is_told_all_the_same(heard) -> None:
    report(QUERY)

    assert heard == [(QUERY, None)]


def test_a_listener_that_fails_is_logged_once_and_stops_nobody(heard, caplog) -> None:
    def failing(operation: Operation, record: Record | None) -> None:
        raise RuntimeError("no room")

    listen(failing)

    with caplog.at_level(logging.ERROR, logger="perfkit"):
        report(QUERY)
        report(QUERY)
    unlisten(failing)

    assert len(caplog.records) == 1
    assert len(heard) == 2
