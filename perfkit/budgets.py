"""The file of budgets, and whether a run stayed within them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from perfkit.errors import PerfkitError

LATENCY_KEYS = ("p50_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms")
KEYS = (*LATENCY_KEYS, "error_ratio", "rate")
SECTIONS = ("total", "routes")
AT_LEAST = frozenset({"rate"})
Outcome = Literal["met", "broken", "not exercised"]


class BudgetFileError(PerfkitError):
    """A file of budgets cannot be read, or says something that budgets do not know."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit: *key* of *scope*, a route or ``total``."""

    scope: str
    key: str
    limit: float

    @property
    def text(self) -> str:
        """The limit in words, such as ``p95 at most 50 ms``."""
        bound = "at least" if self.key in AT_LEAST else "at most"
        return f"{key_name(self.key)} {bound} {format_value(self.key, self.limit)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A budget and what the run made of it.

    *value* is None where nothing was measured: no request was made, or none was answered.
    """

    budget: Budget
    value: float | None
    outcome: Outcome
    requested: bool = True

    @property
    def text(self) -> str:
        """One clause, such as ``GET /users p95 61.2 ms, budget at most 50 ms``."""
        key = self.budget.key
        if self.value is None:
            lack = "got no answer" if self.requested else "saw no request"
            return f"{self.budget.scope} {lack}, budget {self.budget.text}"
        bound = "at least" if key in AT_LEAST else "at most"
        return (
            f"{self.budget.scope} {key_name(key)} {format_value(key, self.value)}, "
            f"budget {bound} {format_value(key, self.budget.limit)}"
        )


def key_name(key: str) -> str:
    """Return how reports write *key*."""
    named = {"error_ratio": "error ratio", "p999_ms": "p99.9", "rate": "rate"}
    return named.get(key, key.removesuffix("_ms"))


def format_value(key: str, value: float) -> str:
    """Return *value* with the unit of *key*."""
    if key == "error_ratio":
        return f"{value * 100:.3g} %"
    return f"{value:.4g}/s" if key == "rate" else f"{value:.4g} ms"


def read_budgets(path: Path) -> list[Budget]:
    """Read a file of budgets.

    Raises:
        BudgetFileError: It is missing, is not TOML, or has an unknown key or a wrong value.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BudgetFileError(f"cannot read budgets from {path}: {error.strerror}") from error
    except ValueError as error:
        raise BudgetFileError(f"{path} is not TOML: {error}") from error
    _refuse_unknown(path, "", data, SECTIONS)
    budgets = _section(path, "total", "total", data.get("total", {}))
    routes = data.get("routes", {})
    if not isinstance(routes, dict):
        raise BudgetFileError(f'{path}: "routes" is a table of routes')
    for route, section in routes.items():
        budgets += _section(path, f'routes."{route}"', route, section)
    return budgets


def _section(path: Path, name: str, scope: str, section: Any) -> list[Budget]:
    if not isinstance(section, dict):
        raise BudgetFileError(f"{path}: {name} is a table of budgets")
    _refuse_unknown(path, f" in {name}", section, KEYS)
    for key, value in section.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < float("inf"):
            raise BudgetFileError(f"{path}: {key} in {name} is a number from 0 on, not {value!r}")
        if key == "error_ratio" and value > 1:
            raise BudgetFileError(f"{path}: {key} in {name} is at most 1, not {value!r}")
    return [Budget(scope, key, float(value)) for key, value in section.items()]


def _refuse_unknown(
    path: Path, where: str, section: Mapping[str, Any], known: tuple[str, ...]
) -> None:
    for key in section:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
            raise BudgetFileError(f'{path}: unknown key "{key}"{where}: {hint}')


def judge(
    budgets: list[Budget], measured: Mapping[str, Mapping[str, float | None]], *, partial: bool
) -> list[Finding]:
    """Compare *budgets* with what was measured, by scope and key.

    A route that saw no request breaks its budget, unless the run was *partial*: then it
    was not exercised.
    """
    return [_judge(budget, measured.get(budget.scope), partial) for budget in budgets]


def _judge(budget: Budget, figures: Mapping[str, float | None] | None, partial: bool) -> Finding:
    if figures is None:
        return Finding(budget, None, "not exercised" if partial else "broken", requested=False)
    value = figures.get(budget.key)
    if value is None:
        return Finding(budget, None, "broken")
    kept = value >= budget.limit if budget.key in AT_LEAST else value <= budget.limit
    return Finding(budget, value, "met" if kept else "broken")
