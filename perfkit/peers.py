"""Compares frameworks: the same requests, in process and over the wire."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from perfkit import wire
from perfkit.contest import FLOOR, NULL, Contest, Standing, run, standing
from perfkit.errors import PerfkitError
from perfkit.workload import Workload


class PeersError(PerfkitError):
    """The comparison was asked for something that it cannot do."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m perfkit peers``."""
    parser.add_argument("--frameworks", default="", help="names, by default all")
    parser.add_argument("--only", default="", help="rows by name, by default all")
    parser.add_argument("--phases", default="process wire", help="process, wire")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--package", default="tests.benchmarks.peers")


def command(arguments: argparse.Namespace) -> int:
    """Compare."""
    sys.path.insert(0, str(Path.cwd()))
    rows: list[Workload] = import_module(f"{arguments.package}.rows").ROWS
    if arguments.only:
        wanted = arguments.only.replace(",", " ").split()
        rows = [row for row in rows if any(name == row.name for name in wanted)]
    folder = Path(*arguments.package.split("."))
    known = sorted(
        path.stem for path in folder.glob("*.py") if path.stem not in {"rows", "contents"}
    )
    peers = arguments.frameworks.replace(",", " ").split() or known
    peers = [NULL, FLOOR, *(peer for peer in peers if peer not in {NULL, FLOOR})]
    phases = arguments.phases.replace(",", " ").split()

    def progress(line: str) -> None:
        print(line, file=sys.stderr)

    if "process" in phases:
        contest = Contest(arguments.package, peers, rows)
        run(contest, arguments.seconds, progress)
        for row in rows:
            print(f"\n{row.title}")
            for peer in peers:
                show(peer, standing(contest.samples[row.name], peer))
    if "wire" in phases:
        peers, rows = peers[1:], [row for row in rows if row.callers == 1]
        wired = wire.WireContest(arguments.package, peers, rows)
        wire.run(wired, arguments.seconds, progress)
        for row in rows:
            print(f"\n{row.title}")
            for peer in peers:
                show(peer, standing(wire.by_cpu(wired.samples[row.name]), peer))
    return 0


def show(peer: str, result: Standing) -> None:
    """Print one line of a table."""
    interval = "{:.3f}..{:.3f}".format(*result.interval) if result.interval else "?"
    spread = f"{result.spread:.1%}" if result.spread is not None else "?"
    print(f"  {peer:12} {result.seconds * 1e6:9.2f} us {result.ratio:8.3f} {interval:16} {spread}")
