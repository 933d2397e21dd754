"""Starts servers as processes of their own: uvicorn, Hypercorn, gunicorn, nginx, Celery.

What is served is the name of a file and an attribute of it, ``app`` if nothing else is said: each
process of a server imports it anew. All processes end with the block that started them, and with
the process that the block runs in, however that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from perfkit.errors import PerfkitError
from perfkit.processes import ProcessGroup, last_words, program
from perfkit.scrape import fetch
from perfkit.server import HOST, choose_port, ending
from perfkit.usage import cpu_seconds

READY_SECONDS = 30.0
LOOK_SECONDS = 0.02
END_SECONDS = 0.001
PORT, FOLDER = "{port}", "{folder}"
"""Stand in commands, and in the files that they read, for a free port and for a folder."""

_NGINX_FILE = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ {location} }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Launched:
    """A running server: where it answers, and its first process, which may have started more."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def host(self) -> str:
        """The address on which it listens."""
        return HOST

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def get(self, path: str) -> str:
        """Return what a GET is answered with, on a connection of its own.

        Raises:
            PerfkitError: There was no answer, or it was no 200.
        """
        answer = fetch(f"{self.url}{path}")
        if answer is None or answer[0] != 200:
            raise PerfkitError(f"GET {path}: {answer[0] if answer else 'no answer'}")
        return answer[1]

    def pids(self) -> list[int]:
        """Return the numbers of all its processes."""
        return [process.pid for process in self._processes()]

    def _processes(self) -> list[psutil.Process]:
        if self.process.poll() is not None:
            return []
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def kill(self, group: ProcessGroup) -> None:
        """End all its processes, which *group* started, and wait until they have ended.

        At once, as some servers take seconds to end in order and nothing of that is measured.
        """
        processes = self._processes()
        group.kill()
        self.process.wait()
        deadline = time.monotonic() + READY_SECONDS
        while not all(map(_ended, processes[1:])) and time.monotonic() < deadline:
            time.sleep(END_SECONDS)

    def workers(self) -> list[int]:
        """Return the numbers of the workers that uvicorn has started."""
        return [
            process.pid
            for process in self._processes()[1:]
            if any("spawn_main" in word for word in process.cmdline())
        ]

    def each_worker(self, count: int) -> Iterator[int]:
        """Yield each of *count* workers while it alone answers, as all others are stopped.

        Left to themselves they share out connections so unevenly that one may get none.
        """
        self.wait_until(lambda: len(self.workers()) == count)
        for worker in self.workers():
            others = [other for other in self.workers() if other != worker]
            for other in others:
                os.kill(other, signal.SIGSTOP)
            try:
                self.wait_until(self.answers)
                yield worker
            finally:
                for other in others:
                    os.kill(other, signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """Return the CPU time that all its processes have used so far."""
        return sum(map(cpu_seconds, self.pids()))

    def death(self) -> str | None:
        """Say how it ended, and its last words; None while it runs."""
        status = self.process.poll()
        return None if status is None else f"{ending(status)}: {last_words(self.log)}"

    def wait_until(self, ready: Callable[[], bool], *, or_end: bool = False) -> None:
        """Return once *ready* says so; with *or_end* also once the server has ended.

        Raises:
            PerfkitError: The server ended before, or half a minute has passed.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            death = self.death()
            if death is not None and or_end:
                return
            if death is not None:
                raise PerfkitError(f"the server died ({death})")
            if time.monotonic() > deadline:
                words = last_words(self.log)
                raise PerfkitError(f"the server was not ready in {READY_SECONDS:.0f} s: {words}")
            time.sleep(LOOK_SECONDS)

    def answers(self) -> bool:
        """Return whether it answers at all; a proxy before servers that do not answers 502."""
        answer = fetch(self.url)
        return answer is not None and answer[0] != 502


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts servers on *cores*, all that the run may use, or None where nothing can be pinned.

    ``apart`` leaves the core of the process that asks to it, if there is another.
    """

    cores: Sequence[int] | None

    @contextmanager
    def program(
        self,
        command: Sequence[str],
        *,
        files: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        apart: bool = True,
    ) -> Iterator[Launched]:
        """Yield what *command* started, at once.

        *files* are texts by their names, in a temporary folder. ``{port}`` and ``{folder}`` are
        filled in here and there.
        """
        port = choose_port(None)
        with TemporaryDirectory(prefix="perfkit-") as name, ProcessGroup() as group:
            folder = Path(name)
            # The processes of a server that root starts may belong to others.
            folder.chmod(0o755)

            def filled(text: str) -> str:
                return text.replace(PORT, str(port)).replace(FOLDER, name)

            for file, text in (files or {}).items():
                (folder / file).write_text(filled(text))
            process = group.start(
                [filled(word) for word in command],
                folder / "log",
                env=variables,
                cores=self._cores(apart),
            )
            server = Launched(process, port, folder / "log")
            try:
                yield server
            finally:
                server.kill(group)

    @contextmanager
    def serving(
        self,
        module: str,
        options: str,
        file: str,
        *,
        files: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        apart: bool = True,
    ) -> Iterator[Launched]:
        """Yield what ``python -m module options`` started, once it answers."""
        command = [sys.executable, "-m", module, *options.split()]
        with self.program(
            command, files=files, variables=importing(file, variables), apart=apart
        ) as server:
            server.wait_until(server.answers)
            yield server

    @contextmanager
    def uvicorn(
        self,
        file: str,
        options: str = "--log-level error --no-access-log",
        *,
        name: str = "app",
        variables: Mapping[str, str] | None = None,
        apart: bool = True,
    ) -> Iterator[Launched]:
        """Yield uvicorn that serves *file*, with *options* of its command line."""
        line = f"{target(file, name)} --port {PORT} {options}"
        with self.serving("uvicorn", line, file, variables=variables, apart=apart) as server:
            yield server

    @contextmanager
    def hypercorn(self, file: str, settings: str = "", *, apart: bool = True) -> Iterator[Launched]:
        """Yield Hypercorn that serves *file*, with *settings*, TOML."""
        line = f"--bind {HOST}:{PORT} --config {FOLDER}/settings.toml {target(file)}"
        with self.serving(
            "hypercorn", line, file, files={"settings.toml": settings}, apart=apart
        ) as server:
            yield server

    @contextmanager
    def gunicorn(
        self, file: str, options: str = "", *, settings: str = "", apart: bool = True
    ) -> Iterator[Launched]:
        """Yield gunicorn with uvicorn's worker that serves *file*, with *settings*, Python."""
        line = f"--bind {HOST}:{PORT} --config {FOLDER}/settings.py {options} {target(file)}"
        text = f'worker_class = "uvicorn_worker.UvicornWorker"\n{settings}'
        with self.serving(
            "gunicorn", line, file, files={"settings.py": text}, apart=apart
        ) as server:
            yield server

    @contextmanager
    def nginx(self, location: str, http: str = "", *, apart: bool = True) -> Iterator[Launched]:
        """Yield nginx, of one worker, with what stands in its only *location* and in *http*."""
        nginx = program("nginx")
        assert nginx
        text = _NGINX_FILE.format(folder=FOLDER, port=PORT, http=http, location=location)
        command = [nginx, "-p", FOLDER, "-c", f"{FOLDER}/nginx.conf", "-e", "stderr"]
        with self.program(command, files={"nginx.conf": text}, apart=apart) as server:
            server.wait_until(server.answers)
            yield server

    @contextmanager
    def celery(
        self, file: str, name: str = "tasks", *, variables: Mapping[str, str] | None = None
    ) -> Iterator[Launched]:
        """Yield a Celery worker that works off the tasks of *file*, once it is ready."""
        options = "--pool solo --loglevel INFO --without-gossip --without-mingle"
        command = [
            sys.executable, "-m", "celery", "--app", target(file, name), "worker",
            *options.split(),
        ]  # fmt: skip
        with self.program(command, variables=importing(file, variables)) as worker:
            worker.wait_until(lambda: " ready." in worker.log.read_text(errors="replace"))
            yield worker

    def _cores(self, apart: bool) -> Sequence[int] | None:
        if self.cores is None or not apart:
            return self.cores
        return [core for core in self.cores if core not in os.sched_getaffinity(0)] or self.cores


def _ended(process: psutil.Process) -> bool:
    """Return whether it runs no more.

    Its number may live on for seconds, until whoever inherited it asks how it ended; ports and
    memory are free by then.
    """
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def target(file: str, name: str = "app") -> str:
    """Return the import string of what *file* holds by that *name*."""
    return f"{Path(file).stem}:{name}"


def importing(file: str, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return *variables* with a path on which Python finds *file*, and all that we find."""
    path = [str(Path(file).parent.absolute()), *(str(Path(entry).absolute()) for entry in sys.path)]
    return {**(variables or {}), "PYTHONPATH": os.pathsep.join(path)}
