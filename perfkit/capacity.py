"""What a server bears: latencies at a share of its capacity, memory for its connections.

Capacity is what it answers to a closed load. The open load then begins requests at random moments,
whatever the answers do, and a latency counts from the moment at which the request was due: a
server that stalls is charged for all that it kept waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from perfkit.contest import Contest
from perfkit.histogram import Latencies
from perfkit.interleave import Worker
from perfkit.server import Server
from perfkit.wire import CONNECTIONS, answered, ask, check_servers, requester, servers
from perfkit.workload import Workload

SHARE = 0.7
"""Of the capacity."""
LOAD_SECONDS = 2.0
CAPACITY_SECONDS = 0.5
OPEN_CONNECTIONS = 64
"""Which an open load may use at once; what finds none waits for one, and that counts."""
IDLE_CONNECTIONS = 400
PASSES = 2


def run(contest: Contest, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return what the servers of all peers bear of the contest's first row."""
    row = contest.rows[0]
    borne: dict[str, Any] = {}
    with requester(contest.package) as client, servers(contest, row.routes, 0) as started:
        check_servers(client, started, [row])
        for peer, server in started.items():
            borne[peer] = loaded(client, server, row)
            progress(peer)
        for peer, server in started.items():
            idle = ask(client, server, row.name, connections=IDLE_CONNECTIONS)
            borne[peer]["connection_bytes"] = round(idle["bytes"])
    return {"row": row.name, "share": SHARE, "peers": borne}


def loaded(client: Worker, server: Server, row: Workload) -> dict[str, Any]:
    """Return the capacity of a server, and its latencies below it."""
    latencies, lateness, capacities = Latencies(), Latencies(), []
    for _ in range(PASSES):
        rough = answered(client, server, row.name, 8 * CONNECTIONS).wall
        count = max(CONNECTIONS, round(CAPACITY_SECONDS / rough))
        capacity = 1 / answered(client, server, row.name, count).wall
        capacities.append(capacity)
        rate = SHARE * capacity
        shown = ask(
            client,
            server,
            row.name,
            count=max(1, round(rate * LOAD_SECONDS)),
            connections=OPEN_CONNECTIONS,
            rate=rate,
        )
        for kept, seconds in ((latencies, shown["latencies"]), (lateness, shown["lateness"])):
            for each in seconds:
                kept.record(each)
    return {
        "capacities": [round(each, 1) for each in capacities],
        "latency": _digest(latencies),
        "lateness": _digest(lateness),
        "histogram": latencies.encode(),
    }


def _digest(latencies: Latencies) -> dict[str, float] | None:
    digest = latencies.digest()
    return None if digest is None else asdict(digest)
