"""What was sampled, as call trees: text, a page, and a file for https://www.speedscope.app.

The framework's own frames are left out. In their place stand the decision during which
something happened, and the names of the dependency or handler that the framework called.
"""

from __future__ import annotations

import asyncio
import re
import sys
import sysconfig
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

from pyinstrument.renderers import ConsoleRenderer, HTMLRenderer, SpeedscopeRenderer
from pyinstrument.session import Session

import restmachine
from perfkit.sampler import AWAIT, INTERVAL_S, WAITS, Cost, Samples, Stack, current
from restmachine import hooks
from restmachine.decisions import DIAGRAM, Effect
from restmachine.hooks import DECISION, HANDLER, Observer

FRAMEWORK = "other\x00restmachine\x000"
"""Stands for the framework's own time where no decision is known."""

CALLING, RENDERING, SENDING = "calling the handler", "rendering", "sending"
_BETWEEN = ("", CALLING, RENDERING, SENDING)

_HIDDEN = tuple(str(Path(file).parent) + "/" for file in (restmachine.__file__, __file__))
_LIBRARIES = tuple({sysconfig.get_paths()[name] + "/" for name in sysconfig.get_path_names()
                    if name.endswith("lib") or name == "stdlib"})  # fmt: skip
_ASYNCIO = str(Path(asyncio.__file__).parent) + "/"


# The page of pyinstrument asks for fonts, and does without them.
_FONTS = re.compile(r"https://fonts\.googleapis\.com/[^\"']*")
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline' data:; "
    'img-src data:; font-src data:">'
)

Place = tuple[str, str, int]
"""Function, file and line."""


class PhaseObserver(Observer):
    """Tells followed requests which decisions they made when, and when the handler returned."""

    kinds = (DECISION, HANDLER, hooks.RENDERING)

    def __init__(self) -> None:
        self._names = {id: f"{id} {_question(id)}" for id in DIAGRAM}

    def response_started(self, exchange: Any, status: int, now: float) -> None:
        """Note until when the response was made."""
        exchange.notes[self] = now

    def request_finished(self, exchange: Any, status: int, sent_bytes: int, now: float) -> None:
        """Name what the request did, by what it led to."""
        request = current()
        if request is not None:
            ends = [(ended, self._phase(entry)) for *entry, _, ended in exchange.timeline]
            # What came last before the response has no name.
            responded = exchange.notes.pop(self, now)
            request.tell([*ends, (responded, ""), (now, SENDING)])

    def _phase(self, entry: Sequence[Any]) -> str:
        kind, subject = entry
        if kind == DECISION:
            return self._names.get(subject[0], "")
        return CALLING if kind == HANDLER else RENDERING


def _question(id: str) -> str:
    row = DIAGRAM[id]
    if isinstance(row, Effect):
        return row.text
    return row.question.kind or row.question.text


class Naming:
    """Gives stacks the names by which a developer knows their parts.

    Args:
        handlers: The code of every handler.
    """

    def __init__(self, handlers: Collection[CodeType]) -> None:
        self._handlers = {(code.co_filename, code.co_name) for code in handlers}

    def name(self, route: str, phase: str, stack: Stack) -> list[str]:
        """Return the frames to show, the route's first."""
        if stack in WAITS:
            return [f"{route}\x00route\x000", *stack]
        frames: list[str] = []
        called = hidden = entered = False
        for info in _without_loop(stack):
            file = _file(info)
            if file.startswith(_HIDDEN) or (called and file.startswith("<")):
                called, hidden = True, hidden or file.startswith(_HIDDEN[0])
                continue
            if called and info != AWAIT and not file.startswith(_LIBRARIES):
                info = self._entry(info)
                entered = True
            frames.append(info)
            called = False
        if phase not in _BETWEEN or (phase and not entered):
            frames.insert(0, f"{phase}\x00restmachine\x000")
        elif hidden and not entered:
            frames.insert(0, FRAMEWORK)
        return [f"{route}\x00route\x000", *frames]

    def places(self, stack: Sequence[Place]) -> tuple[Place, ...]:
        """Return places of the code, the innermost first, named alike; no decision is known."""
        infos = tuple(f"{name}\x00{file}\x00{line}" for name, file, line in reversed(stack))
        places = []
        for info in reversed(self.name("", "", infos)[1:] or [FRAMEWORK]):
            name, file, line = info.split("\x00", 2)
            places.append((name, file, int(line)))
        return tuple(places)

    def _entry(self, info: str) -> str:
        name, file, rest = info.split("\x00", 2)
        own = name.rpartition(".")[2]
        kind = "handler" if (file, own) in self._handlers else "dependency"
        return f"{kind} {own}\x00{file}\x00{rest}"


