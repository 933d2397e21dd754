"""The process of one variant: loads an experiment and measures rounds on request.

`perfkit.claims.running` starts this as ``python -m perfkit.claims.process`` and asks in lines of
JSON (`perfkit.peer`):

    started with  {"file", "settings", "layout", "core", "forks"} answers  {"ready": true}
    asked         {"prepare": true}                               answers  {"prepared": true}
    asked         {"open": variant, "point": {name: value}}       answers  {"opened": variant}
    asked         {"calibrate": variant}                          answers  {"calls": number}
    asked         {"round": variant, "calls": number}             answers  [value, disturbed]
    asked         {"close": variant}                              answers  {"memory_mib": number}

Anything that fails is answered ``{"error": text}``. With *forks* each variant that is opened is
held by a child of its own, which has all imports from this process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from perfkit.claims.experiment import CONTROL, Experiment, ExperimentError
from perfkit.claims.library import load
from perfkit.claims.measuring import Fixture, Opened
from perfkit.claims.parts import give
from perfkit.worker import described, scattered

ABOUT_ONE = ("open", "calibrate", "round", "close")
"""What is asked of one variant."""


class Bench:
    """The experiment and the variants of it that are open."""

    def __init__(
        self, experiment: Experiment, gifts: Mapping[str, Any], runner: asyncio.Runner
    ) -> None:
        self._experiment = experiment
        self._gifts = gifts
        self._runner = runner
        self._open: dict[str, Opened] = {}
        self._prepared: Fixture | None = None

    def answer(self, message: Mapping[str, Any]) -> Any:
        """Do what *message* asks and return the answer."""
        if "open" in message:
            self._set_up(message["open"], message["point"])
            return {"opened": message["open"]}
        if "calibrate" in message:
            return {"calls": self._open[message["calibrate"]].calls()}
        if "round" in message:
            return self._open[message["round"]].round(message["calls"])
        if "prepare" in message:
            assert self._experiment.preparation
            self._prepared = Fixture(self._experiment.preparation, self._gifts, self._runner)
            return {"prepared": True}
        self._open.pop(message["close"]).fixture.close()
        return {"memory_mib": peak_resident() / 1024}

    def _set_up(self, name: str, point: Mapping[str, Any]) -> None:
        before = next(iter(self._experiment.variants))
        function = self._experiment.variants[before if name == CONTROL else name]
        fixture = Fixture(function, {**self._gifts, **point}, self._runner)
        self._open[name] = Opened(fixture, self._experiment.metric, self._runner)
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        """Clear up whatever is still open."""
        for opened in self._open.values():
            opened.fixture.close()
        if self._prepared:
            self._prepared.close()


Serve = Callable[[TextIO, TextIO], None]
"""Answers each line of the one with a line of the other, until the first ends."""


class Fork:
    """A child of this process, which answers by *serve*."""

    def __init__(self, serve: Serve, others: Iterable[Fork]) -> None:
        ours, theirs = socket.socketpair()
        self._channel = ours.makefile("rw")
        self._pid = os.fork()
        if not self._pid:
            try:
                # An end that lived on here would keep its own child from seeing it closed.
                ours.close()
                for fork in (self, *others):
                    fork.close()
                with theirs.makefile("rw") as channel:
                    guarded(serve, channel, channel)
            finally:
                os._exit(0)
        ours.close()
        theirs.close()

    def ask(self, message: object) -> Any:
        """Hand over one message and return the answer to it.

        Raises:
            ExperimentError: The child has ended instead.
        """
        _tell(self._channel, message)
        line = self._channel.readline()
        if not line:
            status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            raise ExperimentError(f"it ended with status {status}")
        return json.loads(line)

    def close(self) -> None:
        """Let the child see the end of its input, after which it clears up and ends."""
        self._channel.close()

    def finish(self) -> None:
        """Wait for the end of the child."""
        self.close()
        os.waitpid(self._pid, 0)


class Forks:
    """The variants that are open, each in a child of this process."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._open: dict[str, Fork] = {}

    def answer(self, message: Mapping[str, Any]) -> Any:
        """Have the child of a variant do what *message* asks, and return its answer."""
        [name] = (message[word] for word in ABOUT_ONE if word in message)
        if "open" in message:
            self._open[name] = Fork(self._serve, self._open.values())
        answer = self._open[name].ask(message)
        if "close" in message:
            self._open.pop(name).finish()
        return answer

    def close(self) -> None:
        """Let the children that are left clear up and end."""
        for fork in self._open.values():
            fork.close()


def peak_resident() -> int:
    """Return the most that this process has held in memory, in KiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not getrusage, where a child begins with what its parent held when it forked.
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def serve(requests: TextIO, answers: TextIO) -> None:
    """Load what the first line asks for, then answer each further line."""
    setup = json.loads(requests.readline())
    layout = scattered(setup["layout"])
    found = load(Path(setup["file"]))
    if found.experiment is None:
        raise ExperimentError(f"needs {found.absent}")
    gifts = {name: give(name, setting) for name, setting in setup["settings"].items()}
    if setup["core"] is not None:
        # Only now: processes that start together load on all cores.
        os.sched_setaffinity(0, {setup["core"]})
    holding = partial(hold, found.experiment, gifts)
    _tell(answers, {"ready": True})
    if setup["forks"]:
        answer_all(Forks(holding), requests, answers)
    else:
        holding(requests, answers)
    del layout


def hold(
    experiment: Experiment, gifts: Mapping[str, Any], requests: TextIO, answers: TextIO
) -> None:
    """Answer from variants that this very process holds."""
    with asyncio.Runner() as runner:
        answer_all(Bench(experiment, gifts, runner), requests, answers)


def answer_all(bench: Bench | Forks, requests: TextIO, answers: TextIO) -> None:
    """Have each line answered, and everything cleared up in the end."""
    try:
        for line in requests:
            _tell(answers, bench.answer(json.loads(line)))
    finally:
        bench.close()


def _tell(answers: TextIO, answer: object) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def guarded(serve: Serve, requests: TextIO, answers: TextIO) -> None:
    """Serve, and tell what went wrong."""
    try:
        serve(requests, answers)
    except BrokenPipeError:
        pass
    # Whatever a variant raises is the answer: it could not be measured.
    except Exception as error:
        _tell(answers, {"error": described(error)})


def main() -> None:
    """Serve on standard input and output."""
    # What a variant prints must not look like an answer.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        guarded(serve, sys.stdin, channel)


if __name__ == "__main__":
    main()
