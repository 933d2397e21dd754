"""Results of experiments as JSON files: one file each, named after the experiment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.claims.experiment import ExperimentError

VALIDATION = (
    "started", "seed", "environment", "elapsed_s", "runs", "simulated", "real", "noise"
)  # fmt: skip
"""What `perfkit.claims.validation.validate` returns."""


def write(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write the results of one experiment, in place of older ones, and return the file."""
    return _keep(folder / f"{results['name']}.json", results)


def write_validation(folder: Path, validation: Mapping[str, Any]) -> Path:
    """Write what checking the method came to, beside the folder of results, and return the file."""
    return _keep(_validation_of(folder), validation)


def read_validation(folder: Path) -> dict[str, Any] | None:
    """Return what `write_validation` kept for a folder of results; None when there is nothing.

    Raises:
        ExperimentError: The file is not what `write_validation` writes.
    """
    path = _validation_of(folder)
    if not path.exists():
        return None
    try:
        kept: dict[str, Any] = json.loads(path.read_text())
        return {name: kept[name] for name in VALIDATION}
    except (ValueError, KeyError, TypeError) as error:
        raise ExperimentError(
            f"{os.path.relpath(path)} holds no validation ({error}): remove it, and validate again"
        ) from error


def _validation_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-validation.json")


def _keep(path: Path, results: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whoever reads meanwhile gets the old file or the new one, and nothing between.
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(results, allow_nan=False) + "\n")
    unfinished.replace(path)
    return path


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return all results of a folder by name; an absent folder holds none.

    Raises:
        ExperimentError: A file is not what `write` writes.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            results = json.loads(path.read_text())
            found[str(results["name"])] = results
        except (ValueError, KeyError, TypeError) as error:
            raise ExperimentError(
                f"{os.path.relpath(path)} holds no results ({error}): remove it, and run again"
            ) from error
    return found
