"""The ledger of performance claims, and the form to write experiments of your own in."""

from perfkit.claims.experiment import (
    CALLS,
    CONNECTIONS,
    CPU,
    ERRORS,
    HIT_RATIO,
    LATENCY,
    LOOP_STALL,
    OTHERS_WAIT,
    PEAK_MEMORY,
    QUERIES,
    SERVER_CPU,
    THROUGHPUT,
    WIRE_BYTES,
    Experiment,
    Metric,
    Operation,
)

__all__ = [
    "CALLS",
    "CONNECTIONS",
    "CPU",
    "ERRORS",
    "HIT_RATIO",
    "LATENCY",
    "LOOP_STALL",
    "OTHERS_WAIT",
    "PEAK_MEMORY",
    "QUERIES",
    "SERVER_CPU",
    "THROUGHPUT",
    "WIRE_BYTES",
    "Experiment",
    "Metric",
    "Operation",
]
