"""The form that an experiment is written in.

An experiment is one file with one `Experiment`. Its variants are functions that ask for what
they need by parameter name, a part such as ``postgres`` or one of the values that vary, set it
up, and return or yield the **operation** that is measured, a function without parameters. Both
may be async; what stands after the yield clears up.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from perfkit.errors import PerfkitError

CONTROL = "control"
"""The name of *before* when it runs against itself."""
Value = str | int | float | bool
Function = TypeVar("Function", bound=Callable[..., Any])
Operation = Callable[[], Any]
"""What is measured; a coroutine function if the variant is about async code."""
Kind = Literal["time", "cpu", "rate", "stall", "memory", "count", "told"]


class ExperimentError(PerfkitError):
    """An experiment is written in a way that cannot be run; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What decides between two variants.

    Attributes:
        kind: How it is measured: ``time`` and ``cpu`` are seconds of one call, ``stall`` the
            longest that the event loop kept another task waiting during one, ``memory`` the peak
            of what Python allocated during one, ``rate`` what the operation says that it did per
            second, ``count`` what the operation returns, and ``told`` a time which it returns.
    """

    name: str
    unit: str
    kind: Kind
    higher_is_better: bool = False

    @property
    def counted(self) -> bool:
        """Whether the same run gives the same figure again, so that no time is in it."""
        return self.kind == "count"

    @property
    def steady(self) -> bool:
        """Whether one round of a process tells as much as many."""
        return self.kind in {"count", "memory"}


LATENCY = Metric("latency", "s", "time")
CPU = Metric("processor time", "s", "cpu")
THROUGHPUT = Metric("throughput", "1/s", "rate", higher_is_better=True)
LOOP_STALL = Metric("stall of the event loop", "s", "stall")
PEAK_MEMORY = Metric("peak memory", "B", "memory")
WIRE_BYTES = Metric("bytes on the wire", "B", "count")
OTHERS_WAIT = Metric("wait of the others", "s", "told")
SERVER_CPU = Metric("processor time of the server", "s", "told")
QUERIES = Metric("queries", "queries", "count")
CALLS = Metric("calls", "calls", "count")
CONNECTIONS = Metric("connections", "connections", "count")
ERRORS = Metric("errors", "errors", "count")
HIT_RATIO = Metric("hit ratio", "", "count", higher_is_better=True)


@dataclass(kw_only=True)
class Experiment:
    """What is claimed, and two or more ways to do it which show whether that is so.

    Attributes:
        question: What is asked, in one line.
        hypothesis: What is claimed, with its figure.
        metric: What decides.
        theme: The page that tells of it.
        claims: The ids in the ledger which it answers; none for an experiment of your own.
        promised: How many times better *after* has to be for the claim to hold; 1 is any gain
            that matters.
        promises: What single claims promise instead, by their ids.
        hazard: What the usual advice breaks, where *before* follows it and *after* is the safe way.
        advice: What to do, in a sentence or two, whatever the figures are.
        conditions: What a reader must know of how it was measured.
        varies: The values of each parameter that the variants may ask for; all combinations are
            measured. The first with numbers is the horizontal axis of the plot.
        because: Why the result depends on what varies.
        needs: Parts which no parameter names.
        matters: The smallest difference that counts as one: 0.02 is 2 %.
        precision: How narrow the interval of the ratio shall be: 0.1 is a tenth of it.
        budget_s: How long it may take, in seconds; up to three times as long, while the rounds are
            too few for any answer.
        isolated: Whether each variant needs a process of its own.
        alone: Whether nothing may run beside it, although it counts: its count depends on time.
    """

    question: str
    hypothesis: str
    metric: Metric
    theme: str = "yours"
    claims: Sequence[str] = ()
    promised: float = 1.0
    promises: Mapping[str, float] = field(default_factory=dict)
    hazard: str = ""
    advice: str = ""
    conditions: str = ""
    varies: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    because: str = ""
    needs: Sequence[str] = ()
    matters: float = 0.02
    precision: float = 0.1
    budget_s: float = 20.0
    isolated: bool = True
    alone: bool = False
    variants: dict[str, Callable[..., Any]] = field(default_factory=dict, init=False)
    """By name; the first is *before*, the second *after*, others are shown beside them."""
    preparation: Callable[..., Any] | None = field(default=None, init=False)

    def before(self, function: Function) -> Function:
        """Take *function* for how it is done without the advice, or with the dangerous one."""
        if self.variants:
            raise ExperimentError(f"{function.__name__}: @experiment.before comes first, and once")
        return self._add(function)

    def after(self, function: Function) -> Function:
        """Take *function* for how it is done with the advice, or the safe way."""
        if len(self.variants) != 1:
            raise ExperimentError(
                f"{function.__name__}: @experiment.after comes once, and after @experiment.before"
            )
        return self._add(function)

    def beside(self, function: Function) -> Function:
        """Take *function* for one more way, shown beside the two and not judged."""
        if len(self.variants) < 2:
            raise ExperimentError(f"{function.__name__}: @experiment.beside comes after the two")
        return self._add(function)

    def prepare(self, function: Function) -> Function:
        """Let *function* run once, before all variants, and to its end after them."""
        self.preparation = function
        return function

    def _add(self, function: Function) -> Function:
        if function.__name__ in self.variants or function.__name__ == CONTROL:
            raise ExperimentError(f"{function.__name__}: another name, please; this one is taken")
        self.variants[function.__name__] = function
        return function

    def points(self) -> list[dict[str, Value]]:
        """Return every combination of what varies; one without values if nothing does."""
        combinations = itertools.product(*self.varies.values())
        return [dict(zip(self.varies, values, strict=True)) for values in combinations]

    def parts(self) -> list[str]:
        """Return the names of all parts that it needs, in alphabetical order."""
        functions = [*self.variants.values(), *([self.preparation] if self.preparation else [])]
        asked = {name for function in functions for name in inspect.signature(function).parameters}
        return sorted({*self.needs, *(asked - set(self.varies))})

    @property
    def timeless(self) -> bool:
        """Whether no time is in what decides it, so that others may run beside it."""
        return self.metric.steady and not self.alone

    def check(self) -> None:
        """Raise ExperimentError, in one line, where it cannot be run as it stands."""
        for problem, found in (
            ("it needs a function with @experiment.before and one with @experiment.after",
             len(self.variants) < 2),
            ("promised is how many times better: 1 or more",
             not all(1 <= one < math.inf for one in (self.promised, *self.promises.values()))),
            ("promises is for the ids in claims", not set(self.promises) <= set(self.claims)),
            ("matters and precision are shares above 0: 0.02 is 2 %",
             not (0 < self.matters < math.inf and 0 < self.precision < math.inf)),
            ("budget_s is a number of seconds above 0", not 0 < self.budget_s < math.inf),
            ("varies holds a parameter without values", not all(self.varies.values())),
            ('say why the result depends on what varies: because="..."',
             bool(self.varies) and not self.because),
        ):  # fmt: skip
            if found:
                raise ExperimentError(problem)
