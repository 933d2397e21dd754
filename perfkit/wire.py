"""Times peers over the wire: a server on one core, what asks it on another.

What counts is the CPU time that the server uses for a request, user and system together: it says
what a request costs whatever else the machine does, and however fast the client is. One
**generation** is a fresh server for each peer; rows follow one another in random order, and within
a row all peers take turns by lot. A peer is compared with the floor of the same turn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from perfkit.contest import Generation, Round, check, environment, heats
from perfkit.interleave import Worker, pinned
from perfkit.processes import Placement, ProcessGroup, place, usable_cores
from perfkit.server import HOST, Server, choose_port, wait_until_ready
from perfkit.workload import Workload

CONNECTIONS = 32
ROUND_SECONDS = 0.03
PASSES = 2


class Turn(NamedTuple):
    """One peer's answers to a fixed number of requests, per request."""

    cpu: float
    """Seconds of CPU time of the server."""
    seconds: float
    """Seconds between answers, all connections together."""


@dataclass
class WireContest:
    """Who takes part, in what, and all turns so far: by row, generation and peer."""

    package: str
    peers: Sequence[str]
    rows: Sequence[Workload]
    placement: Placement = field(default_factory=lambda: place(1, usable_cores()))
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    samples: dict[str, list[dict[str, list[Turn]]]] = field(default_factory=dict)


@contextmanager
def requester(contest: WireContest) -> Iterator[Worker]:
    """Start the process that asks, on its own core."""
    cores = contest.placement.generator
    with pinned(None if cores is None else cores[0]):
        worker = Worker(
            "the client", [sys.executable, "-P", "-m", "perfkit.requester"], environment(0)
        )
    try:
        worker.send({"package": contest.package})
        yield worker
    finally:
        worker.close()


@contextmanager
def servers(contest: WireContest, routes: int | None, seed: int) -> Iterator[dict[str, Server]]:
    """Start a server for each peer, on the servers' core; all of them end with the block."""
    order = list(contest.peers)
    Random(seed).shuffle(order)
    with TemporaryDirectory() as folder, ProcessGroup() as group:
        started = {}
        for peer in order:
            port, log = choose_port(None), Path(folder, f"{peer}.log")
            wanted = "-" if routes is None else str(routes)
            command = [
                sys.executable, "-P", "-m", "perfkit.peerserver",
                contest.package, peer, wanted, str(port),
            ]  # fmt: skip
            process = group.start(
                command, log, env=environment(seed), cores=contest.placement.server
            )
            started[peer] = Server(process, f"http://{HOST}:{port}", log)
            # One after the other, so that no free port is given out twice.
            wait_until_ready(started[peer])
        yield started


def asked(client: Worker, server: Server, row: str, count: int) -> Turn:
    """Have one server answer *count* requests."""
    client.send(
        {
            "row": row,
            "port": int(server.url.rpartition(":")[2]),
            "pid": server.process.pid,
            "connections": CONNECTIONS,
            "count": count,
        }
    )
    answer = client.answer()
    return Turn(answer["cpu"] / count, answer["seconds"] / count)


def check_servers(client: Worker, servers: Mapping[str, Server], rows: Sequence[Workload]) -> None:
    """Raise WrongAnswerError unless all servers answer all rows as they must."""
    for peer, server in servers.items():
        given = {}
        for row in rows:
            client.send({"row": row.name, "port": int(server.url.rpartition(":")[2])})
            given[row.name] = client.answer()["answers"]
        check(peer, rows, given)


def time_generation(
    contest: WireContest,
    client: Worker,
    servers: Mapping[str, Server],
    rows: Sequence[Workload],
    lot: Random,
) -> None:
    """Give each peer its turns in each row, in an order by lot and then in its reverse."""
    names, order = [row.name for row in rows], list(servers)
    taken: dict[str, dict[str, list[Turn]]] = {name: {peer: [] for peer in order} for name in names}
    for _ in range(PASSES):
        lot.shuffle(names)
        for row in names:
            lot.shuffle(order)
            for peer in (*order, *reversed(order)):
                count = contest.counts.get((peer, row))
                if count is None:
                    seconds = asked(client, servers[peer], row, CONNECTIONS).seconds
                    count = max(CONNECTIONS, round(ROUND_SECONDS / seconds))
                    contest.counts[peer, row] = count
                taken[row][peer].append(asked(client, servers[peer], row, count))
    for row, turns in taken.items():
        contest.samples.setdefault(row, []).append(turns)


def run(
    contest: WireContest,
    seconds: float,
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Fill ``contest.samples`` for about *seconds*, by one generation at least."""
    begin, count, longest = clock(), 0, 0.0
    with requester(contest) as client:
        while count == 0 or clock() - begin + longest <= seconds:
            count += 1
            start = clock()
            for rows in heats(contest.rows):
                with servers(contest, rows[0].routes, count) as started:
                    check_servers(client, started, rows)
                    time_generation(contest, client, started, rows, Random(count))
            longest = max(longest, clock() - start)
            progress(
                f"over the wire: {clock() - begin:.0f} of {seconds:.0f} s, {count} generations"
            )


def by_cpu(generations: Sequence[Mapping[str, Sequence[Turn]]]) -> list[Generation]:
    """Return the turns as rounds of CPU time, which no other process disturbs."""
    return [
        {peer: [Round(turn.cpu, False) for turn in turns] for peer, turns in taken.items()}
        for taken in generations
    ]
