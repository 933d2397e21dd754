"""Times peers over the wire: a server on one core, what asks it on another.

What is compared is the CPU time that the server uses for a request, user and system together: it
says what a request costs whatever else the machine does, and however fast the client is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from perfkit.contest import Contest, check, environment, script
from perfkit.interleave import Worker, pinned
from perfkit.processes import Placement, ProcessGroup, place, usable_cores
from perfkit.server import HOST, Server, choose_port, wait_until_ready
from perfkit.turns import Generation, Round, Samples, collect, take_turns
from perfkit.workload import Workload

CONNECTIONS = 32
ROUND_SECONDS = 0.03
PASSES = 2


def placement() -> Placement:
    """Return the cores of the servers, which run one at a time, and of the client."""
    return place(1, usable_cores())


@contextmanager
def requester(package: str) -> Iterator[Worker]:
    """Start the process that asks, on its own core."""
    cores = placement().generator
    with pinned(None if cores is None else cores[0]):
        worker = Worker("the client", script("perfkit.requester"), environment(0))
    try:
        worker.send({"package": package})
        yield worker
    finally:
        worker.close()


@contextmanager
def servers(contest: Contest, routes: int | None, seed: int) -> Iterator[dict[str, Server]]:
    """Start a server for each peer, on the servers' core; all of them end with the block."""
    with TemporaryDirectory() as folder, ProcessGroup() as group:
        started = {}
        for peer in Random(seed).sample(contest.peers, len(contest.peers)):
            port, log = choose_port(None), Path(folder, f"{peer}.log")
            wanted = "-" if routes is None else str(routes)
            command = script("perfkit.peerserver", contest.package, peer, wanted, str(port))
            process = group.start(command, log, env=environment(seed), cores=placement().server)
            started[peer] = Server(process, f"http://{HOST}:{port}", log)
            # One after the other, so that no free port is given out twice.
            wait_until_ready(started[peer])
        yield started


def ask(client: Worker, server: Server, row: str, **options: Any) -> Any:
    """Have the client ask a server for a row, and return what it tells: see `perfkit.requester`."""
    port = int(server.url.rpartition(":")[2])
    client.send({"row": row, "port": port, "pid": server.process.pid, **options})
    return client.answer()


def check_servers(client: Worker, servers: Mapping[str, Server], rows: Sequence[Workload]) -> None:
    """Raise WrongAnswerError unless all servers answer all rows as they must."""
    for peer, server in servers.items():
        check(peer, rows, {row.name: ask(client, server, row.name)["answers"] for row in rows})


def answered(client: Worker, server: Server, row: str, count: int) -> Round:
    """Return what *count* requests cost, over `CONNECTIONS` connections that are kept alive."""
    shown = ask(client, server, row, count=count, connections=CONNECTIONS)
    # No other process changes how much CPU time is used, however often the kernel switches.
    return Round(shown["cpu"] / count, False, shown["seconds"] / count)


def run(contest: Contest, seconds: float, progress: Callable[[str], None]) -> Samples:
    """Return the rounds of all peers in all rows, made in about *seconds*."""
    counts: dict[tuple[str, str], int] = {}

    def generation(number: int) -> dict[str, Generation]:
        lot = Random(number)
        taken: dict[str, Generation] = {}
        for rows in contest.heats():
            with servers(contest, rows[0].routes, number) as started:
                check_servers(client, started, rows)

                def measure(peer: str, row: str) -> Round:
                    server = started[peer]
                    if (peer, row) not in counts:
                        wall = answered(client, server, row, CONNECTIONS).wall
                        counts[peer, row] = max(CONNECTIONS, round(ROUND_SECONDS / wall))
                    return answered(client, server, row, counts[peer, row])

                names = [row.name for row in rows]
                taken |= take_turns(names, contest.peers, PASSES, lot, measure)
        return taken

    with requester(contest.package) as client:
        return collect(generation, seconds, progress)
