"""Finds experiments: one file each, below a folder or named one by one."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from perfkit.claims.experiment import Experiment, ExperimentError
from perfkit.claims.parts import known_parts

OURS = Path(__file__).with_name("experiments")


@dataclass(frozen=True, slots=True)
class Found:
    """An experiment and the file that holds it.

    *experiment* is None when a package that the file imports, *absent*, is not installed;
    *claims* and *theme* are then read from the source.
    """

    path: Path
    experiment: Experiment | None
    claims: tuple[str, ...]
    theme: str
    absent: str = ""

    @property
    def name(self) -> str:
        """The name of the file, which is that of the experiment."""
        return self.path.stem

    @property
    def source(self) -> str:
        """The hash of what the file says: figures of another source are out of date."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def find(folder: Path) -> list[Found]:
    """Return the experiments of a folder by name, or the one of a file.

    Raises:
        ExperimentError: There is none, or one is not written as it should be.
    """
    if not folder.exists():
        raise ExperimentError(f"{folder} does not exist: give a folder of experiments, or a file")
    files = sorted(folder.glob("[!_]*.py")) if folder.is_dir() else [folder]
    if not files:
        raise ExperimentError(f"{folder} holds no experiment: one is a file, name.py")
    return [load(file) for file in files]


def load(path: Path) -> Found:
    """Return the experiment that *path* holds, checked.

    Raises:
        ExperimentError: The file cannot be imported, or its experiment not be run.
    """
    try:
        module = imported(path)
    except ModuleNotFoundError as error:
        told = stated(path)
        claims, theme = tuple(told.get("claims", ())), told.get("theme", "yours")
        return Found(path, None, claims, theme, absent=error.name or str(error))
    except ExperimentError as error:
        raise ExperimentError(f"{path.name}: {error}") from error
    # Whatever a file raises is the answer: it is no experiment yet.
    except Exception as error:
        raise ExperimentError(f"{path.name}: {type(error).__name__}: {error}") from error
    experiment = getattr(module, "experiment", None)
    if not isinstance(experiment, Experiment):
        raise ExperimentError(f"{path.name}: it has to say: experiment = Experiment(...)")
    try:
        experiment.check()
    except ExperimentError as error:
        raise ExperimentError(f"{path.name}: {error}") from error
    for name in experiment.parts():
        if name not in known_parts():
            known = [*known_parts(), *experiment.varies]
            near = get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
            raise ExperimentError(f'{path.name}: it asks for "{name}", which is no part; {hint}')
    return Found(path, experiment, tuple(experiment.claims), experiment.theme)


def imported(path: Path) -> ModuleType:
    """Return the module that *path* holds, executed anew."""
    spec = importlib.util.spec_from_file_location(f"experiment_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def stated(path: Path) -> dict[str, Any]:
    """Return what *path* states of its experiment as plain values, without running it."""
    found: dict[str, Any] = {}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Experiment":
            for keyword in node.keywords:
                # What is computed is known only to who can run it.
                with suppress(ValueError):
                    found[str(keyword.arg)] = ast.literal_eval(keyword.value)
    return found


def select(found: Sequence[Found], words: Sequence[str]) -> list[Found]:
    """Return those that one of *words* picks: a claim's id, or a part of a name or theme.

    Raises:
        ExperimentError: A word picks none.
    """
    for word in words:
        if not any(picks(word, one) for one in found):
            raise ExperimentError(
                f'no experiment matches "{word}": python -m perfkit claims list shows them'
            )
    return [one for one in found if not words or any(picks(word, one) for word in words)]


def picks(word: str, found: Found) -> bool:
    """Return whether *word* picks the experiment."""
    lowered = word.lower()
    if lowered in (claim.lower() for claim in found.claims):
        return True
    return lowered in found.name or lowered in found.theme.lower()


def code_of(path: Path) -> dict[str, str]:
    """Return the source of each function and class in a file, without decorators, by name."""
    source = path.read_text()
    return {
        node.name: ast.get_source_segment(source, node) or ""
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
