"""The columns of a query joined from a set: how many statements one question becomes."""

import os
import subprocess
import sys

from perfkit.claims import Experiment, Metric, Operation

PROCESSES = 5
FIELDS = "allowed = {'id', 'name', 'email', 'created_at', 'bio'}\n"

experiment = Experiment(
    theme="queries",
    claims=["O-32"],
    question="How many statements too many do five processes make of one choice of columns?",
    hypothesis="The columns asked for can be kept in a set and joined to a statement.",
    metric=Metric("statements too many", "statements", "count"),
    hazard="Strings hash differently in each process, and a set follows the hashes: every worker "
    "and every restart asks in another order. Caches of plans and pg_stat_statements take each "
    "order for another statement, and the fields of an answer change places.",
    advice="Keep allowed columns in a tuple, and walk that to pick what was asked for.",
    conditions="Five processes with a seed for the hashes each, as usually each draws one.",
)


@experiment.before
def from_a_set() -> Operation:
    """Joins the set."""
    return lambda: statements_too_many("', '.join(allowed)")


@experiment.after
def in_order() -> Operation:
    """Joins the set in alphabetical order."""
    return lambda: statements_too_many("', '.join(sorted(allowed))")


def statements_too_many(columns: str) -> int:
    """Return how many statements there are beyond the one that would do."""
    program = f"{FIELDS}print('SELECT', {columns}, 'FROM users WHERE id = $1')"
    statements = {
        subprocess.run(
            [sys.executable, "-S", "-c", program],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in range(1, PROCESSES + 1)
    }
    return len(statements) - 1
