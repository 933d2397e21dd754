"""Peers that take turns, and what their rounds say: no processes and no clocks of its own.

One **generation** is the life of one process of each peer. Within it all peers take turns in an
order by lot and then in its reverse, so that none profits from its place; rows follow one another
in random order. A process can be off for its whole life, so the rounds of one process are one
sample, and generations are many. Peers are compared by rounds of the same turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median, stdev
from typing import NamedTuple

from perfkit.stats import Pair, log_ratio, needed_samples, signed_rank_interval

CONFIDENCE = 0.95
NULL, FLOOR, OURS = "null", "raw", "restmachine"
"""Peers with a part of their own: one does nothing, one has no framework, one is what we make."""


class Round(NamedTuple):
    """One round of one peer, per request."""

    seconds: float
    """What is compared: time in process, CPU time of the server over the wire."""
    disturbed: bool
    """Whether the kernel took the processor away meanwhile."""
    wall: float
    """Seconds from one answer to the next, as a client sees it."""


Generation = Mapping[str, Sequence[Round]]
"""The rounds of each peer; those of one place in the lists were made in one turn."""
Samples = dict[str, list[Generation]]
"""By row, then by generation."""


def take_turns(
    rows: Sequence[str],
    peers: Sequence[str],
    passes: int,
    lot: Random,
    measure: Callable[[str, str], Round],
) -> dict[str, Generation]:
    """Return the rounds of one generation by row: twice *passes* of each peer.

    Args:
        measure: Makes a round of a peer and a row.
    """
    taken: dict[str, dict[str, list[Round]]] = {row: {peer: [] for peer in peers} for row in rows}
    for _ in range(passes):
        for row in lot.sample(rows, len(rows)):
            order = lot.sample(peers, len(peers))
            for peer in (*order, *reversed(order)):
                taken[row][peer].append(measure(peer, row))
    return {row: dict(rounds) for row, rounds in taken.items()}


def collect(
    generation: Callable[[int], Mapping[str, Generation]],
    seconds: float,
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Samples:
    """Return the rounds of as many generations as fit into *seconds*, and of one at least.

    Args:
        generation: Makes the one of that number, from 1 on.
        progress: Is told after each how many there are.
    """
    begin, count, longest = clock(), 0, 0.0
    samples: Samples = {}
    while count == 0 or clock() - begin + longest <= seconds:
        count += 1
        start = clock()
        for row, rounds in generation(count).items():
            samples.setdefault(row, []).append(rounds)
        longest = max(longest, clock() - start)
        progress(f"{count} generation{'s' * (count > 1)}")
    return samples


@dataclass(frozen=True)
class Ratio:
    """How many times another peer's time one peer takes.

    Attributes:
        interval: Contains the true ratio with `CONFIDENCE`; None for too few generations.
        spread: The standard deviation between generations: 0.02 is 2 %; None for a single one.
    """

    value: float
    interval: tuple[float, float] | None
    spread: float | None
    generations: int


def ratio(generations: Sequence[Generation], peer: str, other: str) -> Ratio:
    """Compare *peer* with *other* in one row."""
    logs = [
        log_ratio(
            [
                Pair(theirs.seconds, own.seconds, False, theirs.disturbed or own.disturbed)
                for theirs, own in zip(rounds[other], rounds[peer], strict=True)
            ]
        )
        for rounds in generations
    ]
    spread = stdev(logs) if len(logs) > 1 else None
    if len(logs) < needed_samples(CONFIDENCE):
        return Ratio(math.exp(median(logs)), None, spread, len(logs))
    low, middle, high = signed_rank_interval(logs, CONFIDENCE)
    return Ratio(math.exp(middle), (math.exp(low), math.exp(high)), spread, len(logs))


def typical(generations: Sequence[Generation], peer: str) -> Round:
    """Return the medians of one peer in one row, of its undisturbed rounds if they are enough."""
    rounds = [each for generation in generations for each in generation[peer]]
    quiet = [each for each in rounds if not each.disturbed]
    chosen = quiet if len(quiet) * 3 >= len(rounds) else rounds
    return Round(
        median(each.seconds for each in chosen),
        len(quiet) < len(rounds),
        median(each.wall for each in chosen),
    )
