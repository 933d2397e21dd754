"""The gate: is the working tree slower than another version of itself?

`judge` goes from raw rounds to a verdict and is pure. `command` checks out the other version, has
both run in turns (`perfkit.interleave`), and writes every raw round beside its verdicts. Nothing
is ever compared with figures of another day or another machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import Any

from perfkit.errors import PerfkitError
from perfkit.interleave import (
    Bench,
    Plan,
    Samples,
    benchmark_names,
    collect,
    prepare,
)
from perfkit.machine import cpu_model
from perfkit.stats import (
    Interval,
    Pair,
    log_ratio,
    needed_samples,
    signed_rank_interval,
    single_confidence,
)
from perfkit.terminal import Progress, say, terminable
from perfkit.versions import commit_of, is_changed, repository, two_trees

CONFIDENCE = 0.99
"""How sure one run is of all its verdicts together."""
LOOKS = (0.5, 0.75, 1.0)
"""At which shares of the time benchmarks may be settled; each look has its share of the error."""
MARGIN = 0.25
"""Share of the threshold which an interval must clear beyond "no change" to be called one."""

PASSED, FAILED, VOID = 0, 3, 2
PROGRAM = "gate"


class Answer(StrEnum):
    """What can be said of one benchmark."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "no difference"
    UNKNOWN = "cannot tell"


class GateError(PerfkitError):
    """The gate was asked for something that it cannot do."""


@dataclass(frozen=True)
class Verdict:
    """The answer for one benchmark; ratios are times of the working tree over those of BASE."""

    answer: Answer
    ratio: float
    interval: tuple[float, float] | None
    """None when there were too few generations for the confidence asked for."""
    visible: float | None
    """The smallest slowdown that would have been called one: 0.03 is 3 %."""
    generations: int


def judge(generations: Sequence[Sequence[Pair]], threshold: float, confidence: float) -> Verdict:
    """Return the verdict on one benchmark.

    Args:
        generations: The pairs of each pair of processes, of one at least.
        threshold: The change that matters: 0.02 is 2 %.
        confidence: Share of intervals which contain the true ratio.
    """
    logs = [log_ratio(pairs) for pairs in generations]
    if len(logs) < needed_samples(confidence):
        return Verdict(Answer.UNKNOWN, math.exp(median(logs)), None, None, len(logs))
    interval = signed_rank_interval(logs, confidence)
    return Verdict(
        _answer(interval, threshold),
        math.exp(interval.estimate),
        (math.exp(interval.low), math.exp(interval.high)),
        visible_change(interval, threshold),
        len(logs),
    )


def _answer(interval: Interval, threshold: float) -> Answer:
    matters, clear = math.log1p(threshold), math.log1p(threshold * MARGIN)
    if -matters < interval.low and interval.high < matters:
        return Answer.SAME
    if interval.low > clear:
        return Answer.SLOWER
    if interval.high < -clear:
        return Answer.FASTER
    return Answer.UNKNOWN


def visible_change(interval: Interval, threshold: float) -> float:
    """Return the smallest slowdown that an interval of this width would have been called one."""
    half = (interval.high - interval.low) / 2
    return math.expm1(max(math.log1p(threshold * MARGIN) + half, math.log1p(threshold) - half))


def verdicts(samples: Samples, threshold: float) -> dict[str, Verdict]:
    """Judge all benchmarks so that the whole run, looks included, errs as CONFIDENCE says."""
    confidence = single_confidence(CONFIDENCE, len(samples) * len(LOOKS))
    return {name: judge(taken, threshold, confidence) for name, taken in samples.items()}


def conclusion(judged: Mapping[str, Verdict], seconds: float) -> tuple[int, str]:
    """Return the exit status of a run and the line that says why."""
    by_answer: dict[Answer, list[str]] = {answer: [] for answer in Answer}
    for name, verdict in judged.items():
        by_answer[verdict.answer].append(name)
    slower, unknown = by_answer[Answer.SLOWER], by_answer[Answer.UNKNOWN]
    if not judged:
        return VOID, "void: no benchmark of the working tree runs on BASE"
    if all(verdict.interval is None for verdict in judged.values()):
        return VOID, f"void: {seconds:g} s are too short for a verdict; give more --seconds"
    if slower:
        worst = max(slower, key=lambda name: judged[name].ratio)
        return FAILED, (
            f"slower: {len(slower)} of {len(judged)}, "
            f"most of all {worst} with {judged[worst].ratio:.3f} times BASE"
        )
    if unknown:
        return PASSED, (
            f"CANNOT TELL for {len(unknown)} of {len(judged)} ({', '.join(unknown)}): "
            f"none is shown to be slower, but try {2 * seconds:g} --seconds or a quieter machine"
        )
    faster = len(by_answer[Answer.FASTER])
    return PASSED, f"not slower: {faster} of {len(judged)} faster, the others without difference"


def table(judged: Mapping[str, Verdict], plan: Plan) -> str:
    """Return the verdicts as text, one benchmark a line."""
    width = max((len(name) for name in [*judged, *plan.new, *plan.gone]), default=0)
    lines = [f"{'benchmark':{width}}    BASE us  ratio  interval       visible  verdict"]
    for name, verdict in judged.items():
        base = median(pair.base for pairs in plan.samples[name] for pair in pairs) * 1e6
        low_high = "{:.3f}..{:.3f}".format(*verdict.interval) if verdict.interval else "?"
        visible = f"{verdict.visible:.1%}" if verdict.visible is not None else "?"
        lines.append(
            f"{name:{width}} {base:10.3f}  {verdict.ratio:.3f}  {low_high:13}  {visible:>7}  "
            f"{verdict.answer}"
        )
    lines += [
        f"{name:{width}} new, nothing to compare: {reason}" for name, reason in plan.new.items()
    ]
    lines += [f"{name:{width}} only BASE has it" for name in plan.gone]
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """Return what a reader must know of the machine to make sense of absolute times."""
    return {
        "system": platform.platform(),
        "processor": cpu_model(),
        "cores": os.cpu_count(),
        "pinned": hasattr(os, "sched_setaffinity"),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
    }


