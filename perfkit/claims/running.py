"""Runs one experiment: its variants in turns, in fresh processes, until the answer is narrow.

A **generation** is one process for each variant, and one more that runs *before* again: the
control, which shows how much two runs of one thing differ here and now. At each point of what
varies the variants take turns in an order by lot and then in its reverse, so that none profits
from its place; points follow one another by lot too. Points that are settled leave the run.

What is counted depends on neither place nor memory: one round of each variant is enough, and their
processes may be forks of one, which is fresh in each generation.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psutil

from perfkit.claims.experiment import CONTROL, Experiment
from perfkit.claims.judging import EXACT_GENERATIONS, LOOKS, settled
from perfkit.claims.library import Found
from perfkit.claims.parts import EXTRA, Session
from perfkit.claims.schedule import Allowance, allowance
from perfkit.errors import PerfkitError
from perfkit.interleave import MALLOC, pick_core
from perfkit.machine import facts
from perfkit.peer import Peer, PeerError

Results = dict[str, Any]
"""The results of one experiment as plain data; `blank` shows what is in them."""

STORES = frozenset({"postgres", "redis"})
"""Parts that all variants of an experiment share."""
REPEATS = 2
"""How often a disturbed turn is tried again."""
# What lasts this long is dear to repeat, and a short pause is a small part of it.
LONG_TURN_SECONDS = 0.1
MOST_TURNS = 10
# Of the time that the start took. More rounds of the same processes would tell little more, as
# what differs most is one process from the next.
MEASURING_SHARE = 0.5
# Longer than a run's own writing and far shorter than a step of NTP.
CLOCK_JUMP_SECONDS = 0.05
STEAL_SHARE = 0.02
MEMORY_MIB = 500
PACKAGES = ("asyncpg", "httpx", "orjson", "psycopg", "redis", "starlette", "uvicorn")
FINISH_SECONDS = 5.0
NO_TIME = "no time was left for it: go on with --resume, or give the run more --minutes"


def blank(found: Found, seed: int) -> Results:
    """Return results without rounds, with all that a verdict on them needs to know."""
    experiment = found.experiment
    environment = facts(PACKAGES)
    # Tells of the kernel's build, not of the machine.
    del environment["system"]
    results: Results = {
        "name": found.name,
        "source": found.source,
        "claims": list(found.claims),
        "theme": found.theme,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "environment": environment,
        "not_run": "",
        "failed": "",
        "complete": False,
        "elapsed_s": 0.0,
        "statistics_s": 0.0,
        "memory_mib": 0,
        "repeated": 0,
        "points": [],
    }
    if experiment is not None:
        results |= {
            "metric": experiment.metric.name,
            "unit": experiment.metric.unit,
            "higher_is_better": experiment.metric.higher_is_better,
            "promised": experiment.promised,
            "promises": dict(experiment.promises),
            "matters": experiment.matters,
            "precision": experiment.precision,
            "hazard": experiment.hazard,
            "varies": {name: list(values) for name, values in experiment.varies.items()},
            "variants": list(experiment.variants),
            "points": [
                {"values": values, "calls": {}, "generations": []} for values in experiment.points()
            ],
        }
    return results


def run(
    found: Found,
    session: Session,
    results: Results,
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
    allowed: Allowance | None = None,
) -> None:
    """Fill *results*, made by `blank`; what has been measured is in them whenever this ends.

    A part that is absent and a variant that fails are results too.

    Args:
        allowed: What it may take, if not what its own budget allows.
    """
    experiment = found.experiment
    if experiment is None:
        results["not_run"] = f"needs {found.absent}, install with {EXTRA}"
        results["complete"] = True
        return
    allowed = allowed or allowance([found], math.inf)
    if not allowed.most:
        results["not_run"] = NO_TIME
        return
    results["not_run"] = session.missing(experiment.parts())
    started = clock()
    try:
        if not results["not_run"]:
            settings = session.settings(experiment.parts())
            with _prepared(found, experiment, settings):
                _collect(_Runner(found, experiment, settings, results), allowed, progress, clock)
        results["complete"] = True
    except PerfkitError as error:
        results["failed"] = error.reason if isinstance(error, PeerError) else str(error)
    finally:
        results["elapsed_s"] = round(clock() - started, 3)


@dataclass
class _Runner:
    """An experiment in the course of being run."""

    found: Found
    experiment: Experiment
    settings: Mapping[str, Any]
    results: Results

    def generation(self, number: int, points: Sequence[Results]) -> None:
        """Run one generation at *points* and add what it saw to each."""
        lot = Random(f"{self.results['seed']} {number}")
        started = time.perf_counter()
        with self._peers(number, lot) as peers:
            startup = time.perf_counter() - started
            measuring = MEASURING_SHARE * startup / len(points)
            for point in lot.sample(points, len(points)):
                self._at(point, peers, lot, measuring)
        if self.results["memory_mib"] > MEMORY_MIB:
            raise PeerError(
                self.found.name, f"it holds {self.results['memory_mib']} MiB, over {MEMORY_MIB}"
            )

    @property
    def _apart(self) -> bool:
        """Whether each variant has a process that was started for it, and not forked."""
        return self.experiment.isolated and not self.experiment.timeless

    @contextmanager
    def _peers(self, number: int, lot: Random) -> Iterator[dict[str, Peer]]:
        names = [*self.experiment.variants, CONTROL]
        core = None if self.experiment.timeless else pick_core()
        with ExitStack() as stack:
            if self._apart:
                peers = {
                    name: stack.enter_context(self._peer(name, f"{number} {name}", core))
                    for name in lot.sample(names, len(names))
                }
            else:
                peers = dict.fromkeys(
                    names, stack.enter_context(self._peer("all", str(number), core))
                )
            processes = {id(peer): peer for peer in peers.values()}.values()
            for peer in processes:
                peer.answer()
            yield peers
            # They end at the same time, and are waited for one after another.
            for peer in processes:
                peer.hang_up()

    @contextmanager
    def _peer(self, name: str, layout: str, core: int | None) -> Iterator[Peer]:
        seed = f"{self.results['seed']} {layout}"
        forks = self.experiment.isolated and self.experiment.timeless
        with started_peer(self.found, name, self.settings, seed, core, forks=forks) as peer:
            yield peer

    def _at(self, point: Results, peers: Mapping[str, Peer], lot: Random, seconds: float) -> None:
        """Measure one point for so many *seconds*, twice each variant at least that is timed."""
        names = lot.sample(list(peers), len(peers))
        self._each(peers, {name: {"open": name, "point": point["values"]} for name in names})
        self._calibrate(point, peers, names)
        taken: Results = {"rounds": {name: [] for name in names}, "disturbed": []}
        started = time.perf_counter()
        while not taken["disturbed"] or (
            time.perf_counter() - started < seconds and len(taken["disturbed"]) < MOST_TURNS
        ):
            lot.shuffle(names)
            self._turn(names, point["calls"], peers, taken)
            if self.experiment.metric.steady:
                break
            self._turn(names[::-1], point["calls"], peers, taken)
        closed = self._each(peers, {name: {"close": name} for name in names})
        peaks = [answer["memory_mib"] for answer in closed]
        held = sum(peaks) if self.experiment.isolated else max(peaks)
        self.results["memory_mib"] = max(self.results["memory_mib"], round(held))
        point["generations"].append(taken)

    def _each(self, peers: Mapping[str, Peer], asked: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        """Return what each answers: all at the same time, where each has a process of its own.

        Servers are waited for when a variant is opened, and again when it is closed. Those that
        work on one database are set up one after another, as they may work on the same of it.
        """
        if not self._apart or STORES.intersection(self.experiment.parts()):
            return [peers[name].ask(message) for name, message in asked.items()]
        for name, message in asked.items():
            peers[name].send(message)
        return [peers[name].answer() for name in asked]

    def _calibrate(self, point: Results, peers: Mapping[str, Peer], names: Sequence[str]) -> None:
        """Find out how many calls make a round of each variant.

        Anew in each generation: a round begins slowly, so that a guess which is too low would
        make all rounds of a variant look slow. The control has as many as what it repeats.
        """
        calls = point["calls"]
        for name in names:
            if name != CONTROL and calls.get(name) != 1:
                calls[name] = peers[name].ask({"calibrate": name})["calls"]
        calls[CONTROL] = calls[next(iter(self.experiment.variants))]

    def _turn(
        self,
        order: Sequence[str],
        calls: Mapping[str, int],
        peers: Mapping[str, Peer],
        taken: Results,
    ) -> None:
        """Let each variant run one round; again, up to twice, if something disturbed them."""
        for attempt in range(1 + REPEATS):
            self.results["repeated"] += bool(attempt)
            watch = _Watch()
            rounds = {
                name: peers[name].ask({"round": name, "calls": calls[name]}) for name in order
            }
            disturbed = any(flag for _, flag in rounds.values()) or watch.disturbed()
            if not disturbed or watch.elapsed() > LONG_TURN_SECONDS:
                break
        for name, (value, _) in rounds.items():
            taken["rounds"][name].append(float(f"{value:.6g}"))
        taken["disturbed"].append(disturbed)


class _Watch:
    """Notices what disturbs the whole machine: a stolen processor, a clock that jumps."""

    def __init__(self) -> None:
        self._before = self._now()

    def _now(self) -> tuple[float, float, float]:
        steal = getattr(psutil.cpu_times(), "steal", 0.0)
        return time.time(), time.monotonic(), steal

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._before[1]

    def disturbed(self) -> bool:
        """Return whether that has happened since the start."""
        wall, steady, steal = (
            now - before for now, before in zip(self._now(), self._before, strict=True)
        )
        return abs(wall - steady) > CLOCK_JUMP_SECONDS or steal > STEAL_SHARE * max(steady, 0.5)


@contextmanager
def started_peer(
    found: Found,
    what: str,
    settings: Mapping[str, Any],
    seed: str,
    core: int | None,
    *,
    forks: bool = False,
) -> Iterator[Peer]:
    """Start a process of an experiment; its first answer is still to come."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    lot = Random(seed)
    environment |= MALLOC | {"PYTHONPATH": path, "PYTHONHASHSEED": str(lot.randrange(1, 2**32))}
    command = [sys.executable, "-P", "-m", "perfkit.claims.process"]
    peer = Peer(f"{found.name}, {what}", command, environment)
    try:
        peer.send(
            {
                "file": str(found.path.absolute()),
                "settings": settings,
                "layout": lot.random(),
                "core": core,
                "forks": forks,
            }
        )
        yield peer
    finally:
        peer.finish(FINISH_SECONDS)


