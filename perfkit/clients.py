"""Counts what requests ask of other systems: queries, commands and HTTP requests."""

from __future__ import annotations

from perfkit import record
from perfkit.meter import ProcessMeters, of_process
from perfkit.metrics import (
    CLIENT_ERRORS,
    HTTP_CLIENT_DURATION,
    METHODS,
    OTHER,
    QUERY_DURATION,
    STATEMENT_SECONDS,
    STATEMENTS,
    UNMATCHED,
)
from perfkit.record import Operation, Record

HTTP = "http"

_counted: list[ProcessMeters] = []


def count_operations() -> None:
    """Count every operation of this process from now on; to ask twice changes nothing."""
    if not _counted:
        _counted.append(of_process)
        record.listen(count)


def count(operation: Operation, request: Record | None) -> None:
    """Count one operation, by the route of the request in which it happened."""
    system, seconds = operation.system, operation.seconds
    if system == HTTP:
        method, _, host = operation.name.partition(" ")
        known = method if method in METHODS else OTHER
        of_process.observe(HTTP_CLIENT_DURATION, known, host, value=seconds)
    else:
        route = UNMATCHED if request is None or request.route is None else request.route
        of_process.observe(QUERY_DURATION, system, route, value=seconds)
        of_process.add(STATEMENTS, system, operation.name)
        of_process.add(STATEMENT_SECONDS, system, operation.name, by=seconds)
    if operation.error:
        of_process.add(CLIENT_ERRORS, system, operation.error)
