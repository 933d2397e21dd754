"""Profiles an application while it runs: for a window of time, of one route or of all.

    asgi_app = perfkit.profiler.enable(ASGIAdapter(app), token=os.environ["PROFILE_TOKEN"])

`enable` wraps an ASGI application. While no profile is taken a request passes it with one
look at an attribute. A profile begins by a request to a path that only the token opens, or
by a signal; its files go into a folder of its own, which the log names.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import re
import signal as signals
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from inspect import unwrap
from math import isfinite
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from perfkit.errors import MissingExtraError, PerfkitError
from perfkit.metrics import METHODS, OTHER
from restmachine import RestApplication
from restmachine.asgi import route_path
from restmachine.targets import wrapped_application

if TYPE_CHECKING:
    from perfkit.calltree import Naming
    from perfkit.recording import Recording
    from perfkit.sampler import Sampler

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/perfkit/profile"
FOLDER = Path("profiles")
SECONDS = 10.0
MOST_SECONDS = 120.0
SHORTEST_TOKEN = 16
_TICK_S = 0.02
KINDS = ("time", "allocations")

logger = logging.getLogger("perfkit")


class ProfileRunningError(PerfkitError):
    """A profile is being taken, and there is one at a time."""


class UnknownRouteError(PerfkitError):
    """No route of the application has this template."""

    def __init__(self, route: str, known: list[str]) -> None:
        near = get_close_matches(route, known, n=3, cutoff=0.4)
        listed = ", ".join(near or known[:5]) or "none"
        super().__init__(f'no route "{route}": {"near ones are" if near else "there are"} {listed}')


class WindowError(PerfkitError):
    """A window of time, or a kind of profile, that cannot be had."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What came of it: the files, all in one folder, and the text of the first one."""

    folder: Path
    files: list[str]
    requests: int
    text: str


def enable(
    app: ASGIApplication,
    *,
    token: str | None = None,
    signal: signals.Signals | None = None,
    path: str = PATH,
    folder: Path = FOLDER,
    seconds: float = SECONDS,
) -> Profiled:
    """Return *app* as an ASGI application that can be profiled while it serves.

    Args:
        token: What a request to *path* must have after ``Authorization: Bearer``; without
            one the path is the application's, as if there was no profiler.
        signal: Begins a profile of all routes, and ends it when it comes again before its
            time; SIGUSR2 for instance. Each worker process hears its own.
        folder: Where each profile gets a folder of its own.
        seconds: How long a profile takes unless its request says otherwise.

    Raises:
        PerfkitError: Neither a token nor a signal is given, or the token could be guessed.
        MissingExtraError: pyinstrument is not installed.
    """
    if token is None and signal is None:
        raise PerfkitError(
            "perfkit.profiler.enable needs a token=, a signal=, or both: nothing else may begin "
            "a profile"
        )
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise PerfkitError(
            f"token= has {len(token)} characters and could be guessed: take at least "
            f"{SHORTEST_TOKEN}, for example of secrets.token_urlsafe()"
        )
    _check_seconds(seconds)
    profiled = Profiled(app, token=token, path=path, folder=folder, seconds=seconds)
    if signal is not None:
        profiled.listen(signal)
    return profiled


def _check_seconds(seconds: float) -> None:
    if not (isfinite(seconds) and 0 < seconds <= MOST_SECONDS):
        raise WindowError(
            f"a profile takes more than 0 and at most {MOST_SECONDS:g} seconds, not {seconds:g}"
        )