@contextmanager
def _prepared(found: Found, experiment: Experiment, settings: Mapping[str, Any]) -> Iterator[None]:
    """Have the experiment's preparation in place while the block runs."""
    if experiment.preparation is None:
        yield
        return
    with started_peer(found, "prepare", settings, "prepare", None) as peer:
        peer.answer()
        peer.ask({"prepare": True})
        yield


def _collect(
    runner: _Runner,
    allowed: Allowance,
    progress: Callable[[str], None],
    clock: Callable[[], float],
) -> None:
    """Run generations, looking at the figures when `LOOKS` says, until all points are settled."""
    results = runner.results
    begin = clock()
    open_points = list(results["points"])
    looks = [EXACT_GENERATIONS, *LOOKS] if runner.experiment.metric.counted else list(LOOKS)
    number, elapsed, longest = 0, 0.0, 0.0
    while (
        number < looks[-1]
        and open_points
        and not allowed.ends(elapsed, longest, telling=number >= LOOKS[0])
    ):
        runner.generation(number, open_points)
        number += 1
        before, elapsed = elapsed, clock() - begin
        longest = max(longest, elapsed - before)
        progress(
            f"{results['name']}: {elapsed:.0f} of about {allowed.enough:.0f} s, "
            f"{number} generations, {len(open_points)} of {len(results['points'])} points open"
        )
        if number in looks:
            looked = time.perf_counter()
            open_points = [point for point in open_points if not settled(results, point)]
            results["statistics_s"] += time.perf_counter() - looked
    results["statistics_s"] = round(results["statistics_s"], 6)
