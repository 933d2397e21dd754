"""``python -m perfkit profile``: where the requests of one route spend time, or memory.

    this process ──┬── server (uvicorn) with the application and the profiler in it
                   └── threads that ask for the route, unless the load comes from elsewhere

Exit status: 0 a profile was written, 2 void (the load failed or was none), 1 error.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode, urlsplit

from perfkit.errors import PerfkitError
from perfkit.processes import Placement, ProcessGroup, last_words, pinned, place, usable_cores
from perfkit.profilee import APP_VARIABLE, FOLDER_VARIABLE, TOKEN_VARIABLE
from perfkit.profiler import KINDS, MOST_SECONDS, PATH
from perfkit.server import Server, ServerNotReadyError, choose_port, start_server, wait_until_ready
from perfkit.usage import ProcessUsage
from perfkit.verdict import BUSY, VOID, WITHIN

FOLDER = Path("reports/profiles")
SECONDS = 5.0
CONNECTIONS = 2
MOST_CONNECTIONS = 64
GRACE_S = 60.0
"""How long writing the files may take."""


class LoadError(PerfkitError):
    """A request that the load cannot make."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to make again and again."""

    method: str
    target: str
    content: str | None = None

    @classmethod
    def parse(cls, text: str) -> Asked:
        """Read ``/items/1``, ``GET /items/1`` or ``POST /items {"name": "lamp"}``.

        Raises:
            LoadError: It is none of these.
        """
        words = text.split(None, 2)
        if words and words[0].startswith("/"):
            words = ["GET", *text.split(None, 1)]
        if len(words) < 2 or not words[1].startswith("/") or not words[0].isalpha():
            raise LoadError(
                f"--request is a path, or a method and a path and JSON content, not {text!r}: "
                '--request /items/1, --request \'POST /items {"name": "lamp"}\''
            )
        return cls(words[0].upper(), words[1], words[2] if len(words) > 2 else None)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("app", metavar="MODULE:ATTRIBUTE", help="the application, for example app:asgi_app")
    add("--route", metavar="TEMPLATE", help="only this route, such as '/items/{item_id}' (all)")
    add("--seconds", type=float, default=SECONDS, help=f"how long ({SECONDS:g})")
    add(
        "--request", dest="requests", action="append", default=[], metavar="REQUEST",
        help="what the load asks for: '/items/1', 'POST /items {\"name\": \"lamp\"}'; may be "
        "repeated (the route itself, where it has no parameters)",
    )  # fmt: skip
    add("--connections", type=int, default=CONNECTIONS, help=f"open at once ({CONNECTIONS})")
    add("--external-load", action="store_true", help="make no requests: the load is yours")
    add("--allocations", action="store_true", help="profile memory instead of time (memray)")
    add("--port", type=int, help="port of the server (a free one)")
    add("--output", type=Path, default=FOLDER, metavar="FOLDER", help=f"for the files ({FOLDER})")


def command(arguments: argparse.Namespace) -> int:
    """Take a profile, show its tree, and return the exit status; the last line says why."""
    try:
        return run(arguments)
    except KeyboardInterrupt:
        print("void: interrupted before there was a profile", flush=True)
        return VOID


def run(arguments: argparse.Namespace) -> int:
    """Take a profile of an application that is served for it.

    Raises:
        PerfkitError: An option is wrong, the application does not start, or there is no answer.
    """
    asked = _requests(arguments)
    if not 0 < arguments.seconds <= MOST_SECONDS:
        raise PerfkitError(f"--seconds is more than 0 and at most {MOST_SECONDS:g}")
    if not 1 <= arguments.connections <= MOST_CONNECTIONS:
        raise PerfkitError(f"--connections is from 1 to {MOST_CONNECTIONS}")
    token = secrets.token_urlsafe()
    port = choose_port(arguments.port)
    placement = place(1, usable_cores())
    with tempfile.TemporaryDirectory(prefix="perfkit-profile-") as scratch, ExitStack() as stack:
        log = Path(scratch) / "server.log"
        group = stack.enter_context(ProcessGroup())
        server = start_server(
            group, "perfkit.profilee:app", port, log, workers=1, placement=placement,
            env={
                APP_VARIABLE: arguments.app,
                TOKEN_VARIABLE: token,
                FOLDER_VARIABLE: str(arguments.output),
            },
        )  # fmt: skip
        _wait(server, log)
        return _profile(arguments, asked, server, token, placement)


def _requests(arguments: argparse.Namespace) -> list[Asked]:
    """Return what the load asks for; nothing if it comes from elsewhere."""
    if arguments.external_load:
        if arguments.requests:
            raise LoadError("--external-load makes no requests: leave out --request")
        return []
    if not arguments.requests:
        if arguments.route is None or "{" in arguments.route:
            raise LoadError(
                "say what to ask for, for example --request /items/1, or bring a load of your own "
                "with --external-load"
            )
        return [Asked("GET", arguments.route)]
    return [Asked.parse(text) for text in arguments.requests]


def _wait(server: Server, log: Path) -> None:
    try:
        wait_until_ready(server)
    except ServerNotReadyError as error:
        raise PerfkitError(
            f"the application does not start: {last_words(log)}" if server.death() else str(error)
        ) from error


