"""Runs the load generators and gathers what they report, until they end or are stopped."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from perfkit.errors import PerfkitError
from perfkit.options import Options
from perfkit.processes import ProcessGroup, last_words
from perfkit.report import number
from perfkit.results import Results
from perfkit.samples import read_line
from perfkit.server import Server, choose_port, ending
from perfkit.usage import ProcessUsage, Usage

GENERATOR = (sys.executable, "-m", "perfkit.generator")
SAMPLES_FD = "PERFKIT_SAMPLES_FD"
POLL_S = 0.25
# Open requests get this long to end, so that client and server count the same ones.
STOP_TIMEOUT_S = 5
KILL_AFTER_S = 15
OVERDUE_S = 60
LOCAL_WORKERS_S = 60
REMOTE_WORKERS_S = 600
# Where Locust's workers look for their master unless told otherwise.
REMOTE_MASTER_PORT = 5557
# A longer run shows every second second.
EVERY_SECOND_UP_TO_S = 60


class ScenarioError(PerfkitError):
    """A scenario that the locustfile does not have, or a locustfile that cannot be read."""


class GeneratorError(PerfkitError):
    """The load generator ended before it made a request."""


def scenario_classes(locustfile: Path, wanted: tuple[str, ...]) -> dict[str, str]:
    """Return the names of user classes by scenario: those *wanted*, or all if none is named.

    Raises:
        ScenarioError: One of them does not exist, or the locustfile cannot be imported.
    """
    listing = subprocess.run(
        [*GENERATOR, "--scenarios", str(locustfile)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode:
        why = (listing.stderr.strip() or "no reason given").splitlines()[-1]
        raise ScenarioError(f"cannot read {locustfile}: {why}")
    known: dict[str, str] = json.loads(listing.stdout.splitlines()[-1])
    if not known:
        raise ScenarioError(f"{locustfile} has no user class that Locust could run")
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise ScenarioError(
                f'unknown scenario "{name}": {hint}there are {", ".join(sorted(known))}'
            )
    return {name: known[name] for name in wanted or sorted(known)}


def generator_commands(
    options: Options, url: str, classes: list[str], master_port: int
) -> list[list[str]]:
    """Return the commands to start: one generator, or a master and then its workers."""
    common = [*GENERATOR, "--locustfile", str(options.locustfile), "--headless"]
    common += ["--host", url, "--exit-code-on-error", "0"]
    common += [] if options.rate is None else ["--rate", str(options.rate)]
    load = [
        "--users", str(options.users), "--spawn-rate", str(options.users),
        "--run-time", f"{options.duration_s}s", "--stop-timeout", str(STOP_TIMEOUT_S),
        "--only-summary",
    ]  # fmt: skip
    if options.distributed is None:
        return [[*common, *load, *classes]]
    address, port = options.bind or "127.0.0.1", str(master_port)
    patience = REMOTE_WORKERS_S if options.bind else LOCAL_WORKERS_S
    master = ["--master", "--master-bind-host", address, "--master-bind-port", port]
    master += ["--expect-workers", str(options.distributed)]
    master += ["--expect-workers-max-wait", str(patience)]
    commands = [[*common, *load, *master, *classes]]
    if options.bind is None:
        worker = ["--worker", "--master-host", address, "--master-port", port]
        commands += [[*common, *worker, *classes]] * options.distributed
    return commands


@dataclass(slots=True)
class Driven:
    """What came of it; *stopped* is why it ended before its time, if it did."""

    results: Results = field(default_factory=Results)
    server_usage: list[Usage] = field(default_factory=list)
    began: float | None = None
    stopped: str | None = None


class Driver:
    """Starts the generators and listens to them; `interruption` may ask to stop."""

    def __init__(
        self,
        group: ProcessGroup,
        options: Options,
        server: Server | None,
        folder: Path,
        interruption: Callable[[], str | None],
    ) -> None:
        self._group = group
        self._options = options
        self._server = server
        self._log = folder / "generator.log"
        self._interruption = interruption
        self._driven = Driven()
        self._generators: list[subprocess.Popen[bytes]] = []
        self._buffer = b""
        self._last_tick = 0.0
        self._shown = -1
        self._kill_at: float | None = None
        self._usage = (
            None if server is None else ProcessUsage(server.process.pid, tree=options.workers > 1)
        )

    def run(self, url: str, classes: list[str], cores: tuple[int, ...] | None) -> Driven:
        """Drive the load against *url* and return its results.

        Raises:
            GeneratorError: The generator ended before it made a request.
        """
        port = choose_port(None) if self._options.bind is None else REMOTE_MASTER_PORT
        commands = generator_commands(self._options, url, classes, port)
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as stream:
            try:
                # The first command runs or commands the load: it alone writes to the pipe.
                env = {SAMPLES_FD: str(writing)}
                first = self._group.start(
                    commands[0], self._log, env=env, cores=cores, pass_fds=[writing]
                )
            finally:
                os.close(writing)
            self._generators = [first] + [
                self._group.start(command, self._log, cores=cores) for command in commands[1:]
            ]
            self._listen(stream.fileno())
        status = first.wait(KILL_AFTER_S)
        self._driven.results.finish()
        if not self._driven.results.generators and self._driven.stopped is None:
            raise GeneratorError(
                f"the load generator did not begin ({ending(status)}): {last_words(self._log)} "
                f"(log: {self._log})"
            )
        if not self._driven.results.ended and self._driven.stopped is None:
            self._driven.stopped = f"the load generator died ({ending(status)})"
        return self._driven

    def _listen(self, descriptor: int) -> None:
        """Read until every writer has closed the pipe."""
        patience = OVERDUE_S if self._options.bind is None else OVERDUE_S + REMOTE_WORKERS_S
        latest = time.monotonic() + self._options.duration_s + KILL_AFTER_S + patience
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if selector.select(POLL_S):
                    chunk = os.read(descriptor, 1 << 20)
                    if not chunk:
                        return
                    self._feed(chunk)
                now = time.monotonic()
                self._check(now, overdue=now > latest)
                if now - self._last_tick >= 1:
                    self._last_tick = now
                    self._tick()

    def _feed(self, chunk: bytes) -> None:
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if self._driven.began is None:
                self._driven.began = time.monotonic() - 1
            self._driven.results.add(read_line(line))
            self._show_progress()

    def _check(self, now: float, *, overdue: bool) -> None:
        """Stop the load if there is a reason to."""
        if self._kill_at is not None:
            if now > self._kill_at:
                for generator in self._generators:
                    generator.kill()
            return
        reason = self._reason_to_stop(overdue)
        if reason is not None:
            elapsed = 0.0 if self._driven.began is None else now - self._driven.began
            self._driven.stopped = f"{reason} after {elapsed:.0f} s"
            self._kill_at = now + KILL_AFTER_S
            self._generators[0].terminate()

    def _reason_to_stop(self, overdue: bool) -> str | None:
        signal = self._interruption()
        if signal is not None:
            return f"interrupted by {signal}"
        if self._server is not None and (death := self._server.death()) is not None:
            return death
        if self._driven.results.ended:
            return None
        for worker in self._generators[1:]:
            if (status := worker.poll()) is not None:
                return f"a load worker died ({ending(status)})"
        return "the load generator did not end in time and was stopped" if overdue else None

    def _tick(self) -> None:
        if self._usage is not None:
            usage = self._usage.sample()
            if self._driven.began is not None:
                self._driven.server_usage.append(usage)

    def _show_progress(self) -> None:
        row = self._driven.results.latest()
        step = 1 if self._options.duration_s <= EVERY_SECOND_UP_TO_S else 2
        if row is None or row.at < self._shown + step or row.at >= self._options.duration_s:
            return
        self._shown = row.at
        failures = sum(counts.failures for counts in self._driven.results.routes.values())
        p95 = number(None if row.latency is None else row.latency.p95_ms)
        print(
            f"{row.at + 1:5d} s {row.requests:7d}/s   p95 {p95:>6} ms   {failures} failed",
            file=sys.stderr,
            flush=True,
        )
