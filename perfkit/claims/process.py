"""The process of one variant: loads an experiment and measures rounds on request.

`perfkit.claims.running` starts this as ``python -m perfkit.claims.process`` and asks in lines of
JSON (`perfkit.peer`):

    started with  {"file", "settings", "layout", "core"}          answers  {"ready": true}
    asked         {"open": variant, "point": {name: value}, "calls": number or null}
                                                                  answers  {"calls": number}
    asked         {"prepare": true}                               answers  {"prepared": true}
    asked         {"round": variant, "calls": number}             answers  [value, disturbed]
    asked         {"close": variant}                              answers  {"memory_mib": number}

Anything that fails is answered ``{"error": text}``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from perfkit.claims.experiment import CONTROL, Experiment, ExperimentError
from perfkit.claims.library import load
from perfkit.claims.measuring import Fixture, Opened
from perfkit.claims.parts import give
from perfkit.worker import described, scattered


class Bench:
    """The experiment and the variants of it that are open."""

    def __init__(
        self, experiment: Experiment, settings: Mapping[str, Any], runner: asyncio.Runner
    ) -> None:
        self._experiment = experiment
        self._gifts = {name: give(name, setting) for name, setting in settings.items()}
        self._runner = runner
        self._open: dict[str, Opened] = {}
        self._prepared: Fixture | None = None

    def answer(self, message: Mapping[str, Any]) -> Any:
        """Do what *message* asks and return the answer."""
        if "open" in message:
            opened = self._opened(message["open"], message["point"])
            return {"calls": message["calls"] or opened.calls()}
        if "round" in message:
            return self._open[message["round"]].round(message["calls"])
        if "prepare" in message:
            assert self._experiment.preparation
            self._prepared = Fixture(self._experiment.preparation, self._gifts, self._runner)
            return {"prepared": True}
        self._open.pop(message["close"]).fixture.close()
        return {"memory_mib": peak_resident() / 1024}

    def _opened(self, name: str, point: Mapping[str, Any]) -> Opened:
        """Set a variant up."""
        before = next(iter(self._experiment.variants))
        function = self._experiment.variants[before if name == CONTROL else name]
        fixture = Fixture(function, {**self._gifts, **point}, self._runner)
        opened = Opened(fixture, self._experiment.metric, self._runner)
        self._open[name] = opened
        gc.collect()
        gc.freeze()
        return opened

    def close(self) -> None:
        """Clear up whatever is still open."""
        for opened in self._open.values():
            opened.fixture.close()
        if self._prepared:
            self._prepared.close()


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
    if setup["core"] is not None:
        # Only now: processes that start together load on all cores.
        os.sched_setaffinity(0, {setup["core"]})
    with asyncio.Runner() as runner:
        bench = Bench(found.experiment, setup["settings"], runner)
        _tell(answers, {"ready": True})
        try:
            for line in requests:
                _tell(answers, bench.answer(json.loads(line)))
        finally:
            bench.close()
    del layout


def _tell(answers: TextIO, answer: object) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Serve on standard input and output."""
    # What a variant prints must not look like an answer.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        try:
            serve(sys.stdin, channel)
        except BrokenPipeError:
            pass
        # Whatever a variant raises is the answer: it could not be measured.
        except Exception as error:
            _tell(channel, {"error": described(error)})


if __name__ == "__main__":
    main()