def _profile(
    arguments: argparse.Namespace,
    asked: Sequence[Asked],
    server: Server,
    token: str,
    placement: Placement,
) -> int:
    query = {"seconds": str(arguments.seconds), "kind": KINDS[arguments.allocations]}
    if arguments.route is not None:
        query["route"] = arguments.route
    address = urlsplit(server.url).netloc
    with pinned(placement.generator), ThreadPoolExecutor(1) as executor:
        profile = executor.submit(
            call, address, "POST", f"{PATH}?{urlencode(query)}", token,
            timeout_s=arguments.seconds + GRACE_S,
        )  # fmt: skip
        load = Load(address, asked, arguments.connections, arguments.seconds)
        if not asked:
            print(f"serving at {server.url}: send it requests now", file=sys.stderr, flush=True)
        try:
            _wait_for(profile, address, token, server)
        finally:
            load.finish()
    status, text = profile.result()
    if status != 200:
        raise PerfkitError(text)
    taken = json.loads(text)
    print(taken["text"])
    for note in load.notes():
        print(f"note: {note}")
    death = server.death()
    if death is not None:
        raise PerfkitError(death)
    print(f"written to {taken['folder']}: {', '.join(taken['files'])}")
    problem = _void(arguments.route, taken["requests"], load)
    if problem is not None:
        print(f"void: {problem}", flush=True)
        return VOID
    return WITHIN


def _wait_for(profile: Future[tuple[int, str]], address: str, token: str, server: Server) -> None:
    """Return when the profile is over; Ctrl-C ends it before its time, and again at once."""
    try:
        profile.exception()
    except KeyboardInterrupt:
        print("ending the profile: what was gathered follows", file=sys.stderr, flush=True)
        try:
            call(address, "DELETE", PATH, token)
            profile.exception()
        except KeyboardInterrupt:
            server.process.kill()  # or its answer would be waited for
            raise


def _void(route: str | None, requests: int, load: Load) -> str | None:
    if not requests:
        said = ", ".join(sorted({f"{each.method} {each.target}" for each in load.asked}))
        return f"no request of {route or 'any route'} came" + (
            f": the load asked {said}" if said else ""
        )
    return load.failure()


def call(
    address: str, method: str, target: str, token: str, timeout_s: float = GRACE_S
) -> tuple[int, str]:
    """Ask the profiler in the server.

    Raises:
        PerfkitError: There was no answer.
    """
    connection = HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request(method, target, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException) as error:
        raise PerfkitError(
            f"the server gave no profile: {error or type(error).__name__}"
        ) from error
    finally:
        connection.close()


class Load:
    """Asks for the same things over a few connections, one after the other, for *seconds*."""

    def __init__(
        self, address: str, asked: Sequence[Asked], connections: int, seconds: float
    ) -> None:
        self._ends = monotonic() + seconds
        self.asked = asked
        self.statuses: Counter[str] = Counter()
        self._address = address
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._usage = ProcessUsage()
        self._busy = 0.0
        self._threads = [
            threading.Thread(target=self._ask, args=(number,), daemon=True)
            for number in range(connections if asked else 0)
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Stop asking."""
        self._halt.set()
        for thread in self._threads:
            thread.join()

    def notes(self) -> list[str]:
        """Say what was asked, how it was answered, and whether the load was the limit."""
        if not self.asked:
            return []
        told = ", ".join(f"{count} {status}" for status, count in self.statuses.most_common())
        notes = [f"the load was answered: {told or 'not once'}"]
        if self._busy > BUSY:
            notes.append(
                f"the load wanted {self._busy:.0%} of a core, so the server was asked less than it "
                "could do: the shares hold, the number of requests says nothing"
            )
        return notes

    def failure(self) -> str | None:
        """Say that hardly anything succeeded, if so."""
        total = sum(self.statuses.values())
        failed = sum(count for name, count in self.statuses.items() if name[0] not in "23")
        if self.asked and failed > total / 2:
            worst = self.statuses.most_common(1)[0][0]
            return f"{failed} of {total} requests failed, most with {worst}"
        return None

    def _ask(self, number: int) -> None:
        connection = HTTPConnection(self._address, timeout=GRACE_S)
        while not self._halt.is_set() and monotonic() < self._ends:
            asked = self.asked[number % len(self.asked)]
            number += 1
            began = monotonic()
            outcome = _outcome(connection, asked)
            with self._lock:
                self.statuses[outcome] += 1
            if not outcome.isdigit():
                connection.close()
                # Nothing listens or answers: do not hammer.
                self._halt.wait(max(0.0, 0.1 - (monotonic() - began)))
        connection.close()
        with self._lock:
            if not self._busy:  # the first one to end sees how busy all were
                self._busy = self._usage.sample().wanted


def _outcome(connection: HTTPConnection, asked: Asked) -> str:
    """Return the status of one request, or the name of what went wrong."""
    headers = {} if asked.content is None else {"Content-Type": "application/json"}
    try:
        content = None if asked.content is None else asked.content.encode()
        connection.request(asked.method, asked.target, content, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as error:
        return type(error).__name__
    return str(response.status)
