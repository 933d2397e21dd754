"""Child processes that end when the runner ends, however it ends, and the cores they use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Placement:
    """The cores of the server and of the load generators; None where nothing is pinned."""

    server: tuple[int, ...] | None
    generator: tuple[int, ...] | None
    note: str


def place(workers: int, cores: Sequence[int] | None) -> Placement:
    """Divide *cores*: one for each server process, at least one for the generators.

    *cores* is None where the operating system cannot pin a process.
    """
    if cores is None:
        return Placement(None, None, "not pinned: this system cannot bind a process to a core")
    if len(cores) < 2:
        return Placement(
            None, None, "not pinned: server and load generator share the only core of this machine"
        )
    count = min(workers, len(cores) - 1)
    server, generator = tuple(cores[-count:]), tuple(cores[:-count])
    return Placement(
        server, generator, f"server pinned to {_named(server)}, generator to {_named(generator)}"
    )


def _named(cores: Sequence[int]) -> str:
    return f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, cores))}"


def usable_cores() -> list[int] | None:
    """Return the cores this process may use, or None where that cannot be asked."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return sorted(os.sched_getaffinity(0))


@contextmanager
def pinned(cores: Sequence[int] | None) -> Iterator[None]:
    """Bind this thread to *cores* meanwhile, so that a child started here inherits them."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class ProcessGroup:
    """Starts processes in one group, apart from the terminal's, and ends them together.

    A guard process leads the group (see `perfkit.guard`): it ends the rest when this
    process closes its pipe or is killed. Ctrl-C reaches this process only.
    """

    def __init__(self) -> None:
        self._guard = subprocess.Popen(
            # By its path, as importing the package would take ten times as long.
            [sys.executable, "-P", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,
        )
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        for child in self._children:
            child.wait()
        self._guard.wait()

    def start(
        self,
        command: Sequence[str],
        log: Path | None,
        *,
        env: Mapping[str, str] | None = None,
        cores: Sequence[int] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start *command*; *env* is added to ours.

        Its output is appended to *log*; without one it goes to our standard error.
        """
        with ExitStack() as stack:
            output = sys.stderr if log is None else stack.enter_context(log.open("ab"))
            stack.enter_context(pinned(cores))
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
                process_group=self._guard.pid,
            )
        self._children.append(child)
        return child

    def kill(self) -> None:
        """End everything at once, without asking."""
        os.killpg(self._guard.pid, signal.SIGKILL)


def last_words(log: Path) -> str:
    """Return the last line of *log* that is not blank: what a process died of."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it wrote nothing")


def program(name: str) -> str | None:
    """Return where the program *name* is, or None where it is not installed.

    Servers are looked for where Debian puts them as well, which is on root's PATH alone.
    """
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")
