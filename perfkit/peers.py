"""Compares frameworks: the same requests, in process and over the wire.

`perfkit.contest` and `perfkit.wire` measure; this reads the options, says how far the run is, and
writes what `perfkit.comparison` makes of it.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from perfkit import capacity, contest, curves, wire
from perfkit.charts import draw
from perfkit.comparison import kept, page
from perfkit.contest import FLOOR, NULL, Contest
from perfkit.errors import PerfkitError
from perfkit.machine import facts, revision
from perfkit.workload import Workload

PACKAGE = "tests.benchmarks.peers"
SHARES = {"process": 0.5, "wire": 0.5}
"""Of the time that is given, for each phase that goes on until it is over."""
LASTING = {"load": 7.0, "curves": 22.0}
"""About how many seconds each of the other phases takes for a framework."""
PHASES = [*SHARES, *LASTING]
OURS = "restmachine"
PUBLISHED = Path("reports", "published", "peers.json")


class PeersError(PerfkitError):
    """The comparison was asked for something that it cannot do."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m perfkit peers``."""
    parser.add_argument("--frameworks", default="", help="names; all by default")
    parser.add_argument("--only", default="", help="rows by name; all by default")
    parser.add_argument("--phases", default="", help=f"some of {' '.join(PHASES)}; all by default")
    parser.add_argument(
        "--seconds",
        type=_positive,
        default=360.0,
        help="for the phases process and wire (default: 360)",
    )
    parser.add_argument(
        "--publish", action="store_true", help=f"write {PUBLISHED} as well, for the documentation"
    )
    parser.add_argument(
        "--package", default=PACKAGE, help=f"where the applications are (default: {PACKAGE})"
    )


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def command(arguments: argparse.Namespace) -> int:
    """Compare, show the page, and write it beside every raw round."""
    sys.path.insert(0, str(Path.cwd()))
    folder = Path(*arguments.package.split("."))
    rows: list[Workload] = _module(f"{arguments.package}.rows").ROWS
    known = sorted(
        path.stem for path in folder.glob("*.py") if path.stem not in {"rows", "contents"}
    )
    wanted = Contest(
        arguments.package,
        [NULL, FLOOR, *_chosen("framework", arguments.frameworks, _in_order(known))],
        [row for row in rows if row.name in _chosen("row", arguments.only, [r.name for r in rows])],
    )
    phases = _chosen("phase", arguments.phases, PHASES)
    started = datetime.now(UTC)
    environment = {**facts(), "cores": wire.placement().note}
    measured = measure(wanted, phases, arguments.seconds)
    document = {
        "command": "make bench-peers",
        "started": started.isoformat(timespec="seconds"),
        "environment": environment,
        "peers": {peer: described(folder, peer) for peer in wanted.peers},
        "rows": [{"name": row.name, "title": row.title} for row in wanted.rows],
        "curve_titles": {each.name: each.title for each in curves.declared(wanted.package)},
        **measured,
    }
    print(page(document))
    output = Path("reports", "peers", started.strftime("%Y%m%dT%H%M%SZ"))
    write(document, output)
    print(f"peers: {output}", file=sys.stderr)
    if arguments.publish:
        PUBLISHED.write_text(json.dumps(document) + "\n")
    return 0


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise PeersError(f"{name} cannot be imported from here: {missing}") from missing


def _in_order(known: Sequence[str]) -> list[str]:
    """Return the frameworks, ours first."""
    others = [name for name in known if name not in {NULL, FLOOR, OURS}]
    return [OURS, *others] if OURS in known else others


def _chosen(kind: str, text: str, known: Sequence[str]) -> list[str]:
    """Return the names in *text*, in the order of those that are known; all for none."""
    names = text.replace(",", " ").split()
    for name in names:
        if name not in known:
            raise PeersError(f'there is no {kind} "{name}": choose from {" ".join(known)}')
    return [name for name in known if name in names or not names]


def measure(wanted: Contest, phases: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return what each phase measured, by its name."""
    timed = sum(SHARES.get(phase, 0.0) for phase in phases)
    lasting = sum(LASTING.get(phase, 0.0) for phase in phases) * len(wanted.peers)
    progress = Progress(lasting + (seconds if timed else 0.0))
    measured: dict[str, Any] = {}
    for phase in phases:
        said = partial(progress, phase)
        served = replace(wanted, peers=[peer for peer in wanted.peers if peer != NULL])
        if phase == "process":
            rounds = contest.run(wanted, seconds * SHARES[phase] / timed, said)
            measured[phase] = kept(rounds)
        elif phase == "wire":
            # All rows have as many callers here as there are connections.
            rows = [row for row in wanted.rows if row.callers == 1]
            over_wire = replace(served, rows=rows)
            rounds = wire.run(over_wire, seconds * SHARES[phase] / timed, said)
            measured[phase] = kept(rounds)
        elif phase == "load":
            measured[phase] = capacity.run(served, said)
        else:
            measured[phase] = curves.run(wanted, said)
    return measured


class Progress:
    """Says on stderr how far the run is and how much time is left."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begin = time.monotonic()

    def __call__(self, phase: str, what: str) -> None:
        """Tell what a phase has done."""
        left = max(0.0, self._seconds - (time.monotonic() - self._begin))
        line = f"peers: {phase}: {what}; about {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)


def described(folder: Path, peer: str) -> dict[str, str]:
    """Return a peer's version and what its module says of the practice that it follows."""
    try:
        installed = version(peer)
    except PackageNotFoundError:
        installed = f"({revision() or 'not a git checkout'})"
    practice = ast.get_docstring(ast.parse((folder / f"{peer}.py").read_text())) or ""
    return {"version": installed, "practice": practice}


def write(document: dict[str, Any], folder: Path) -> None:
    """Write the raw rounds, the page and its charts into *folder*."""
    folder.mkdir(parents=True)
    for name, chart in draw(document).items():
        (folder / name).write_text(chart)
    (folder / "peers.json").write_text(json.dumps(document) + "\n")
    (folder / "peers.md").write_text(page(document))
