"""Starts PostgreSQL and Redis for a process, and ends them when that does, however it ends.

`perfkit.services` runs this as a child in a session of its own. The order comes as a line of JSON
on stdin; the answer on stdout is a line of JSON too: an error, or the folder and the URLs by the
names in `perfkit.services.Services`. The servers live until stdin ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from perfkit.errors import MissingExtraError, PerfkitError

HOST = "127.0.0.1"
ROLE = "perfkit"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
ASK_SECONDS = 5
PORT_ATTEMPTS = 5
ADDRESS_IN_USE = "Address already in use"

POSTGRES_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # A checkpoint in the middle of a run would disturb what is measured.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
}


@dataclass(frozen=True)
class Order:
    """What an owner asks of its supervisor; "" stands for a program that is not wanted."""

    owner: int
    postgres: str
    postgres_port: int | None
    database: str
    redis: str
    redis_port: int | None


def ask_postgres(url: str, statement: str = "SELECT 1") -> tuple[object, ...] | None:
    """Run one statement on a connection of its own and return the first row, if any.

    Raises:
        ConnectionError: Why it failed, in one line.
    """
    package_folder("psycopg2")
    import psycopg2

    try:
        with closing(psycopg2.connect(url, connect_timeout=ASK_SECONDS)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone() if cursor.description else None
    except psycopg2.Error as error:
        raise ConnectionError(str(error).strip().partition("\n")[0]) from error


def ask_redis(url: str, *words: str) -> Any:
    """Send one command, PING by default, on a connection of its own and return the answer.

    Raises:
        ConnectionError: Why it failed, in one line.
    """
    package_folder("redis")
    import redis

    try:
        with redis.Redis.from_url(
            url, retry=None, socket_timeout=ASK_SECONDS, socket_connect_timeout=ASK_SECONDS
        ) as client:
            return client.execute_command(*(words or ["PING"]))
    except (redis.RedisError, ValueError) as error:
        raise ConnectionError(str(error).strip().partition("\n")[0]) from error


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("perfkit.services", name, "services")
    return Path(spec.submodule_search_locations[0])


def remove(folder: Path) -> None:
    """Remove *folder*, though a server that was just killed may still write to it."""
    deadline = time.monotonic() + STOP_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


class _OwnerGoneError(Exception):
    """The process that wanted the services has ended, or no longer wants them."""


def supervise() -> None:
    """Run as the supervisor: carry out the order on stdin until that ends."""
    line = sys.stdin.readline()
    if not line:
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _Supervisor(Order(**json.loads(line))) as supervisor:
            urls = supervisor.start()
            _tell({"folder": str(supervisor.folder), "services": urls})
            while True:
                supervisor.pause(0.5)
    except (_OwnerGoneError, KeyboardInterrupt):
        pass
    except PerfkitError as error:
        _tell({"error": str(error)})
    except OSError as error:
        _tell({"error": f"cannot start the services: {error}"})


def _tell(answer: dict[str, object]) -> None:
    """Write *answer* for the owner, who may have gone meanwhile."""
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")


@dataclass(frozen=True)
class _Server:
    """A server as the supervisor starts it.

    Attributes:
        port: The only one that will do; None is any.
        arguments: The command line for a port.
        answers: Whether what answers at a port is the process of this id, and nobody else's;
            ConnectionError when nothing answers.
        quit_signal: What ends it quickly and in order.
    """

    name: str
    port: int | None
    arguments: Callable[[int], list[str]]
    answers: Callable[[int, int], bool]
    quit_signal: signal.Signals


class _Supervisor:
    """Starts servers within one temporary folder, and takes all of it away again."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.account = _unprivileged_account() if os.geteuid() == 0 else None
        folder = tempfile.mkdtemp(prefix="perfkit-services-", dir=_temporary_root())
        self.folder = Path(folder).resolve()
        self.data = self.folder / "postgres"
        self.children: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """End the servers and remove their folder."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process, quit_signal in self.children:
            process.send_signal(quit_signal)
        for process, _ in self.children:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        remove(self.folder)

    def start(self) -> dict[str, str]:
        """Start what the order names; return the URLs once everything answers."""
        self._hand_over(self.folder)
        # PostgreSQL's preparation takes longest: the rest happens beside it.
        program = preparation = None
        if self.order.postgres:
            program = self._within_reach(Path(self.order.postgres))
            preparation = self._spawn(self._initdb(program), "initdb", signal.SIGTERM)
        urls = {}
        if self.order.redis:
            port = self._serve(self._redis(self._within_reach(Path(self.order.redis))))
            urls["redis_url"] = f"redis://{HOST}:{port}/0"
        if program and preparation:
            self._wait(lambda: preparation.poll() is not None, "initdb")
            if preparation.returncode:
                raise self._failure("initdb", "failed")
            port = self._serve(self._postgres(program))
            self._create_database(port)
            urls["postgres_url"] = _postgres_url(port, self.order.database)
        return urls

    def pause(self, seconds: float) -> None:
        """Let time pass, unless the owner is gone.

        A child that the owner forked may hold the pipe open, hence the look at the parent.
        """
        ended, _, _ = select.select([sys.stdin], [], [], seconds)
        if ended or os.getppid() != self.order.owner:
            raise _OwnerGoneError

    def _initdb(self, program: Path) -> list[str]:
        return [
            str(program.with_name("initdb")),
            *("--pgdata", str(self.data), "--username", ROLE, "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        ]

    def _postgres(self, program: Path) -> _Server:
        settings = [f"--{name}={value}" for name, value in POSTGRES_SETTINGS.items()]

        def arguments(port: int) -> list[str]:
            return [str(program), "-D", str(self.data), "-p", str(port), *settings]

        def answers(port: int, _: int) -> bool:
            question = "SELECT current_setting('data_directory')"
            return ask_postgres(_postgres_url(port, "postgres"), question) == (str(self.data),)

        # SIGQUIT ends it without a checkpoint of what is thrown away in a moment.
        return _Server("PostgreSQL", self.order.postgres_port, arguments, answers, signal.SIGQUIT)

    def _redis(self, program: Path) -> _Server:
        def arguments(port: int) -> list[str]:
            return [
                str(program),
                *("--port", str(port), "--bind", HOST, "--dir", str(self.folder)),
                *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
            ]

        def answers(port: int, process_id: int) -> bool:
            about = ask_redis(f"redis://{HOST}:{port}/0", "INFO", "server")
            return bool(about["process_id"] == process_id)

        return _Server("Redis", self.order.redis_port, arguments, answers, signal.SIGTERM)

    def _create_database(self, port: int) -> None:
        name = self.order.database
        statement = 'CREATE DATABASE "{}"'.format(name.replace('"', '""'))
        try:
            ask_postgres(_postgres_url(port, "postgres"), statement)
        except ConnectionError as error:
            raise PerfkitError(f'no database "{name}": {error}; choose another name') from error

    def _serve(self, server: _Server) -> int:
        """Start *server* and return its port once it answers there."""
        for _ in range(1 if server.port else PORT_ATTEMPTS):
            port = _available_port(server.port)
            if port and self._serves_at(server, port):
                return port
        raise PerfkitError(
            f"{server.name} cannot listen on {HOST}:{server.port or port}, which is in use: "
            "stop what listens there, or choose another port"
        )

    def _serves_at(self, server: _Server, port: int) -> bool:
        """Start *server*; False says that somebody else has the port."""
        process = self._spawn(server.arguments(port), server.name, server.quit_signal)

        def settled() -> bool:
            try:
                return process.poll() is not None or server.answers(port, process.pid)
            except ConnectionError:
                return False

        self._wait(settled, server.name)
        if process.returncode is None:
            return True
        if ADDRESS_IN_USE in self._log(server.name).read_text(errors="replace"):
            return False
        raise self._failure(server.name, "did not start")

    def _wait(self, done: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise self._failure(name, f"was not ready within {START_SECONDS:.0f} s")
            self.pause(0.02)

    def _spawn(
        self, arguments: list[str], name: str, quit_signal: signal.Signals
    ) -> subprocess.Popen[bytes]:
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                user=self.account.pw_uid if self.account else None,
                group=self.account.pw_gid if self.account else None,
                extra_groups=[] if self.account else None,
                preexec_fn=_end_with_parent(quit_signal),
            )
        self.children.append((process, quit_signal))
        return process

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _failure(self, name: str, what: str) -> PerfkitError:
        """Return an error with the last line of a log that tells of a mishap, else the last."""
        text = self._log(name).read_text(errors="replace")
        lines = text.strip().splitlines() or ["it logged nothing"]
        telling = [line for line in lines if re.search("(?i)could not|error|fatal", line)]
        return PerfkitError(f"{name} {what}: {(telling or lines)[-1]}")

    def _within_reach(self, program: Path) -> Path:
        """Return *program*, or a copy of it where the unprivileged account may run it."""
        if self.account is None or _open_to_all(program.resolve()):
            return program
        package = next(folder for folder in program.parents if (folder / "__init__.py").exists())
        unused = [each.name for each in package.glob("pginstall*") if each not in program.parents]
        wheels = self.folder / "wheels"
        # Programs find their libraries by relative paths, so each keeps its place.
        for source in filter(Path.exists, (package, package.with_name(f"{package.name}.libs"))):
            ignored = shutil.ignore_patterns("include", "*.a", *unused)
            shutil.copytree(source, wheels / source.name, ignore=ignored)
        self._hand_over(wheels, *wheels.rglob("*"))
        return wheels / program.relative_to(package.parent)

    def _hand_over(self, *paths: Path) -> None:
        """Make the unprivileged account the owner of *paths*."""
        if self.account:
            for path in paths:
                os.chown(path, self.account.pw_uid, self.account.pw_gid, follow_symlinks=False)


def _unprivileged_account() -> pwd.struct_passwd:
    """Return whom root's servers run as: PostgreSQL refuses root, and Redis deserves no less.

    It must have a name, for initdb looks that up.
    """
    accounts = [account for account in pwd.getpwall() if account.pw_uid]
    if not accounts:
        raise PerfkitError("PostgreSQL refuses to run as root: add an ordinary user")
    return min(accounts, key=lambda account: (account.pw_name != "nobody", account.pw_uid))


def _temporary_root() -> str:
    """Return a folder for temporary files, when we are root one that others can reach."""
    usual = tempfile.gettempdir()
    return usual if os.geteuid() or _open_to_all(Path(usual).resolve()) else "/tmp"


def _open_to_all(path: Path) -> bool:
    """Whether everybody may enter the folders down to *path*, and *path* or run it."""
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def _postgres_url(port: int, database: str) -> str:
    return f"postgresql://{ROLE}@{HOST}:{port}/{quote(database, safe='')}"


def _available_port(wanted: int | None) -> int | None:
    """Return *wanted*, or any port, when nobody listens there; else None."""
    try:
        with socket.create_server((HOST, wanted or 0)) as probe:
            return int(probe.getsockname()[1])
    except PermissionError:
        return wanted  # the log of the server will tell
    except OSError:
        return None


def _end_with_parent(quit_signal: signal.Signals) -> Callable[[], object] | None:
    """Return what a child does before it runs its program, to get a signal when its parent dies.

    Only Linux offers that; elsewhere servers outlive a supervisor that is killed.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    set_parent_death_signal = 1
    return lambda: prctl(set_parent_death_signal, quit_signal)
