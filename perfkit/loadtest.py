"""``python -m perfkit loadtest``: one command from nothing to a judged report.

    runner ──┬── server (uvicorn, its own core) ── PostgreSQL, Redis
             ├── load generator (Locust, another core), or a master and its workers
             └── guard, which ends those two should the runner be killed

Exit status: 0 within budget, 3 budget broken, 2 void, 1 error; the last line says why.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from perfkit.budgets import Budget, judge, read_budgets
from perfkit.drive import Driven, Driver, scenario_classes
from perfkit.errors import PerfkitError
from perfkit.exporter import FOLDER_VARIABLE
from perfkit.machine import facts
from perfkit.options import REPORTS, Options, add_options, read_options
from perfkit.processes import Placement, ProcessGroup, pinned, place, usable_cores
from perfkit.report import Report, errors, route_rows, table, write
from perfkit.scrape import Scraper, fetch
from perfkit.server import Server, choose_port, start_server, wait_until_ready
from perfkit.services import POSTGRES_VARIABLE, REDIS_VARIABLE, start_services
from perfkit.verdict import ERROR, VOID, Circumstances, Verdict, conclude


class InterruptedRunError(BaseException):
    """A signal came before the load began."""


class Signals:
    """SIGINT and SIGTERM: the first one ends the run in order, the second at once."""

    def __init__(self) -> None:
        self.received: str | None = None
        self.group: ProcessGroup | None = None
        # While the load runs and the report is written, whoever asks finds `received`.
        self.deferred = False

    def install(self) -> None:
        """Handle both signals from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number).name
            if self.deferred:
                return
            raise InterruptedRunError(self.received)
        # The services end by themselves when this process is gone.
        if self.group is not None:
            with suppress(OSError):
                self.group.kill()
        os.write(1, b"void: interrupted twice, so no report was finished\n")
        os._exit(VOID)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_options(parser)


def command(arguments: argparse.Namespace) -> int:
    """Run a load test and return the exit status; the last line says why."""
    signals = Signals()
    signals.install()
    try:
        verdict, page = run(read_options(arguments), signals)
        print(f"{verdict.text}; report at {page}", flush=True)
    except InterruptedRunError as received:
        print(f"void: interrupted by {received} before the load began", flush=True)
        return VOID
    except (PerfkitError, OSError) as error:
        print(f"error: {error}", flush=True)
        return ERROR
    return verdict.status


@dataclass(frozen=True, slots=True)
class Target:
    """What the load is aimed at; *server* is None where it is not ours."""

    url: str
    server: Server | None
    placement: Placement
    services: str


def run(options: Options, signals: Signals) -> tuple[Verdict, Path]:
    """Run a load test and return its verdict and the page that tells about it."""
    budgets = [] if options.budgets is None else read_budgets(options.budgets)
    classes = scenario_classes(options.locustfile, options.scenarios)
    if options.host is not None and fetch(f"{options.host}/health") is None:
        raise PerfkitError(f"--host {options.host}: nothing answers there; is the server running?")
    if options.host is None:
        choose_port(options.port)
    started_at = datetime.now(UTC)
    about = facts()
    folder = report_folder(options.output, started_at)
    try:
        with ExitStack() as stack:
            target = prepare(options, folder, stack, signals)
            signals.deferred = True
            driven, scraper = drive(options, target, list(classes.values()), folder, signals)
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise
    report = summarise(options, classes, budgets, driven, scraper, target, started_at, about)
    write(report, folder)
    print(table(report.rows))
    for note in report.notes:
        print(note)
    for route, text, count in errors(driven.results)[:5]:
        print(f"failed {count} times: {route}: {text}")
    return report.verdict, folder / "index.html"


def report_folder(wanted: Path | None, started_at: datetime) -> Path:
    """Make the folder of this run's report, which no other run uses."""
    folder = wanted or REPORTS / started_at.strftime("%Y%m%dT%H%M%SZ")
    attempt = 1
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=wanted is not None)
        except FileExistsError:
            attempt += 1
            folder = folder.with_name(f"{started_at:%Y%m%dT%H%M%SZ}-{attempt}")
            continue
        return folder


def prepare(options: Options, folder: Path, stack: ExitStack, signals: Signals) -> Target:
    """Start everything that the load needs; *stack* ends it."""
    env: dict[str, str] = {}
    services = "none started"
    if options.services:
        tell("starting PostgreSQL and Redis")
        running = stack.enter_context(start_services())
        env = {POSTGRES_VARIABLE: running.postgres_url, REDIS_VARIABLE: running.redis_url}
        services = "PostgreSQL and Redis on this machine, pinned to no core"
    group = stack.enter_context(ProcessGroup())
    signals.group = group
    if options.host is not None:
        note = "not pinned: the server was running already"
        return Target(options.host, None, Placement(None, None, note), services)
    if options.seed is not None:
        seed(group, options.seed, env)
    if options.workers > 1:
        shared = stack.enter_context(tempfile.TemporaryDirectory(prefix="perfkit-metrics-"))
        env[FOLDER_VARIABLE] = shared
    placement = place(options.workers, usable_cores())
    server = start_server(
        group,
        options.app,
        choose_port(options.port),
        folder / "server.log",
        workers=options.workers,
        placement=placement,
        env=env,
    )
    wait_until_ready(server)
    tell(f"{options.app} serves at {server.url}; {placement.note}")
    return Target(server.url, server, placement, services)


