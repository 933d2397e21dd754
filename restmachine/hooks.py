"""Everything that an observer may learn of a request, with its meaning and units.

Subclass `Observer` and hand an instance to `RestApplication.observe`. What it overrides, and
the kinds of entries that it names, are wired into the plans of the routes which it watches
when these are compiled; a route that nothing observes runs code which has no trace of them.

An observer is called when a request has started, when its response starts, and when it
is finished, exactly once, also after an error, a disconnect or a cancellation. Requests
overlap freely: what belongs to one is kept in `exchange.notes`, a dict of that request's own.

What happened between is written down in `exchange.timeline`, a list of entries, since a call
for each would cost more than most of what it told of. An entry is a tuple of its kind, its
subject, and when it started and ended:

========== ============================== ====================================================
kind       subject                        from its start to its end
========== ============================== ====================================================
CONTENT    how many bytes came            a piece of the request's content was waited for
WORKER     ""                             the request waited for a worker thread
LOOP       ""                             a worker thread waited for the event loop, on which
                                          something async was to run, or the request to go on
DECISION   the chart's id, and the answer a decision was answered; many, so it costs more
DEPENDENCY its name                       a dependency was made or failed, its own needs before
HANDLER    its name                       the handler ran, once its dependencies were made
RENDERING  ""                             what the handler returned, or a status without a
                                          result, became the response
FAILURE    the exception                  it became the response instead
ENDING     ""                             error handlers and default header fields were called
TEARDOWN   the dependency's name          a generator dependency was finished
STREAMING  ""                             a piece of a stream was made
SENDING    how many bytes of content      the server took the response, or a piece of a stream
========== ============================== ====================================================

Entries stand in the order in which they ended. They do not overlap, so that their times add up,
except that one entry may contain whole others: a function that reads the content itself contains
that, rendering the validators which are made for it, an ending all that its functions ask for,
a decision all that was needed to answer it, and what is async but was asked for on a worker
thread, or by what is there, the waits for the event loop.

A request on the direct way, of which the adapter knows before that it asks nothing of the diagram,
has no entries at first. `exchange.marks` has the reading at its start and one at the end of each
of `exchange.plan.places`, a kind and a subject for each; entries are made of them when
`exchange.timeline` is first asked for. Of others `exchange.marks` has the start alone.

Every time is a reading of `time.perf_counter`, in seconds; one reading may end an entry and start
the next. An observer must not raise; if it does, the error is logged once and the request goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from restmachine.exchange import Exchange

CONTENT: Final = "content"
WORKER: Final = "worker"
LOOP: Final = "loop"
DECISION: Final = "decision"
DEPENDENCY: Final = "dependency"
HANDLER: Final = "handler"
RENDERING: Final = "rendering"
FAILURE: Final = "failure"
ENDING: Final = "ending"
TEARDOWN: Final = "teardown"
STREAMING: Final = "streaming"
SENDING: Final = "sending"

KINDS = frozenset(
    {
        CONTENT,
        WORKER,
        LOOP,
        DEPENDENCY,
        HANDLER,
        RENDERING,
        FAILURE,
        ENDING,
        TEARDOWN,
        STREAMING,
        SENDING,
    }
)
"""Every kind of entry but the decisions."""

Entry = tuple[str, Any, float, float]
"""The kind, the subject, and the readings of the clock at the start and at the end."""

Places = Sequence[tuple[str, str]]
"""The kind and the subject of what ends at each mark but the first."""

Value = TypeVar("Value")

_PATIENCE_SECONDS = 0.1
"""How long a worker thread waits for a step to end; then nobody is told of its own."""

logger = logging.getLogger("restmachine")


class Steps:
    """Follows one request on the threads that run it, for what a thread must be asked.

    The request runs in steps: from one await to the next on the event loop, or a function on a
    worker thread. `resumed` and `suspended` come in turns, around each step and on its thread.
    """

    def resumed(self) -> None:
        """The request begins, or goes on, to run on the calling thread."""

    def suspended(self) -> None:
        """The request no longer runs on the calling thread."""

    def run(self, step: Callable[[Any], Value], argument: Any) -> Value:
        """Run a step; override it to be on the stack of all that the request does."""
        return step(argument)


class Observer:
    """Hears of each request; every method does nothing until it is overridden.

    Attributes:
        kinds: The kinds of entries that it wants to find in a timeline.
    """

    kinds: Collection[str] = ()

    def of_route(self, method: str, template: str | None) -> Observer | None:
        """Return who hears of the requests of a route: this one, one of the route's own, or nobody.

        It is asked once for each route when that is compiled. The template is None for paths
        without a route, which have any method.
        """
        return self

    def request_started(self, exchange: Exchange, now: float) -> None:
        """The route is known and nothing else has happened."""

    def enters(self, now: float) -> bool:
        """A request starts on the direct way: return whether it is enough to hear that.

        Then neither `request_started` nor `follow` comes, and at its end `passed` instead of
        `request_finished`, unless it leaves that way or another observer of the route wants more
        of it. Where one of them does not override this, or hears of the start of responses, none
        is asked: then there is always an exchange.
        """
        return False

    def passed(self, marks: list[float], sent_bytes: int) -> None:
        """A request that has no exchange is over, *marks* being what `exchange.marks` would."""

    def follow(self, exchange: Exchange) -> Steps | None:
        """Return what is told of each step of a request that has just started, None for most.

        A followed request costs a call before and after every await; another costs this one.
        The last step ends before `request_finished`; to hand the response to the server is none.
        """
        return None

    def response_started(self, exchange: Exchange, status: int, now: float) -> None:
        """The status and header fields are handed to the server next.

        The observer may add to them with `exchange.add_field`.
        """

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        """The last byte was handed to the server and every dependency is torn down.

        *sent_bytes* counts content without header fields. *status* is 499 when the
        client left before the response started.
        """


def entries(
    places: Places, marks: Sequence[float], sent_bytes: int, first: int = 0
) -> Iterator[Entry]:
    """Yield the entries of what ended at the marks of a request, from a place on."""
    for (kind, subject), started, ended in zip(
        places[first:], marks[first:], marks[first + 1 :], strict=False
    ):
        yield kind, sent_bytes if kind is SENDING else subject, started, ended


@dataclass(slots=True, frozen=True)
class Hears:
    """What those who observe one plan hear of; functions never raise, None where nobody listens.

    Attributes:
        kinds: The kinds of entries that anybody wants.
        enters: Asks everybody whether an entry into the direct way is enough, and returns what
            those for whom it is not hear of; None if there are none.
        passed: Tells everybody who wants it of the end of a request that has no exchange.
    """

    request_started: Callable[[Exchange, float], None] | None = None
    follow: Callable[[Exchange], Steps | None] | None = None
    response_started: Callable[[Exchange, int, float], None] | None = None
    request_finished: Callable[[Exchange, int, int, float], None] | None = None
    kinds: frozenset[str] = frozenset()
    enters: Callable[[float], Hears | None] | None = None
    passed: Callable[[list[float], int], None] | None = None

    @property
    def anything(self) -> bool:
        """Whether there is anything to be told."""
        return self != SILENCE

    def note(
        self, exchange: Exchange, kind: str, subject: Any, started: float, ended: float
    ) -> None:
        """Write an entry into a timeline if anybody wants it."""
        if kind in self.kinds:
            exchange.timeline.append((kind, subject, started, ended))


SILENCE = Hears()


def hears(observers: Sequence[Observer], method: str, template: str | None) -> Hears:
    """Return what those of the observers who watch a route hear of it."""
    found = (observer.of_route(method, template) for observer in observers)
    watching = [observer for observer in found if observer is not None]
    if not watching:
        return SILENCE
    heard = _heard_by(watching)
    asked = _overridden(watching, "enters")
    if len(asked) < len(watching) or heard.response_started is not None:
        return heard
    passed = _each_of(_two_facts, _overridden(watching, "passed"))
    return replace(heard, enters=_entering(watching), passed=passed)


def _heard_by(watching: Sequence[Observer]) -> Hears:
    """Return what the observers hear of once it is known that an entry is not enough."""
    return Hears(
        request_started=_each_of(_two_facts, _overridden(watching, "request_started")),
        follow=_following(watching),
        response_started=_each_of(_three_facts, _overridden(watching, "response_started")),
        request_finished=_each_of(_four_facts, _overridden(watching, "request_finished")),
        kinds=frozenset(kind for observer in watching for kind in observer.kinds),
    )


def _entering(watching: Sequence[Observer]) -> Callable[[float], Hears | None]:
    """Return how all are asked, each of whom overrides `Observer.enters`."""
    if len(watching) == 1:
        return _entering_alone(watching[0])
    asked = tuple(enumerate(each.enters for each in watching))
    heard: dict[tuple[int, ...], Hears] = {}

    def enter(now: float) -> Hears | None:
        wanting: tuple[int, ...] = ()
        for number, enters in asked:
            try:
                if enters(now):
                    continue
            except Exception:
                report(enters)
            wanting += (number,)
        if not wanting:
            return None
        if wanting not in heard:
            heard[wanting] = _heard_by([watching[number] for number in wanting])
        return heard[wanting]

    return enter


def _entering_alone(observer: Observer) -> Callable[[float], Hears | None]:
    """Do what `_entering` does without a loop (bench_instrument.py::bench_instrumented_get)."""
    enters, heard = observer.enters, _heard_by([observer])

    def enter(now: float) -> Hears | None:
        try:
            if enters(now):
                return None
        except Exception:
            report(enters)
        return heard

    return enter


def _overridden(observers: Sequence[Observer], event: str) -> list[Callable[..., Any]]:
    original = getattr(Observer, event)
    return [
        getattr(observer, event)
        for observer in observers
        if getattr(type(observer), event) is not original
    ]


def _following(observers: Sequence[Observer]) -> Callable[[Exchange], Steps | None] | None:
    followers = _overridden(observers, "follow")

    def follow(exchange: Exchange) -> Steps | None:
        followed = []
        for each in followers:
            try:
                steps = each(exchange)
            except Exception:
                report(each)
            else:
                if steps is not None:
                    followed.append(steps)
        return _GuardedSteps(followed) if followed else None

    return follow if followers else None


class _GuardedSteps(Steps):
    """Tells all that follow one request, the one that resumed last being suspended first.

    A worker thread may take a job before the step that gave it has ended, and waits for that. An
    event loop never waits: where it must run a request that a thread still works for, since
    that was cancelled, nobody is told of the step.
    """

    __slots__ = ("_followed", "_running", "_runs", "_turn")

    def __init__(self, followed: Sequence[Steps]) -> None:
        self._followed = followed
        self._runs = [each.run for each in followed if type(each).run is not Steps.run]
        self._turn = Lock()
        self._running: int | None = None

    def resumed(self) -> None:
        patience = _PATIENCE_SECONDS if asyncio._get_running_loop() is None else 0.0
        if not self._turn.acquire(timeout=patience):
            return
        self._running = get_ident()
        for steps in self._followed:
            try:
                steps.resumed()
            except Exception:
                report(type(steps).resumed)

    def suspended(self) -> None:
        if self._running != get_ident():
            return
        for steps in reversed(self._followed):
            try:
                steps.suspended()
            except Exception:
                report(type(steps).suspended)
        self._running = None
        self._turn.release()

    def run(self, step: Callable[[Any], Value], argument: Any) -> Value:
        for run in self._runs:
            step = partial(run, step)
        return step(argument)


def _each_of(
    guard: Callable[[Callable[..., None]], Callable[..., None]],
    listeners: Sequence[Callable[..., None]],
) -> Callable[..., None] | None:
    """Return what tells each of the listeners and never raises, None if there are none."""
    guarded = [guard(each) for each in listeners]
    if len(guarded) <= 1:
        return guarded[0] if guarded else None

    def tell(*facts: Any) -> None:
        for each in guarded:
            each(*facts)

    return tell


# Hot path: one guard for any number of facts would cost more than the call that it guards
# (bench_features.py::bench_observer_on).
def _two_facts(listener: Callable[..., None]) -> Callable[..., None]:
    def guarded(first: Any, second: Any) -> None:
        try:
            listener(first, second)
        except Exception:
            report(listener)

    return guarded


def _three_facts(listener: Callable[..., None]) -> Callable[..., None]:
    def guarded(exchange: Exchange, status: int, now: float) -> None:
        try:
            listener(exchange, status, now)
        except Exception:
            report(listener)

    return guarded


def _four_facts(listener: Callable[..., None]) -> Callable[..., None]:
    def guarded(exchange: Exchange, status: int, sent_bytes: int, now: float) -> None:
        try:
            listener(exchange, status, sent_bytes, now)
        except Exception:
            report(listener)

    return guarded


class Stepped:
    """Runs a coroutine when it is awaited, and tells of each of its steps."""

    __slots__ = ("_coroutine", "_steps")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self._coroutine = coroutine
        self._steps = steps

    def __await__(self) -> Generator[Any, None, Any]:
        raised: BaseException | None = None
        try:
            while True:
                try:
                    if raised is None:
                        awaited = one_step(self._steps, self._coroutine.send, None)
                    else:
                        awaited = one_step(self._steps, self._coroutine.throw, raised)
                except StopIteration as returned:
                    return returned.value
                raised = None
                try:
                    yield awaited
                except GeneratorExit:
                    raise
                except BaseException as error:
                    raised = error
        finally:
            self._coroutine.close()


async def stepped(coroutine: Coroutine[Any, Any, Value], steps: Steps) -> Value:
    """Run a coroutine and tell of each of its steps."""
    value: Value = await Stepped(coroutine, steps)
    return value


def one_step(steps: Steps | None, function: Callable[[Any], Value], argument: Any) -> Value:
    """Call a function of a request, and tell those who follow it."""
    if steps is None:
        return function(argument)
    steps.resumed()
    try:
        return steps.run(function, argument)
    finally:
        steps.suspended()


_failed: set[Callable[..., Any]] = set()


def report(listener: Callable[..., Any]) -> None:
    """Log the error that is being handled, once for each listener."""
    if listener not in _failed:
        _failed.add(listener)
        logger.exception("The observer %s failed; further failures are not logged", listener)
