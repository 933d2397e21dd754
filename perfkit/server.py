"""The server under test: uvicorn as a process of its own, ready before the load begins."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import PerfkitError
from perfkit.processes import Placement, ProcessGroup, last_words
from perfkit.scrape import fetch

HOST = "127.0.0.1"
READY_WITHIN_S = 60.0


class PortInUseError(PerfkitError):
    """Another process listens on the port that was asked for."""


class ServerNotReadyError(PerfkitError):
    """The server ended, or did not answer, before the load began."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; *process* supervises the workers where there are several."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def death(self) -> str | None:
        """Say how the server ended, or return None while it runs."""
        status = self.process.poll()
        return None if status is None else f"the server died ({ending(status)})"


def ending(status: int) -> str:
    """Return an exit status in words."""
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def choose_port(port: int | None) -> int:
    """Return *port* if it is free, or any free port for None.

    Raises:
        PortInUseError: Something listens there already, or it may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port or 0))
        except OSError as error:
            raise PortInUseError(
                f"cannot use port {port} of {HOST}: {error.strerror}; choose another --port, "
                "or none for a free one"
            ) from error
        return int(probe.getsockname()[1])


def start_server(
    group: ProcessGroup,
    app: str,
    port: int,
    log: Path,
    *,
    workers: int,
    placement: Placement,
    env: Mapping[str, str],
) -> Server:
    """Start uvicorn for *app*, ``module:attribute``, without waiting for it."""
    command = [
        sys.executable, "-m", "uvicorn", app, "--host", HOST, "--port", str(port),
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
        "--workers", str(workers),
    ]  # fmt: skip
    process = group.start(command, log, env=env, cores=placement.server)
    return Server(process, f"http://{HOST}:{port}", log)


def wait_until_ready(server: Server, within_s: float = READY_WITHIN_S) -> None:
    """Return once ``/health`` answers; without such a route any answer below 500 will do.

    Raises:
        ServerNotReadyError: The server ended, or time is up.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        death = server.death()
        if death is not None:
            raise ServerNotReadyError(
                f"{death} before it was ready: {last_words(server.log)} (log: {server.log})"
            )
        answer = fetch(f"{server.url}/health")
        if answer is not None and answer[0] < 500:
            return
        time.sleep(0.05)
    raise ServerNotReadyError(
        f"the server did not answer {server.url}/health within {within_s:.0f} s (log: {server.log})"
    )