def seed(group: ProcessGroup, module: str, env: dict[str, str]) -> None:
    """Prepare the data; what *module* prints is shown as it comes."""
    tell(f"preparing the data with {module}")
    status = group.start([sys.executable, "-m", module], None, env=env).wait()
    if status:
        raise PerfkitError(f"preparing the data failed: python -m {module} ended with {status}")


def drive(
    options: Options, target: Target, classes: list[str], folder: Path, signals: Signals
) -> tuple[Driven, Scraper]:
    """Run the load, and read the server's own figures meanwhile."""
    cores = target.placement.generator
    load = f"{options.users} users" + (f", {options.rate:g} requests/s" if options.rate else "")
    tell(f"{options.duration_s} s with {load}: {', '.join(classes)}")
    if options.bind is not None:
        tell(
            f"waiting for {options.distributed} workers; on each machine run: python -m "
            f"perfkit.generator -f {options.locustfile} --worker --master-host {options.bind}"
        )
    with pinned(cores):
        scraper = Scraper(f"{target.url}/metrics")
        scraper.start()
        driver = Driver(group_of(signals), options, target.server, folder, lambda: signals.received)
        try:
            return driver.run(target.url, classes, cores), scraper
        finally:
            scraper.finish()


def group_of(signals: Signals) -> ProcessGroup:
    """Return the group that `prepare` started."""
    assert signals.group is not None
    return signals.group


def summarise(
    options: Options,
    classes: dict[str, str],
    budgets: list[Budget],
    driven: Driven,
    scraper: Scraper,
    target: Target,
    started_at: datetime,
    about: dict[str, str],
) -> Report:
    """Turn what was measured into a report with its verdict."""
    rows = route_rows(driven.results, scraper.observed)
    measured = {row.route: row.figures() for row in rows if row.requests}
    findings = judge(budgets, measured, partial=bool(options.scenarios))
    circumstances = Circumstances(
        stopped=driven.stopped,
        rate=options.rate,
        users=options.users,
        server=driven.server_usage,
        server_cores=len(target.placement.server or (0,)),
    )
    began = driven.began or 0.0
    return Report(
        started_at=started_at,
        command=shlex.join(["python", "-m", "perfkit", *sys.argv[1:]]),
        rows=rows,
        results=driven.results,
        findings=findings,
        verdict=conclude(driven.results, findings, circumstances),
        open_loop=options.rate is not None,
        server_seconds=[(second.monotonic - began, second) for second in scraper.seconds],
        options={**plain(options), "scenarios": sorted(classes)},
        facts={
            **load_facts(options, classes, target, driven),
            **about,
        },
    )


def load_facts(
    options: Options, classes: dict[str, str], target: Target, driven: Driven
) -> dict[str, str]:
    """Return what was run and where, as pairs of name and text."""
    model = (
        f"closed loop, {options.users} users"
        if options.rate is None
        else f"open loop, {options.rate:g} requests per second, at most {options.users} open"
    )
    generators = f"{options.distributed} load workers" if options.distributed else "one process"
    generators += f" on machines connected to {options.bind}" if options.bind else ""
    busy = [usage.wanted for usage in driven.server_usage]
    return {
        "load": f"{model}, {options.duration_s} s; {generators}",
        "scenarios": ", ".join(sorted(classes)),
        "server": f"{options.app}, {options.workers} worker" + "s" * (options.workers > 1)
        if target.server
        else target.url,
        "cores": target.placement.note,
        "services": target.services,
        "server busy": f"{sum(busy) / len(busy) * 100:.0f} % of one core" if busy else "unknown",
        "generator busy": generator_busy(driven),
    }


def generator_busy(driven: Driven) -> str:
    """Return the share of a core that the busiest generator wanted, on average."""
    shares = [
        [gauges.cpu + gauges.waiting for gauges in log.gauges.values()]
        for log in driven.results.generators.values()
    ]
    means = [sum(each) / len(each) for each in shares]
    return f"{max(means) * 100:.0f} % of one core" if means else "unknown"


def plain(options: Options) -> dict[str, Any]:
    """Return the options as JSON can hold them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(options).items()
    }


def tell(text: str) -> None:
    """Say on standard error what is going on."""
    print(f"perfkit: {text}", file=sys.stderr, flush=True)
