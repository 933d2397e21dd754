"""Times peers in process: each in a process of its own on one core, in turns.

One **generation** is a fresh process for each peer, with one application each: rows that want
another one have generations of their own. Within it all peers take turns, in an order by lot and
then in its reverse, so that none profits from its place; rows follow one another in random order.
A process can be off for its whole life, so the rounds of one process are one sample, and
generations are many. A peer's round is compared with that of the floor in the same turn.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median, stdev
from typing import Any, NamedTuple

from perfkit.errors import PerfkitError
from perfkit.interleave import MALLOC, Pair, Worker, pick_core, pinned
from perfkit.regression import log_ratio
from perfkit.stats import needed_samples, signed_rank_interval
from perfkit.workload import Answer, Workload, fault

ROUND_SECONDS = 0.002
PASSES = 4
CONFIDENCE = 0.95
NULL, FLOOR = "null", "raw"


class WrongAnswerError(PerfkitError):
    """A peer does not answer a row as it must, so its time would mean nothing."""

    def __init__(self, peer: str, row: str, reason: str) -> None:
        super().__init__(f'{peer} answers the row "{row}" with {reason}')


class Round(NamedTuple):
    """One round of one peer: seconds of one request, and whether the kernel interrupted it."""

    seconds: float
    disturbed: bool


Generation = dict[str, list[Round]]
"""The rounds of each peer; those of one place in the lists were made in one turn."""


@dataclass
class Contest:
    """Who takes part, in what, and all rounds so far by row."""

    package: str
    peers: Sequence[str]
    rows: Sequence[Workload]
    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    """Requests in a round, by peer and row."""
    samples: dict[str, list[Generation]] = field(default_factory=dict)


@contextmanager
def generation(
    contest: Contest, rows: Sequence[Workload], core: int | None, seed: int
) -> Iterator[dict[str, Worker]]:
    """Start a process for each peer on *core*, and check what each answers.

    Raises:
        WrongAnswerError: A peer's answer is not what the row demands.
        WorkerError: A process failed.
    """
    order = list(contest.peers)
    Random(seed).shuffle(order)
    with ExitStack() as stack:
        workers = {}
        for peer in order:
            with pinned(core):
                worker = Worker(peer, command(), environment(seed))
            stack.callback(worker.close)
            workers[peer] = worker
            worker.send(
                {
                    "package": contest.package,
                    "peer": peer,
                    "rows": [row.name for row in rows],
                    "layout": f"{seed} {peer}",
                }
            )
        for peer, worker in workers.items():
            check(peer, rows, worker.answer())
        yield workers


def command() -> list[str]:
    """Return how a contender is started."""
    return [sys.executable, "-P", "-m", "perfkit.contender"]


def environment(seed: int) -> dict[str, str]:
    """Return the environment of a contender: equal for all peers of one generation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    root = str(Path.cwd())
    return kept | MALLOC | {"PYTHONPATH": root, "PYTHONHASHSEED": str(seed)}


def check(peer: str, rows: Sequence[Workload], given: Mapping[str, Any]) -> None:
    """Raise WrongAnswerError unless all answers of a peer are right."""
    for row in rows:
        for workload, (status, headers, body) in zip(
            (row, row.plain), given[row.name], strict=False
        ):
            assert workload is not None
            if peer == NULL:
                continue
            wrong = fault(workload, Answer(status, headers, body.encode("latin-1")))
            if wrong is not None:
                raise WrongAnswerError(peer, row.title, wrong)


def calibrated(worker: Worker, row: str) -> int:
    """Return how many requests of *row* make a round of `ROUND_SECONDS`."""
    calls = 1
    while True:
        seconds, _ = worker.timed(row, calls)
        if seconds * calls >= ROUND_SECONDS / 4:
            return max(1, round(ROUND_SECONDS / seconds))
        calls *= 4


def time_generation(
    contest: Contest,
    rows: Sequence[Workload],
    workers: Mapping[str, Worker],
    passes: int,
    lot: Random,
) -> None:
    """Make *passes* turns there and back for each row."""
    names, order = [row.name for row in rows], list(workers)
    taken: dict[str, Generation] = {name: {peer: [] for peer in workers} for name in names}
    for peer, worker in workers.items():
        for name in names:
            if (peer, name) not in contest.calls:
                contest.calls[peer, name] = calibrated(worker, name)
    for _ in range(passes):
        lot.shuffle(names)
        for row in names:
            lot.shuffle(order)
            for turn in (order, order[::-1]):
                for peer in turn:
                    seconds, disturbed = workers[peer].timed(row, contest.calls[peer, row])
                    taken[row][peer].append(Round(seconds, disturbed))
    for row, rounds in taken.items():
        contest.samples.setdefault(row, []).append(rounds)


def run(
    contest: Contest,
    seconds: float,
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Fill ``contest.samples`` for about *seconds*, by one generation at least."""
    begin, count, longest = clock(), 0, 0.0
    while count == 0 or clock() - begin + longest <= seconds:
        count += 1
        start = clock()
        for rows in heats(contest.rows):
            with generation(contest, rows, pick_core(), count) as workers:
                time_generation(contest, rows, workers, PASSES, Random(count))
        longest = max(longest, clock() - start)
        progress(
            f"in process: {clock() - begin:.0f} of {seconds:.0f} s, "
            f"{count} generations of {len(contest.peers)} processes"
        )


def heats(rows: Sequence[Workload]) -> list[list[Workload]]:
    """Return the rows by the application that they need."""
    by_application: dict[int | None, list[Workload]] = {}
    for row in rows:
        by_application.setdefault(row.routes, []).append(row)
    return list(by_application.values())


@dataclass(frozen=True)
class Standing:
    """How one peer did in one row.

    Attributes:
        seconds: The median of one request, in seconds, the driver's part included.
        ratio: Of its time to that of the floor, and *interval* where there are enough generations.
        spread: The standard deviation of the generations' ratios: 0.02 is 2 %.
    """

    seconds: float
    ratio: float
    interval: tuple[float, float] | None
    spread: float | None
    generations: int


def standing(generations: Sequence[Generation], peer: str) -> Standing:
    """Judge the rounds of one peer in one row."""
    rounds = [taken for generation in generations for taken in generation[peer]]
    quiet = [taken for taken in rounds if not taken.disturbed]
    chosen = quiet if len(quiet) * 3 >= len(rounds) else rounds
    seconds = median(taken.seconds for taken in chosen)
    logs = [
        log_ratio(
            [
                Pair(floor.seconds, own.seconds, False, floor.disturbed or own.disturbed)
                for floor, own in zip(generation[FLOOR], generation[peer], strict=True)
            ]
        )
        for generation in generations
    ]
    interval = None
    if len(logs) >= needed_samples(CONFIDENCE):
        low, middle, high = signed_rank_interval(logs, CONFIDENCE)
        interval = (math.exp(low), math.exp(high))
    else:
        middle = median(logs)
    spread = stdev(logs) if len(logs) > 1 else None
    return Standing(seconds, math.exp(middle), interval, spread, len(logs))
