"""One side of a comparison: loads benchmarks on the packages of one tree and times them.

`perfkit.interleave` runs this file as a script, by its path and with nothing but the standard
library, because the perfkit that is measured here need not be the one that measures. Messages
are JSON, one a line:

    started with  {"tree", "benchmarks", "packages", "names", "layout"}
    answers       {"ready": [name...], "broken": {name: reason}}  or {"error": text}
    asked         [name, calls]
    answers       [nanoseconds of one call, whether the kernel interrupted the round]
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from random import Random
from time import perf_counter_ns
from typing import Any

# Shorter than the slices in which the kernel shares a core out, so that most rounds get by
# uninterrupted: beside two other busy processes the spread between generations was 1.5 to 2.3 %
# with rounds of 1 ms, and 7 to 10 % with rounds of 5 ms.
ROUND_SECONDS = 0.001
ATTEMPTS = 3


class WrongTreeError(Exception):
    """A package came from elsewhere, an editable installation for example."""


class UnfitBenchmarkError(Exception):
    """A benchmark is written in a way that only pytest could run."""


class Capture:
    """Stands in for pytest-benchmark's fixture: keeps what a benchmark would have timed."""

    def __init__(self) -> None:
        self.function: Callable[[], object] | None = None

    def __call__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Keep the call, make it once, and return its result as the fixture does."""
        # A partial without arguments would still cost both sides a call.
        called = partial(function, *arguments, **options) if arguments or options else function
        self.function = called
        return called()


def captured(name: str) -> Callable[[], object]:
    """Run a benchmark up to its timing and return the call that it would time."""
    file, _, function = name.partition("::")
    benchmark = getattr(importlib.import_module(Path(file).stem), function)
    parameters = list(inspect.signature(benchmark).parameters)
    if parameters != ["benchmark"]:
        raise UnfitBenchmarkError(f"it takes {parameters}, not only the fixture benchmark")
    capture = Capture()
    benchmark(capture)
    if capture.function is None:
        raise UnfitBenchmarkError("it never called benchmark(...)")
    return capture.function


def loaded(names: Sequence[str]) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """Return the calls to time by name, and the reasons of those that cannot run here."""
    ready: dict[str, Callable[[], object]] = {}
    broken: dict[str, str] = {}
    for name in names:
        try:
            ready[name] = captured(name)
        except UnfitBenchmarkError as error:
            broken[name] = str(error)
        # Whatever a benchmark raises is the answer: it does not run on this version.
        except Exception as error:
            broken[name] = described(error)
    return ready, broken


def described(error: Exception) -> str:
    """Return where *error* was raised and what it says, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    says = [type(error).__name__, *str(error).splitlines()[:1]]
    return f"{Path(place.filename).name}:{place.lineno}: {': '.join(says)}"


def check_origin(tree: Path, packages: Sequence[str]) -> None:
    """Raise WrongTreeError when a module of *packages* was not loaded from *tree*."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in packages and file and tree not in Path(file).resolve().parents:
            raise WrongTreeError(f"{name} was imported from {file}, not from {tree}")


def interruptions() -> int:
    """Return how often the kernel has taken the processor away from this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def timed_round(function: Callable[[], object], calls: int) -> tuple[float, bool]:
    """Return the nanoseconds of one call and whether the kernel interrupted the round."""
    gc.collect()
    # The other side has just emptied the caches: a fifth of a round refills them.
    for _ in repeat(None, max(1, calls // 5)):
        function()
    nanoseconds, interrupted = undisturbed(lambda: repeated(function, calls))
    return nanoseconds / calls, interrupted


def undisturbed(measure: Callable[[], int]) -> tuple[int, bool]:
    """Return what *measure* does, and whether the kernel interrupted even the last attempt.

    An interrupted round tells of other processes, not of the code, so it is tried again at once,
    when the kernel owes us its next slice of time.
    """
    for _ in range(ATTEMPTS):
        before = interruptions()
        measured = measure()
        interrupted = interruptions() != before
        if not interrupted:
            break
    return measured, interrupted


def repeated(function: Callable[[], object], calls: int) -> int:
    """Return the nanoseconds of *calls* calls."""
    start = perf_counter_ns()
    for _ in repeat(None, calls):
        function()
    return perf_counter_ns() - start


def scattered(seed: str) -> list[bytes]:
    """Return objects to keep, which shift all that is allocated later in a way of their own.

    Without them a version has the same layout of its heap in each process, and one that happens to
    suit a benchmark looks like faster code: by 2 % between two copies of one source.
    """
    lot = Random(seed)
    objects = [bytes(lot.randrange(512)) for _ in range(lot.randrange(5000))]
    # The holes between those that stay are what later objects fall into.
    return [kept for kept in objects if lot.random() < 0.5]


def serve(requests: Any, answers: Any) -> None:
    """Load what the first line asks for, then time one round for each further line."""
    setup = json.loads(requests.readline())
    tree = Path(setup["tree"])
    layout = scattered(setup["layout"])
    # Behind the tree, so that no helper of the benchmarks hides one of its packages.
    sys.path.insert(1, setup["benchmarks"])
    ready, broken = loaded(setup["names"])
    try:
        check_origin(tree, setup["packages"])
    except WrongTreeError as error:
        print(json.dumps({"error": str(error)}), file=answers, flush=True)
        return
    print(json.dumps({"ready": list(ready), "broken": broken}), file=answers, flush=True)
    # What is loaded by now lives on: collections between rounds need not look at it again.
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in requests:
        name, calls = json.loads(line)
        print(json.dumps(timed_round(ready[name], calls)), file=answers, flush=True)
    del layout


if __name__ == "__main__":
    # What a benchmark prints must not look like an answer.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        serve(sys.stdin, channel)
