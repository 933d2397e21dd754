"""A Locust user whose load can be open-loop: import it in locustfiles only.

Importing Locust patches the process for gevent, so nothing else in perfkit imports this.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter
from typing import Any

from gevent import GreenletExit
from gevent.event import Event
from locust import FastHttpUser, between, events
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from perfkit.arrivals import Arrivals

# The request context in which a user tells how late its request started, in seconds.
LATENESS = "perfkit_lateness_s"
CUT_OFF = "no answer when the run ended"


class Schedule:
    """The arrivals of this process, made when its first request asks for one."""

    def __init__(self) -> None:
        self._arrivals: Arrivals | None = None
        self._stopping = Event()

    def is_over(self) -> bool:
        """Answer whether the run has ended, so that only open requests may still end."""
        return self._stopping.is_set()

    def restart(self, **_: Any) -> None:
        """Forget the arrivals of the run before."""
        self._arrivals = None
        self._stopping.clear()

    def end(self, **_: Any) -> None:
        """Send away everyone who waits for an arrival."""
        self._stopping.set()

    def wait(self, environment: Environment, rate: float) -> float:
        """Wait for the next arrival that nobody has drawn; return how late this returns, in s.

        Raises:
            StopUser: The run is over.
        """
        if self._arrivals is None:
            self._arrivals = _own_share(environment, rate)
        due = self._arrivals.draw()
        try:
            over = self._stopping.wait(max(0.0, due - perf_counter()))
        except GreenletExit:
            over = True
        if over:
            raise StopUser
        return max(0.0, perf_counter() - due)

    def lag(self) -> float:
        """Return for how many seconds the next arrival has been waiting for a free user."""
        if self._arrivals is None or self.is_over():
            return 0.0
        return self._arrivals.lag(perf_counter())


schedule = Schedule()


class OpenLoopUser(FastHttpUser):
    """Without ``--rate`` a closed loop with a short pause; with it, requests on a schedule.

    The rate is that of requests, in all processes together, and their latency counts from
    the moment they were due. The number of users bounds how many can be open at once.
    A subclass may set another *pause*, in seconds between the tasks of a closed loop.
    """

    abstract = True
    pause = between(0.05, 0.15)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # Locust makes its session itself and offers no other way in.
        self.client.request = _accountable(self.client)  # type: ignore[method-assign]

    def wait_time(self) -> float:
        """Return the seconds between two tasks: none where requests follow a schedule."""
        return self.pause() if requested_rate(self.environment) is None else 0.0

    def context(self) -> dict[str, Any]:
        """Hold each request until it is due, and tell the recorder how late it starts.

        Locust calls this right before it sends a request.
        """
        rate = requested_rate(self.environment)
        return {} if rate is None else {LATENESS: schedule.wait(self.environment, rate)}


def _accountable(client: FastHttpSession) -> Callable[..., ResponseContextManager]:
    """Return the session's `request`, which makes the end of a run exact.

    It begins nothing any more once the run is over, and it reports a request that is still
    open when Locust loses patience: Locust drops those, so a server that hangs looks idle.
    """
    request, request_event = client.request, client.request_event

    def accountable(
        method: str, url: str, name: str | None = None, **options: Any
    ) -> ResponseContextManager:
        if schedule.is_over():
            raise StopUser
        began = perf_counter()
        try:
            return request(method, url, name=name, **options)
        except GreenletExit:
            if schedule.is_over():
                request_event.fire(
                    request_type=method,
                    name=name or client.request_name or url,
                    response_time=(perf_counter() - began) * 1000,
                    response_length=0,
                    response=None,
                    exception=CUT_OFF,
                    context={},
                )
            raise

    return accountable


def requested_rate(environment: Environment) -> float | None:
    """Return the value of ``--rate``: requests per second in all processes together."""
    return getattr(environment.parsed_options, "rate", None)


def _own_share(environment: Environment, rate: float) -> Arrivals:
    """Return the schedule of this process, which adds up to the rate with those of the others."""
    runner = environment.runner
    if not isinstance(runner, WorkerRunner):
        return Arrivals(rate, perf_counter())
    workers = getattr(environment.parsed_options, "expect_workers", 1)
    return Arrivals(rate / workers, perf_counter(), seed=runner.worker_index)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a rate is more than 0 per second, not {text}")
    return value


def _add_option(parser: LocustArgumentParser, **_: Any) -> None:
    parser.add_argument(
        "--rate",
        type=_positive,
        default=None,
        env_var="PERFKIT_RATE",
        help="Open-loop load: requests per second, in all processes together",
    )


def _refuse_closed_users(environment: Environment, runner: Any, **_: Any) -> None:
    """Stop before a run whose rate some users would ignore."""
    if requested_rate(environment) is None or isinstance(runner, MasterRunner):
        return
    for user in environment.user_classes:
        if not issubclass(user, OpenLoopUser):
            raise SystemExit(
                f"--rate needs users that follow a schedule: derive {user.__name__} "
                "from perfkit.openloop.OpenLoopUser"
            )


events.init_command_line_parser.add_listener(_add_option)
events.init.add_listener(_refuse_closed_users)
events.test_start.add_listener(schedule.restart)
events.test_stopping.add_listener(schedule.end)
