"""Times peers in process: each in a process of its own, all on one core, in turns.

A process has one application; rows that want another one have generations of their own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from perfkit.errors import PerfkitError
from perfkit.interleave import MALLOC, Worker, pick_core, pinned
from perfkit.turns import NULL, Generation, Round, Samples, collect, take_turns
from perfkit.workload import Answer, Workload, fault

ROUND_SECONDS = 0.002
PASSES = 6


class WrongAnswerError(PerfkitError):
    """A peer does not answer a row as it must, so its time would mean nothing."""

    def __init__(self, peer: str, row: str, reason: str) -> None:
        super().__init__(f'{peer} answers the row "{row}" with {reason}')


@dataclass(frozen=True)
class Contest:
    """Who takes part, and in what; *package* is where their modules and the rows lie."""

    package: str
    peers: Sequence[str]
    rows: Sequence[Workload]

    def heats(self) -> list[list[Workload]]:
        """Return the rows by the application that they need."""
        by_application: dict[int | None, list[Workload]] = {}
        for row in self.rows:
            by_application.setdefault(row.routes, []).append(row)
        return list(by_application.values())


@contextmanager
def contenders(
    contest: Contest, rows: Sequence[Workload], core: int | None, seed: int
) -> Iterator[dict[str, Worker]]:
    """Start a process for each peer on *core*, and check what each answers.

    Raises:
        WrongAnswerError: A peer's answer is not what the row demands.
        PeerError: A process failed.
    """
    with ExitStack() as stack:
        workers = {}
        # By lot, as the one that starts first may find other memory than the last.
        for peer in Random(seed).sample(contest.peers, len(contest.peers)):
            with pinned(core):
                worker = Worker(peer, script("perfkit.contender"), environment(seed))
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


def script(module: str, *arguments: str) -> list[str]:
    """Return how a module is run by this interpreter."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(seed: int) -> dict[str, str]:
    """Return the environment of a peer: the same for all in one generation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | MALLOC | {"PYTHONPATH": str(Path.cwd()), "PYTHONHASHSEED": str(seed)}


def check(peer: str, rows: Sequence[Workload], given: Mapping[str, Any]) -> None:
    """Raise WrongAnswerError unless all answers of a peer are right.

    Args:
        given: By row, the answers to its requests as lists of status, fields and content.
    """
    if peer == NULL:
        return
    for row in rows:
        for workload, (status, headers, body) in zip(row.requests, given[row.name], strict=True):
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


def run(contest: Contest, seconds: float, progress: Callable[[str], None]) -> Samples:
    """Return the rounds of all peers in all rows, made in about *seconds*."""
    calls: dict[tuple[str, str], int] = {}

    def generation(number: int) -> dict[str, Generation]:
        lot = Random(number)
        taken: dict[str, Generation] = {}
        for rows in contest.heats():
            with contenders(contest, rows, pick_core(), number) as workers:

                def measure(peer: str, row: str) -> Round:
                    worker = workers[peer]
                    if (peer, row) not in calls:
                        calls[peer, row] = calibrated(worker, row)
                    seconds, disturbed = worker.timed(row, calls[peer, row])
                    return Round(seconds, disturbed, seconds)

                names = [row.name for row in rows]
                taken |= take_turns(names, contest.peers, PASSES, lot, measure)
        return taken

    return collect(generation, seconds, progress)
