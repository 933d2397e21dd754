"""``python -m perfkit claims``: lists, shows, runs and reports experiments, and checks itself."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perfkit.claims import ledger, store
from perfkit.claims.experiment import ExperimentError
from perfkit.claims.judging import Answer, judge
from perfkit.claims.lanes import run_beside
from perfkit.claims.library import OURS, Found, code_of, find, select
from perfkit.claims.parts import Session
from perfkit.claims.running import Results, blank, run
from perfkit.claims.schedule import Allowance, allowance, time_left
from perfkit.claims.validation import rows, validate
from perfkit.claims.wording import point_text
from perfkit.terminal import Progress, say, terminable

PROGRAM = "claims"
RESULTS = Path("reports/claims")
PUBLISHED = Path("reports/published/claims")
INTERRUPTED = 2
MINUTES = 29.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m perfkit claims``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    listing = actions.add_parser("list", help="list the experiments and what they need")
    showing = actions.add_parser("show", help="show one experiment, its code and its last verdict")
    running = actions.add_parser("run", help="run experiments and keep their results")
    reporting = actions.add_parser("report", help="judge results and write the pages")
    validating = actions.add_parser("validate", help="recover known effects, to check the method")
    for action in (listing, showing, running, reporting):
        action.add_argument(
            "--experiments", type=Path, default=OURS, metavar="PATH",
            help="a folder of experiments of your own, or one file (default: those of the ledger)",
        )  # fmt: skip
    for action in (listing, showing, running):
        action.add_argument(
            "only", nargs="*", metavar="WORD",
            help="a claim's id, or part of the name or theme of an experiment",
        )  # fmt: skip
    for action in (showing, running, reporting, validating):
        action.add_argument(
            "--results", type=Path, default=RESULTS, metavar="FOLDER",
            help="where the results are, a file for each experiment, and beside it the one of "
            f"validate, NAME-validation.json (default: {RESULTS})",
        )  # fmt: skip
    running.add_argument(
        "--resume", action="store_true",
        help="skip experiments whose results are there, complete, and of this very source",
    )  # fmt: skip
    running.add_argument(
        "--minutes", type=_minutes, default=MINUTES,
        help="how long all together may take: when that is less than their budgets, each has its "
        f"share (default: {MINUTES:.0f})",
    )  # fmt: skip
    running.add_argument("--seed", type=int, default=1, help="of everything by lot (default: 1)")
    reporting.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where to write the pages (default: none)"
    )
    validating.add_argument(
        "--runs", type=_count, default=100, help="simulated runs of each effect (default: 100)"
    )
    validating.add_argument(
        "--real", type=_count, default=5, help="real runs of each effect (default: 5)"
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of runs")
    return int(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of minutes")
    return minutes


def command(arguments: argparse.Namespace) -> int:
    """Do what ``arguments.action`` says and return the exit status."""
    if arguments.action == "validate":
        return _validate(arguments)
    found = find(arguments.experiments)
    if arguments.action == "list":
        print(listing(select(found, arguments.only)))
        return 0
    if arguments.action == "show":
        chosen = select(found, arguments.only)
        print("\n\n".join(shown(one, store.read(arguments.results)) for one in chosen))
        return 0
    if arguments.action == "run":
        return _run(arguments, select(found, arguments.only))
    return _report(arguments, found)


def listing(found: Sequence[Found]) -> str:
    """Return one line for each experiment."""
    width = max(len(one.name) for one in found)
    lines = []
    for one in found:
        needs = one.experiment.parts() if one.experiment else [f"{one.absent} (not installed)"]
        asked = one.experiment.question if one.experiment else ""
        lines.append(f"{one.name:{width}}  {' '.join(one.claims):24}  {asked}")
        if needs:
            lines.append(f"{'':{width}}  needs {', '.join(needs)}")
    return "\n".join(lines)


def shown(found: Found, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what an experiment is, its code, and what came of it last."""
    lines = [f"{found.name} ({', '.join(found.claims) or 'of your own'}; {found.theme})"]
    if found.experiment:
        lines += [
            found.experiment.question,
            f"Claimed:  {found.experiment.hypothesis}",
            f"Decides:  {found.experiment.metric.name}",
        ]
        lines += [
            f"Varies:   {name}: {', '.join(map(str, values))}"
            for name, values in found.experiment.varies.items()
        ]
    lines += [f"\n{code}" for code in code_of(found.path).values()]
    if found.name in results:
        lines += ["", verdict_text(results[found.name])]
    return "\n".join(lines)


def verdict_text(results: Mapping[str, Any]) -> str:
    """Return the verdict on one experiment: a line, and one for each point."""
    verdict = judge(results)
    lines = [f"{results['name']}: {verdict.answer}: {verdict.reason}"]
    for point in verdict.points if len(verdict.points) > 1 else ():
        gain = point.effect.gain
        interval = f"{gain.estimate:.3g} ({gain.low:.3g} to {gain.high:.3g})" if gain else "?"
        lines.append(f"    {point_text(point.point)}: {point.outcome}, {interval} times as good")
    return "\n".join(lines)


def _run(arguments: argparse.Namespace, chosen: Sequence[Found]) -> int:
    """Run experiments; each one's results are kept as soon as it ends."""
    kept = store.read(arguments.results) if arguments.resume else {}
    todo = [one for one in chosen if not is_current(one, kept.get(one.name))]
    if len(todo) < len(chosen):
        say(PROGRAM, f"{len(chosen) - len(todo)} of {len(chosen)} are there already")
    try:
        with terminable():
            _Whole(todo, arguments).run()
    except KeyboardInterrupt:
        say(PROGRAM, "interrupted; what was measured is kept, and --resume goes on")
        return INTERRUPTED
    return 0


class _Whole:
    """A whole run: first what is not timed, several at a time, then what is, one by one."""

    def __init__(self, todo: Sequence[Found], arguments: argparse.Namespace) -> None:
        self._todo = list(todo)
        self._arguments = arguments
        self._progress = Progress(PROGRAM)
        self._started = time.monotonic()
        self._done: list[Found] = []

    def run(self) -> None:
        """Run them all."""
        beside = [one for one in self._todo if one.experiment and one.experiment.timeless]
        # What has no company needs no second process.
        alone = [one for one in self._todo if one not in beside] if len(beside) > 1 else self._todo
        if alone is not self._todo:
            run_beside(
                beside,
                self._arguments.seed,
                lambda waiting: self._allowed([*waiting, *alone]),
                self._tell,
                self._keep,
            )
        with Session() as session:
            for number, one in enumerate(alone):
                results = blank(one, self._arguments.seed)
                try:
                    run(one, session, results, self._tell, allowed=self._allowed(alone[number:]))
                finally:
                    self._keep(results)

    def _allowed(self, todo: Sequence[Found]) -> Allowance:
        return allowance(todo, self._arguments.minutes * 60 - self._elapsed())

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _tell(self, line: str) -> None:
        rest = [one for one in self._todo if one not in self._done]
        left = time_left(rest, self._elapsed(), self._done)
        self._progress(f"{len(self._done) + 1} of {len(self._todo)}, {left} left; {line}")

    def _keep(self, results: Results) -> None:
        store.write(self._arguments.results, results)
        self._done += [one for one in self._todo if one.name == results["name"]]
        self._progress.close()
        print(verdict_text(results), flush=True)


def is_current(found: Found, results: Mapping[str, Any] | None) -> bool:
    """Return whether *results* are complete and of the experiment as it is now."""
    return bool(results and results["complete"] and results["source"] == found.source)


def _report(arguments: argparse.Namespace, found: Sequence[Found]) -> int:
    """Print the verdicts, and write the pages where they are wanted."""
    results = store.read(arguments.results)
    if not results:
        raise ExperimentError(
            f"{arguments.results} holds no results: python -m perfkit claims run makes some"
        )
    for one in results.values():
        print(verdict_text(one))
    entries = ledger.entries(results)
    told = [entry.headline for entry in entries]
    print("\n" + ", ".join(
        f"{told.count(word)} {word}" for word in [*Answer, ledger.UNMEASURED] if word in told
    ))  # fmt: skip
    if arguments.output:
        # Drawing takes longer to import than all the rest, and only pages need it.
        from perfkit.claims.pages import write

        validation = store.read_validation(arguments.results)
        for path in write(arguments.output, found, results, validation):
            print(path)
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    """Print how often each known effect was recovered, and keep it; 3 when one was too seldom."""
    progress = Progress(PROGRAM)
    with terminable():
        validation = validate(arguments.runs, arguments.real, progress)
    progress.close()
    found = rows(validation)
    print("effect  simulated  real")
    for row in found:
        print(f"{row.effect:6}  {row.simulated:4} of {row.runs:3}  {row.real} of {arguments.real}")
    print(store.write_validation(arguments.results, validation))
    return 0 if all(row.holds for row in found) else 3
