"""Where a measurement was made: the facts that a reader needs to weigh its figures."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

DISTRIBUTION = "measured-rest"
PACKAGES = ("uvicorn", "uvloop", "httptools", "locust")


def facts(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return pairs of name and text, in the order in which to show them.

    *packages* are distributions whose versions matter, beside our own.
    """
    memory = psutil.virtual_memory().total / 2**30
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return {
        "machine": f"{cpu_model()}, {psutil.cpu_count()} cores, {memory:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load average before": load,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in (DISTRIBUTION, *packages)),
        "source": revision() or "not a git checkout",
    }


def cpu_model() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def revision() -> str | None:
    """Return the commit checked out here, and whether files differ from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude", "*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"
