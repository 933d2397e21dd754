"""How a long run speaks to the terminal, and how it is interrupted."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(program: str, line: str) -> None:
    """Tell the user one line, apart from the results on standard output."""
    print(f"{program}: {line}", file=sys.stderr, flush=True)


class Progress:
    """Says on stderr how far the run is: on one line of a terminal, else every ten seconds."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._terminal = sys.stderr.isatty()
        self._due = 0.0

    def __call__(self, line: str) -> None:
        """Show *line*, or skip it."""
        if self._terminal:
            print(f"\r{self._program}: {line:100}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._due:
            say(self._program, line)
            self._due = time.monotonic() + 10

    def close(self) -> None:
        """Leave the line."""
        if self._terminal:
            print(file=sys.stderr)


@contextmanager
def terminable() -> Iterator[None]:
    """Let a request to terminate clear up as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
