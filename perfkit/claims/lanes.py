"""Runs several experiments at a time, each in a lane: a process of its own, with its own parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from perfkit.claims.library import Found
from perfkit.claims.running import Results, blank
from perfkit.claims.schedule import Allowance

LANES = 2
FINISH_SECONDS = 30.0


class _Lane:
    """One process, and the experiment that it runs, if any; None in *said* is its end."""

    def __init__(self, said: SimpleQueue[tuple[_Lane, Any]]) -> None:
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        self.found: Found | None = None
        self.ready = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "perfkit.claims.lane"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": path},
            # Ctrl-C is for the run, which passes it on.
            start_new_session=True,
        )
        self._reader = Thread(target=self._read, args=(said,), daemon=True)
        self._reader.start()

    def _read(self, said: SimpleQueue[tuple[_Lane, Any]]) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            said.put((self, json.loads(line)))
        said.put((self, None))

    def start(self, found: Found, seed: int, allowed: Allowance) -> None:
        """Let it run *found*."""
        assert self._process.stdin
        self.found = found
        order = {
            "file": str(found.path.absolute()),
            "seed": seed,
            "enough": allowed.enough,
            "most": allowed.most,
        }
        self._process.stdin.write(json.dumps(order) + "\n")

    def interrupt(self) -> None:
        """Let it tell what it has, and end; it can once it is ready."""
        if self.ready:
            self._process.send_signal(signal.SIGINT)
        else:
            self._process.kill()

    def finish(self) -> int:
        """Let it end its parts, and end; return its status."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        return self._process.returncode


def run_beside(
    todo: Sequence[Found],
    seed: int,
    allowed: Callable[[Sequence[Found]], Allowance],
    progress: Callable[[str], None],
    keep: Callable[[Results], None],
) -> None:
    """Run *todo*, `LANES` at a time, and *keep* the results of each as soon as it ends.

    A lane that dies fails the experiment that it ran, and another takes its place. An interrupt
    is raised once the lanes have told what they have.

    Args:
        allowed: Returns what the first of the experiments that it is given may take.
        progress: Is told a line about one of those that run.
    """
    waiting = list(todo)
    said: SimpleQueue[tuple[_Lane, Any]] = SimpleQueue()
    with _lanes(min(LANES, len(waiting)), said, keep) as lanes:
        while waiting or any(lane.found for lane in lanes):
            lane, message = said.get()
            if message is None:
                lanes.remove(lane)
                _lost(lane, seed, keep)
                lanes.append(_Lane(said))
            elif "progress" in message:
                progress(message["progress"])
            else:
                lane.ready = True
                if "results" in message:
                    keep(message["results"])
                lane.found = None
                if waiting:
                    lane.start(waiting[0], seed, allowed(waiting))
                    waiting.pop(0)


def _lost(lane: _Lane, seed: int, keep: Callable[[Results], None]) -> None:
    """Keep that the experiment of a lane failed, which has died."""
    status = lane.finish()
    if lane.found:
        results = blank(lane.found, seed)
        results |= {"failed": f"the process that ran it ended with status {status}"}
        results |= {"complete": True}
        keep(results)


@contextmanager
def _lanes(
    count: int, said: SimpleQueue[tuple[_Lane, Any]], keep: Callable[[Results], None]
) -> Iterator[list[_Lane]]:
    """Yield *count* lanes, and end them; after an interrupt keep what they tell then."""
    lanes = [_Lane(said) for _ in range(count)]
    try:
        yield lanes
    except KeyboardInterrupt:
        for lane in lanes:
            lane.interrupt()
        raise
    finally:
        for lane in lanes:
            lane.finish()
        while not said.empty():
            _, message = said.get()
            if message and "results" in message:
                keep(message["results"])
