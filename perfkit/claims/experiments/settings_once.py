"""Settings read from the environment for each request, or once."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache

from perfkit.claims import LATENCY, Experiment, Operation

experiment = Experiment(
    theme="dependencies",
    claims=["O-100"],
    promised=10,
    question="What does reading the settings once save?",
    hypothesis="Settings read once cost nothing afterwards; let that be a tenth.",
    metric=LATENCY,
    advice="Read settings once, when the application starts, and fail there if one is missing. "
    "They are not read again: a change needs a restart, or cache_clear() in a test.",
    conditions="Ten settings from environment variables, each converted to its type.",
    precision=0.15,
)


@dataclass(frozen=True)
class Settings:
    """Ten numbers."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int
    g: int
    h: int
    i: int
    j: int


def settings() -> Settings:
    """Return what the environment says, or defaults."""
    names = [field.name for field in fields(Settings)]
    return Settings(**{name: int(os.environ.get(f"CLAIMS_{name}", "1")) for name in names})


@experiment.before
def each_time() -> Operation:
    """Reads them at each call."""
    return asking(settings)


@experiment.after
def once() -> Operation:
    """Reads them at the first call."""
    return asking(lru_cache(settings))


def asking(read: Callable[[], Settings]) -> Operation:
    """Return the call that is measured."""
    return lambda: read()
