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
from collections.abc import Iterator, Sequence
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
from perfkit.contest import Contest
from perfkit.errors import PerfkitError
from perfkit.interleave import MALLOC
from perfkit.machine import facts, revision
from perfkit.turns import FLOOR, NULL, OURS
from perfkit.workload import Workload

PACKAGE = "tests.benchmarks.peers"
SHARES = {"process": 1 / 3, "wire": 2 / 3}
"""Of the time that is given, for each phase that goes on until it is over.

A generation of servers takes twice as long as one of processes that are asked directly, and an
interval takes as many of them.
"""
LASTING = {"load": 7.0, "curves": 22.0}
"""About how many seconds each of the other phases takes for a framework."""
PHASES = [*SHARES, *LASTING]
SECONDS = 720.0
SHARED_PACKAGES = ("uvicorn", "uvloop", "httptools", "orjson", "pydantic")
STAMP = "%Y%m%dT%H%M%S.%fZ"
INTERRUPTED = 2
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
        default=SECONDS,
        help=f"for the phases process and wire (default: {SECONDS:g})",
    )
    parser.add_argument(
        "--output", default="", metavar="FOLDER", help="by default one below reports/peers"
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
    wanted = chosen(arguments)
    phases = _chosen("phase", arguments.phases, PHASES)
    started = datetime.now(UTC)
    folder = _folder(arguments.output) or Path("reports", "peers", started.strftime(STAMP))
    document = {
        "command": _asked(arguments),
        "started": started.isoformat(timespec="seconds"),
        "environment": environment(),
        "peers": {peer: described(arguments.package, peer) for peer in wanted.peers},
        "rows": [{"name": row.name, "title": row.title} for row in wanted.rows],
        "curve_titles": {each.name: each.title for each in curves.declared(wanted.package)},
    }
    try:
        for phase, found in measured(wanted, phases, arguments.seconds):
            document[phase] = found
            # A phase that fails or is interrupted does not take those before it along.
            write(document, folder)
    except KeyboardInterrupt:
        rest = f"what was complete is in {folder}" if folder.exists() else "nothing was complete"
        print(f"peers: interrupted; {rest}", file=sys.stderr)
        return INTERRUPTED
    print(page(document))
    print(f"peers: {folder}", file=sys.stderr)
    if arguments.publish:
        PUBLISHED.write_text(json.dumps(document) + "\n")
    return 0


def chosen(arguments: argparse.Namespace) -> Contest:
    """Return who is to take part, and in what.

    Raises:
        PeersError: A name is not that of a framework or row.
    """
    rows: list[Workload] = _module(f"{arguments.package}.rows").ROWS
    modules = {path.stem for path in _place(arguments.package).glob("*.py")}
    others = sorted(modules - {NULL, FLOOR, OURS, "rows", "contents"})
    known = [OURS, *others] if OURS in modules else others
    names = _chosen("row", arguments.only, [row.name for row in rows])
    return Contest(
        arguments.package,
        [NULL, FLOOR, *_chosen("framework", arguments.frameworks, known)],
        [row for row in rows if row.name in names],
    )


def _asked(arguments: argparse.Namespace) -> str:
    """Return the command by which the same can be asked again."""
    given = [
        f"{name.upper()}='{value}'"
        for name in ("frameworks", "only", "phases")
        if (value := getattr(arguments, name))
    ]
    seconds = [] if arguments.seconds == SECONDS else [f"SECONDS={arguments.seconds:g}"]
    return " ".join(["make bench-peers", *given, *seconds])


def environment() -> dict[str, str]:
    """Return what a reader must know of the machine and of how processes are started."""
    versions = ", ".join(f"{name} {_version(name)}" for name in SHARED_PACKAGES)
    malloc = ", ".join(f"{name}={value}" for name, value in MALLOC.items())
    return facts() | {
        "packages": versions,
        "cores": wire.placement().note,
        "memory": malloc,
        "hashes": "PYTHONHASHSEED is the number of the generation, the same for all in it",
    }


def _place(package: str) -> Path:
    return Path(*package.split("."))


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise PeersError(f"{name} cannot be imported from here: {missing}") from missing


def _folder(text: str) -> Path | None:
    """Return the folder that was asked for, None for none."""
    if not text:
        return None
    folder = Path(text)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PeersError(f"--output {folder} exists and is not an empty folder")
    return folder


def _chosen(kind: str, text: str, known: Sequence[str]) -> list[str]:
    """Return the names in *text*, in the order of those that are known; all for none."""
    names = text.replace(",", " ").split()
    for name in names:
        if name not in known:
            raise PeersError(f'there is no {kind} "{name}": choose from {" ".join(known)}')
    return [name for name in known if name in names or not names]


def measured(
    wanted: Contest, phases: Sequence[str], seconds: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each phase measured, with its name."""
    timed = sum(SHARES.get(phase, 0.0) for phase in phases)
    lasting = sum(LASTING.get(phase, 0.0) for phase in phases) * len(wanted.peers)
    progress = Progress(lasting + (seconds if timed else 0.0))
    served = replace(wanted, peers=[peer for peer in wanted.peers if peer != NULL])
    for phase in phases:
        said = partial(progress, phase)
        if phase == "process":
            yield phase, kept(contest.run(wanted, seconds * SHARES[phase] / timed, said))
        elif phase == "wire":
            # All rows have as many callers here as there are connections.
            over_wire = replace(served, rows=[row for row in wanted.rows if row.callers == 1])
            yield phase, kept(wire.run(over_wire, seconds * SHARES[phase] / timed, said))
        elif phase == "load":
            yield phase, capacity.run(served, said)
        else:
            yield phase, curves.run(wanted, said)


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


def described(package: str, peer: str) -> dict[str, str]:
    """Return a peer's version and what its module says of the practice that it follows."""
    source = (_place(package) / f"{peer}.py").read_text()
    return {"version": _version(peer), "practice": ast.get_docstring(ast.parse(source)) or ""}


def _version(name: str) -> str:
    """Return the version of a distribution, or the commit here of what is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return f"({revision() or 'not a git checkout'})"


def write(document: dict[str, Any], folder: Path) -> None:
    """Write the raw rounds, the page and its charts into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in draw(document).items():
        (folder / name).write_text(chart)
    (folder / "peers.json").write_text(json.dumps(document) + "\n")
    (folder / "peers.md").write_text(page(document))
