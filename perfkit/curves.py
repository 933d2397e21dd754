"""How the cost of a request grows with an application: a process for each peer and point."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

from perfkit.contest import Contest, check, environment, script
from perfkit.interleave import Worker, pick_core, pinned
from perfkit.peer import SilentPeerError
from perfkit.workload import Curve

MOST_STARTUP_SECONDS = 12.0
"""A peer that is expected to start for longer leaves its curve."""

Points = dict[str, dict[str, float]]
"""By point: startup in seconds, bytes, seconds of a request, peak in bytes."""


def measured(contest: Contest, peer: str, curve: Curve, at: int) -> dict[str, float]:
    """Measure one point in a fresh process.

    Raises:
        WrongAnswerError: The answer is not what the curve's request demands.
        PeerError: The process failed.
    """
    with pinned(pick_core()):
        worker = Worker(peer, script("perfkit.point"), environment(0))
    try:
        worker.send({"package": contest.package, "peer": peer, "curve": curve.name, "point": at})
        shown: dict[str, Any] = worker.answer()
    finally:
        worker.close()
    check(peer, [curve.workload(at)], shown.pop("answers"))
    return shown


def declared(package: str) -> list[Curve]:
    """Return the curves that a package of peers states beside its rows."""
    curves: list[Curve] = import_module(f"{package}.rows").CURVES
    return curves


def run(contest: Contest, progress: Callable[[str], None]) -> dict[str, dict[str, Points]]:
    """Return all points by curve and peer."""
    drawn: dict[str, dict[str, Points]] = {}
    for curve in declared(contest.package):
        drawn[curve.name] = {}
        for peer in contest.peers:
            drawn[curve.name][peer] = points(contest, peer, curve)
            progress(f"{curve.title}: {peer}")
    return drawn


def points(contest: Contest, peer: str, curve: Curve) -> Points:
    """Return the points of one peer, without those for which it would take too long to start."""
    taken: Points = {}
    for at in curve.points:
        if expected_startup(taken, at) > MOST_STARTUP_SECONDS:
            break
        try:
            taken[str(at)] = measured(contest, peer, curve, at)
        except SilentPeerError:
            break
    return taken


def expected_startup(taken: Points, at: int) -> float:
    """Return for how many seconds a peer will start, if that goes on growing as it did.

    What grew by less than its points did is expected to grow as they do.
    """
    known = [(int(point), shown["startup"]) for point, shown in taken.items() if int(point)]
    if not known:
        return 0.0
    (before, sooner), (last, startup) = known[0] if len(known) == 1 else known[-2], known[-1]
    exponent = 1.0
    if last > before and startup > sooner > 0:
        exponent = max(1.0, math.log(startup / sooner) / math.log(last / before))
    return float(startup * (at / last) ** exponent)