def _file(info: str) -> str:
    parts = info.split("\x00", 2)
    return parts[1] if len(parts) > 1 else ""


def _without_loop(stack: Stack) -> Stack:
    """Return a stack without what runs the event loop below a task of its own."""
    for index in range(len(stack) - 1, -1, -1):
        file = _file(stack[index])
        if file in (_ASYNCIO + "events.py", _ASYNCIO + "runners.py"):
            return stack[index + 1 :]
    return stack


def session(
    samples: Samples, naming: Naming, title: str, seconds: Callable[[Cost], Iterator[float]]
) -> Session:
    """Return samples as pyinstrument's session; *seconds* tells which of them count."""
    records = []
    for (route, phase, stack), cost in samples.scaled():
        frames = naming.name(route, phase, stack)
        records += [(frames, value) for value in seconds(cost) if value > 0]
    records.sort(key=lambda record: record[0])  # equal frames become one where they are adjacent
    total = sum(value for _, value in records)
    return Session(
        frame_records=records,
        start_time=time.time() - samples.elapsed,
        duration=total,
        min_interval=INTERVAL_S,
        max_interval=INTERVAL_S,
        sample_count=samples.count,
        start_call_stack=[""],
        target_description=title,
        cpu_time=samples.cpu,
        sys_path=sys.path,
        sys_prefixes=Session.current_sys_prefixes(),
    )


def wall(cost: Cost) -> Iterator[float]:
    """Count running and waiting."""
    yield cost.wall + cost.waited


def cpu(cost: Cost) -> Iterator[float]:
    """Count the time on a processor."""
    yield cost.cpu


class _Tree(ConsoleRenderer):
    """The tree alone."""

    def render_preamble(self, session: Session) -> str:
        """Return nothing: the text says what the tree is."""
        return ""


def write(samples: Samples, naming: Naming, title: str, folder: Path) -> tuple[list[str], str]:
    """Write all files into a folder and return their names, and the text.

    Raises:
        OSError: The folder cannot be written to.
    """
    parts = [f"{title}\n{summary(samples)}\n"]
    written = []
    for name, seconds, about in (
        ("wall", wall, "by the clock: running and waiting"),
        ("cpu", cpu, "on a processor"),
    ):
        recorded = session(samples, naming, f"{title}, seconds {about}", seconds)
        parts.append(f"seconds {about}\n{_Tree(unicode=True).render(recorded)}")
        page = sealed(_FONTS.sub("data:text/css,", HTMLRenderer().render(recorded)))
        (folder / f"{name}.html").write_text(page, "utf-8")
        (folder / f"{name}.speedscope.json").write_text(
            SpeedscopeRenderer().render(recorded), "utf-8"
        )
        written += [f"{name}.html", f"{name}.speedscope.json"]
    text = "\n".join(parts)
    (folder / "profile.txt").write_text(text, "utf-8")
    return ["profile.txt", *written], text


def sealed(page: str) -> str:
    """Return a page such that browsers load nothing for it from elsewhere.

    Raises:
        ValueError: It has no head to say so in.
    """
    head, tag, rest = page.partition("<head>")
    if not tag:
        raise ValueError("a page without a head")
    return f"{head}{tag}{_POLICY}{rest}"


def summary(samples: Samples) -> str:
    """Say in a line what the requests took; the parts are exact, not sampled."""
    waited = sum(cost.waited for cost in samples.costs.values())
    return (
        f"{samples.requests} requests in {samples.elapsed:.1f} s, {samples.count} samples: "
        f"{samples.wall:.3f} s by the clock, of which {samples.running:.3f} s on a "
        f"thread ({samples.cpu:.3f} s of these on a processor) and {waited:.3f} s waiting"
    )