def columns(pairs: Sequence[Pair]) -> dict[str, list[float] | list[bool]]:
    """Return the pairs of one generation as columns; times are seconds per call."""
    return {
        "base": [pair.base for pair in pairs],
        "head": [pair.head for pair in pairs],
        "base_first": [pair.base_first for pair in pairs],
        "disturbed": [pair.disturbed for pair in pairs],
    }


def write_report(
    folder: Path, plan: Plan, judged: Mapping[str, Verdict], facts: Mapping[str, Any]
) -> Path:
    """Write ``gate.json`` with every raw round into *folder*, and return its path."""
    document = {
        **facts,
        "machine": machine(),
        "confidence": CONFIDENCE,
        "looks": LOOKS,
        "margin": MARGIN,
        "benchmarks": {
            name: {
                "verdict": asdict(verdict),
                "calls_per_round": plan.calls[name],
                "generations": [columns(pairs) for pairs in plan.samples[name]],
            }
            for name, verdict in judged.items()
        },
        "new": plan.new,
        "gone": plan.gone,
    }
    folder.mkdir(parents=True)
    path = folder / "gate.json"
    path.write_text(json.dumps(document, allow_nan=False) + "\n")
    return path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m perfkit gate``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """\
answers:
  slower, faster   the whole interval lies beyond a quarter of the threshold
  no difference    the whole interval lies within the threshold
  cannot tell      anything else; not a failure, but the last line says so

The intervals hold for all benchmarks of a run together with 99 % confidence.

exit status:
  0  no benchmark is shown to be slower
  3  at least one is slower
  2  void: nothing could be compared, or the run was interrupted
  1  error: BASE does not exist, a benchmark fails in the working tree, ..."""
    parser.add_argument("--base", default="", metavar="REF", help="branch, tag or commit")
    parser.add_argument(
        "--seconds", type=_positive, default=90.0, help="time to measure for (default: 90)"
    )
    parser.add_argument(
        "--threshold",
        type=_positive,
        default=2.0,
        metavar="PERCENT",
        help="the change that matters (default: 2)",
    )
    parser.add_argument("--only", default="*", metavar="PATTERN", help="benchmarks by name")
    parser.add_argument(
        "--benchmarks",
        default="tests/benchmarks",
        metavar="FOLDER",
        help="where bench_*.py lie in the working tree (default: tests/benchmarks)",
    )
    parser.add_argument(
        "--packages",
        default="restmachine,perfkit",
        metavar="NAMES",
        help="what is taken from each version (default: restmachine,perfkit)",
    )


def _positive(text: str) -> float:
    number = float(text)
    if not (0 < number < math.inf):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def command(arguments: argparse.Namespace) -> int:
    """Compare the working tree with ``arguments.base`` and return the exit status."""
    if not arguments.base:
        raise GateError("say what to compare the working tree with: make gate BASE=main")
    root = repository(Path.cwd())
    commit = commit_of(root, arguments.base)
    packages = arguments.packages.split(",")
    with terminable():
        try:
            status, last_line = _compare(arguments, root, commit, packages)
        except KeyboardInterrupt:
            status, last_line = VOID, "void: interrupted before a verdict"
    print(f"gate: {last_line}")
    return status


def _compare(
    arguments: argparse.Namespace, root: Path, commit: str, packages: Sequence[str]
) -> tuple[int, str]:
    def wanted(name: str) -> bool:
        return fnmatchcase(name, f"*{arguments.only}*")

    def decided(samples: Samples) -> list[str]:
        judged = verdicts(samples, threshold)
        return [name for name, verdict in judged.items() if verdict.answer is not Answer.UNKNOWN]

    if not any(wanted(name) for name in benchmark_names(root / arguments.benchmarks)):
        raise GateError(
            f'no benchmark in {arguments.benchmarks} matches "{arguments.only}": see --only'
        )
    threshold = arguments.threshold / 100
    head = commit_of(root, "HEAD")
    changed = is_changed(root, packages)
    say(PROGRAM, f"BASE is {commit[:12]}, the working tree {head[:12]}{' with changes' * changed}")
    if not hasattr(os, "sched_setaffinity"):
        say(PROGRAM, "this system cannot pin processes to a core: expect wider intervals")
    started = datetime.now(UTC)
    with two_trees(root, commit, [*packages, arguments.benchmarks]) as trees:
        bench = Bench(trees, trees.head / arguments.benchmarks, packages)
        plan = prepare(bench, wanted)
        deadlines = [share * arguments.seconds for share in LOOKS]
        progress = Progress(PROGRAM)
        collect(bench, plan, deadlines, decided, progress)
        progress.close()
    judged = verdicts(plan.samples, threshold)
    facts = {
        "started": started.isoformat(timespec="seconds"),
        "base": {"name": arguments.base, "commit": commit},
        "head": {"commit": head, "changed": changed},
        "seconds": arguments.seconds,
        "threshold": threshold,
    }
    folder = root / "reports" / "gate" / started.strftime("%Y%m%dT%H%M%S.%fZ")
    report = write_report(folder, plan, judged, facts)
    print(table(judged, plan))
    print(f"raw rounds: {report.relative_to(root)}")
    return conclusion(judged, arguments.seconds)