class Profiled:
    """An ASGI application, and the profiles taken of it, one at a time."""

    def __init__(
        self,
        app: ASGIApplication,
        *,
        token: str | None,
        path: str = PATH,
        folder: Path = FOLDER,
        seconds: float = SECONDS,
    ) -> None:
        try:
            import perfkit.calltree  # noqa: F401 - now, so that its absence is told at once
        except ModuleNotFoundError as missing:
            raise _missing("profiling", missing, "profile") from missing
        self.app = app
        self._token = token
        self._path = path
        self._folder = folder
        self._seconds = seconds
        self._rest = wrapped_application(app)
        self._sampler: Sampler | None = None
        self._wanted: str | None = None
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                self._loop = asyncio.get_running_loop()
                receive = partial(self._receive_lifespan, receive)
            await self.app(scope, receive, send)
        elif self._token is not None and scope["path"] == self._path:
            await self._answer(scope, receive, send)
        elif self._sampler is not None and self._is_wanted(scope):
            answering = self.app(scope, receive, send)
            named = partial(self._name, scope)
            await self._sampler.follow(answering, named)  # type: ignore[arg-type]  # an async __call__ gives a coroutine
        else:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            await self.app(scope, receive, send)

    @property
    def running(self) -> bool:
        """Whether a profile is being taken."""
        return self._end is not None

    def end(self) -> None:
        """End the profile that is being taken, before its time."""
        if self._end is not None:
            self._end.set()

    async def profile(
        self, seconds: float | None = None, route: str | None = None, kind: str = "time"
    ) -> Profile:
        """Take a profile for a window of time and write its files.

        Args:
            route: The template of the route; None for all.
            kind: ``time`` or ``allocations``.

        Raises:
            ProfileRunningError: One is being taken.
            UnknownRouteError, WindowError: There is no such route, window or kind.
            MissingExtraError: memray is not installed.
            OSError: The folder cannot be written to.
        """
        if self._end is not None:
            raise ProfileRunningError("a profile is being taken: wait for its end, or end it")
        seconds = self._seconds if seconds is None else seconds
        _check_seconds(seconds)
        self._wanted = self._known(route)
        if kind not in KINDS:
            raise WindowError(f'there is no kind "{kind}" of profile: {" or ".join(KINDS)}')
        self._end = asyncio.Event()
        take = self._sample if kind == "time" else self._record
        try:
            folder = new_folder(self._folder)
            try:
                return await take(self._end, seconds, f"{kind} of {route or 'all routes'}", folder)
            except BaseException:
                with suppress(OSError):  # it is not empty
                    folder.rmdir()
                raise
        finally:
            self._end = None

    async def _sample(
        self, end: asyncio.Event, seconds: float, title: str, folder: Path
    ) -> Profile:
        from perfkit.calltree import write

        samples = await self._follow(end, seconds, samples_stacks=True)
        files, text = await asyncio.to_thread(write, samples, self._naming(), title, folder)
        return Profile(folder, files, samples.requests, text)

    async def _record(
        self, end: asyncio.Event, seconds: float, title: str, folder: Path
    ) -> Profile:
        try:
            from perfkit.recording import Recording
        except ModuleNotFoundError as missing:
            raise _missing("profiling of allocations", missing, "memray") from missing
        recording = Recording()
        recording.start()
        watch = asyncio.create_task(_end_when_full(recording, end))
        try:
            samples = await self._follow(end, seconds, samples_stacks=False)
        finally:
            recording.stop()
            watch.cancel()
        files, text = await asyncio.to_thread(
            recording.write, self._naming(), title, samples.requests, folder
        )
        return Profile(folder, files, samples.requests, text)

    async def _follow(self, end: asyncio.Event, seconds: float, *, samples_stacks: bool) -> Any:
        from perfkit.sampler import Sampler

        pools = [] if self._rest is None else [self._rest.workers]
        sampler = Sampler(pools, samples_stacks=samples_stacks)
        sampler.start()
        self._sampler = sampler
        try:
            async with asyncio.timeout(seconds):
                await end.wait()
        except TimeoutError:
            pass
        finally:
            self._sampler = None
            try:
                if not samples_stacks:
                    await sampler.settle()
            finally:
                samples = await sampler.stop()
        return samples

    def _naming(self) -> Naming:
        from perfkit.calltree import Naming

        return Naming([] if self._rest is None else _handlers(self._rest))

    def _known(self, route: str | None) -> str | None:
        if route is None or self._rest is None:
            return route
        template = "/" + "/".join(segment for segment in route.split("/") if segment)
        known = sorted({each.path for each in self._rest.routes})
        if template not in known:
            raise UnknownRouteError(route, known)
        return template

    def _is_wanted(self, scope: Scope) -> bool:
        if self._wanted is None:
            return True
        if self._rest is not None:
            return self._template(scope) == self._wanted
        return _pattern(self._wanted).fullmatch(scope["path"]) is not None

    def _template(self, scope: Scope) -> str | None:
        assert self._rest is not None
        return self._rest.dispatch(scope["method"], route_path(scope))[0].template

    def _name(self, scope: Scope) -> str:
        """Return method and route of a request that is over."""
        if self._rest is not None:
            route = self._template(scope)
        else:  # other frameworks leave what they found in the scope
            route = self._wanted or getattr(scope.get("route"), "path", None)
        method = scope["method"] if scope["method"] in METHODS else OTHER
        return f"{method} {route or 'other paths'}"

    async def _receive_lifespan(self, receive: Receive) -> MutableMapping[str, Any]:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            self.end()
            if self._task is not None:
                await self._task
        return message

    def listen(self, signal: signals.Signals) -> None:
        """Begin or end a profile whenever the signal comes.

        Raises:
            PerfkitError: This is not the main thread, which alone hears signals.
        """
        try:
            signals.signal(signal, self._hear)
        except ValueError as error:
            raise PerfkitError(
                "signal= works only where the main thread of the process enables profiling"
            ) from error

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._loop is None or self._loop.is_closed():
            logger.warning("No profile is taken: the application serves nothing yet")
            return
        self._loop.call_soon_threadsafe(self._toggle)

    def _toggle(self) -> None:
        if self._end is not None:
            self._end.set()
        else:
            self._task = asyncio.get_running_loop().create_task(self._profile_and_log())

    async def _profile_and_log(self) -> None:
        logger.warning("Profiling all routes for %g seconds, or until the signal", self._seconds)
        try:
            taken = await self.profile()
        except (PerfkitError, OSError) as error:
            logger.error("No profile was taken: %s", error)
        else:
            logger.warning("Profiled %d requests: %s", taken.requests, taken.folder.resolve())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to the profiler itself."""
        if not self._is_authorized(scope):
            await _respond(send, 401, "A token is needed.", [(b"www-authenticate", b"Bearer")])
        elif scope["method"] == "DELETE":
            was_running = self.running
            self.end()
            await _respond(send, 202 if was_running else 404, "ended" if was_running else "none")
        elif scope["method"] != "POST":
            await _respond(send, 405, "POST takes a profile.", [(b"allow", b"POST, DELETE")])
        else:
            status, text = await self._answer_post(dict(parse_qsl(scope["query_string"].decode())))
            await _respond(send, status, text)

    def _is_authorized(self, scope: Scope) -> bool:
        assert self._token is not None
        wanted = b"Bearer " + self._token.encode()
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        # Compared whole, so that the time it takes tells nothing of the token.
        return len(given) == 1 and hmac.compare_digest(given[0], wanted)

    async def _answer_post(self, query: dict[str, str]) -> tuple[int, str]:
        unknown = query.keys() - {"seconds", "route", "kind"}
        if unknown:
            return 400, f'unknown parameter "{min(unknown)}": seconds, route and kind are known'
        try:
            seconds = float(query["seconds"]) if "seconds" in query else None
        except ValueError:
            return 400, f"seconds is a number, not {query['seconds']!r}"
        try:
            taken = await self.profile(seconds, query.get("route"), query.get("kind", "time"))
        except ProfileRunningError as error:
            return 409, str(error)
        except MissingExtraError as error:
            return 501, str(error)
        except PerfkitError as error:
            return 400, str(error)
        except OSError as error:
            logger.error("No profile was written: %s", error)
            return 500, f"the profile cannot be written: {error}"
        logger.info("Profiled %d requests: %s", taken.requests, taken.folder.resolve())
        return 200, json.dumps(
            {
                "folder": str(taken.folder.resolve()),
                "files": taken.files,
                "requests": taken.requests,
                "text": taken.text,
            }
        )


async def _end_when_full(recording: Recording, end: asyncio.Event) -> None:
    while not recording.full:  # noqa: ASYNC110 - nothing tells when a file grows
        await asyncio.sleep(_TICK_S)
    end.set()


async def _respond(
    send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    content = text.encode()
    media_type = b"application/json" if status == 200 else b"text/plain; charset=utf-8"
    fields = [
        (b"content-type", media_type),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        *(headers or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


def _missing(feature: str, error: ModuleNotFoundError, extra: str) -> Exception:
    name = (error.name or "").split(".")[0]
    return error if name in ("perfkit", "restmachine") else MissingExtraError(feature, name, extra)


def _pattern(template: str) -> re.Pattern[str]:
    """Return what matches the paths of a template such as ``/items/{id}``."""
    parts = re.split(r"\{[^{}]*\}", template)
    return re.compile("[^/]+".join(re.escape(part) for part in parts))


def _handlers(app: RestApplication) -> list[CodeType]:
    functions = [unwrap(getattr(route.handler, "func", route.handler)) for route in app.routes]
    return [code for each in functions if (code := getattr(each, "__code__", None)) is not None]


def new_folder(parent: Path) -> Path:
    """Make the folder of one profile.

    Raises:
        OSError: It cannot be made.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    folder = parent / f"{stamp}Z-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder
