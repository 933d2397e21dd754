"""Results of experiments as JSON files: one file each, named after the experiment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.claims.experiment import ExperimentError


def write(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write the results of one experiment, in place of older ones, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{results['name']}.json"
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
