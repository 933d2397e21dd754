"""Measures what throughput watching leaves: ``make overhead SETS=16``.

Throughput is the requests that a server answers in a second of the processor time of its process,
all its threads included: neither a watchdog nor a sampler makes a request wait for anything else,
and others on the machine take none of that time away. uvicorn serves on the loopback interface,
over connections that are kept alive; on each is one request under way.

The watchdog is switched on and off in one process. An application whose memory is sampled and those
that it is compared with run in a process each. All take turns, in an order by lot and then in its
reverse, on the same core. The middle one of the turns of one set of processes is one sample, the
intervals are over fresh sets. A turn is so long that the watchdog looks several times in each, and
that memory is sampled in most. The result is kept in ``reports/published/overhead.json``.
"""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import median
from time import process_time, sleep
from typing import Any

sys.path.append(str(Path(__file__).parent))

import bench_watching
import uvicorn

from perfkit.loop import Watchdog
from perfkit.machine import facts
from perfkit.stats import needed_samples, signed_rank_interval
from restmachine import ASGIAdapter, RestApplication

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports" / "published" / "overhead.json"
SERVERS: Mapping[str, Callable[[], RestApplication]] = {
    "off": bench_watching.application,
    "off as well": bench_watching.application,
    "observed": bench_watching.observed_application,
    "memory sampled": bench_watching.memory_sampled_application,
    "watchdog": bench_watching.application,
}
TURNS = {
    "off": "off",
    "off as well": "off as well",
    "observed": "observed",
    "memory sampled": "memory sampled",
    "unwatched": "watchdog",
    "watched": "watchdog",
}
"""The server that has a turn."""
REQUESTS = 4_096
"""How many requests there are in a turn."""
BEFORE = {"unwatched": "/unwatch", "watched": "/watch"}
"""What a server is asked before its turn."""
SETTLE_SECONDS = 0.07
"""A watchdog that has just begun has its first look after this time."""
COMPARED = {
    "stall watchdog": ("unwatched", "watched", 0.995),
    "memory sampled at 1 in 100": ("off", "memory sampled", 0.95),
    "the same beside an observer that wants nothing": ("observed", "memory sampled", None),
    "nothing, beside itself": ("off", "off as well", None),
}
"""What is compared with what, and the least throughput that is to be left."""
SETS = 16
ROUNDS = 6
CONNECTIONS = 32
CONFIDENCE = 0.95
CORES = sorted(os.sched_getaffinity(0))


def serve(name: str, listener: socket.socket) -> None:
    """Serve an application that tells its processor time."""
    app = SERVERS[name]()
    watchdog = Watchdog()

    @app.get("/cpu", blocking=False)
    def cpu() -> float:
        return process_time()

    @app.get("/watch")
    async def watch() -> None:
        watchdog.watch()

    @app.get("/unwatch")
    async def unwatch() -> None:
        watchdog.unwatch()

    config = uvicorn.Config(
        ASGIAdapter(app), log_level="error", access_log=False, timeout_keep_alive=3600
    )
    uvicorn.Server(config).run([listener])


class Server:
    """A process that serves one application, and the connections to it."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            handle = str(listener.fileno())
            command = [sys.executable, __file__, "--serve", name, handle]
            process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()])
            stack.callback(process.wait)
            stack.callback(process.terminate)
            self._connections = [
                Connection(listener.getsockname(), stack) for _ in range(CONNECTIONS)
            ]

    def ask(self, path: str) -> bytes:
        """Return the content of an answer."""
        self._connections[0].send(path)
        return self._connections[0].content()

    def turn(self, before: str | None) -> float:
        """Return the seconds of processor time that a batch of requests takes."""
        if before is not None:
            self.ask(before)
            sleep(SETTLE_SECONDS)
        started = float(self.ask("/cpu"))
        for _ in range(REQUESTS // CONNECTIONS):
            for connection in self._connections:
                connection.send("/items")
            for connection in self._connections:
                connection.content()
        return float(self.ask("/cpu")) - started


class Connection:
    """A connection that is kept alive, with one request under way at most."""

    def __init__(self, address: tuple[str, int], stack: ExitStack) -> None:
        self._socket = stack.enter_context(socket.create_connection(address))
        self._replies = stack.enter_context(self._socket.makefile("rb"))

    def send(self, path: str) -> None:
        """Send a request."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    def content(self) -> bytes:
        """Read an answer and return its content."""
        status, *fields = iter(self._line, b"\r\n")
        if status.split()[1] not in {b"200", b"204"}:
            sys.exit(f"the server answers {status.decode().strip()}")
        lengths = [field for field in fields if field.lower().startswith(b"content-length:")]
        return self._replies.read(int(lengths[0].split(b":")[1])) if lengths else b""

    def _line(self) -> bytes:
        line = self._replies.readline()
        return line or sys.exit("a server has closed its connection: its own words say why")


def seconds_of_turns(lot: Random) -> dict[str, float]:
    """Return what fresh processes took in the middle one of their turns, in seconds."""
    with ExitStack() as stack:
        os.sched_setaffinity(0, {lot.choice(CORES)})
        servers = {name: Server(name, stack) for name in SERVERS}
        os.sched_setaffinity(0, CORES)
        taken: dict[str, list[float]] = {turn: [] for turn in TURNS}
        for number in range(1 + ROUNDS):
            order = lot.sample(list(TURNS), len(TURNS))
            for turn in (*order, *reversed(order)):
                seconds = servers[TURNS[turn]].turn(BEFORE.get(turn))
                if number:  # the first round warms up
                    taken[turn].append(seconds)
        return {turn: median(seconds) for turn, seconds in taken.items()}


def _figure(name: str, sets: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the ratio of two throughputs, and what is to be left of it if that is said."""
    base, head, goal = COMPARED[name]
    ratios = [taken[base] / taken[head] for taken in sets]
    interval = signed_rank_interval([math.log(ratio) for ratio in ratios], CONFIDENCE)
    bounds = {bound: math.exp(value) for bound, value in interval._asdict().items()}
    return {"figure": name, **bounds, "goal": goal, "of_sets": ratios}


def main(count: int = SETS) -> None:
    """Measure everything, and write the report."""
    if count < needed_samples(CONFIDENCE):
        sys.exit(f"SETS={count} is too few: give at least {needed_samples(CONFIDENCE)}")
    environment, lot, sets = facts(), Random(count), []
    for number in range(count):
        sets.append(seconds_of_turns(lot))
        print(f"overhead: {number + 1} of {count} sets of processes", file=sys.stderr, flush=True)
    report: dict[str, Any] = {
        "command": f"make overhead SETS={count}",
        "environment": environment,
        "requests_in_a_turn": REQUESTS,
        "turns_of_each": 2 * ROUNDS,
        "connections": CONNECTIONS,
        "confidence": CONFIDENCE,
        "figures": [_figure(name, sets) for name in COMPARED],
    }
    for row in report["figures"]:
        print(f"{row['figure']}: {row['estimate']:.4f} ({row['low']:.4f} to {row['high']:.4f})")
    REPORT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], socket.socket(fileno=int(sys.argv[3])))
    else:
        main(*map(int, sys.argv[1:]))
