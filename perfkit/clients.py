"""Counts what requests ask of other systems: queries, commands and HTTP requests."""

from __future__ import annotations

import json
import logging

from perfkit import record
from perfkit.errors import PerfkitError
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

logger = logging.getLogger("perfkit.slow")

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


class SlowOperations:
    """Logs a line of JSON for each query, command or call that took too long.

    For `record.listen`. The line has the text without values, and the request's route.

    Raises:
        PerfkitError: The threshold, in seconds, is below zero.
    """

    def __init__(self, threshold: float) -> None:
        if not threshold >= 0:
            raise PerfkitError(f"a slow query takes seconds from 0 on, not {threshold}")
        self._threshold = threshold

    def __call__(self, operation: Operation, request: Record | None) -> None:
        """Log an operation if it was slow."""
        if operation.seconds < self._threshold:
            return
        line = {
            "event": "slow operation",
            "system": operation.system,
            "name": operation.name,
            "seconds": round(operation.seconds, 6),
            "error": operation.error,
            "route": None if request is None else request.route,
        }
        logger.warning("%s", json.dumps(line))
