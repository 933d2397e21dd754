"""Locust with perfkit's recording: ``python -m perfkit.generator`` takes Locust's own options.

Each second of a run goes as one JSON line to the file descriptor PERFKIT_SAMPLES_FD. A
worker sends its seconds to the master through Locust's own messages, on whatever machine
it runs, and the master writes them. ``--scenarios FILE`` lists what a locustfile offers.
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter
from typing import Any

import gevent
import locust.main
from locust import events
from locust.env import Environment
from locust.exception import CatchResponseError
from locust.runners import MasterRunner, WorkerRunner
from locust.util.load_locustfile import load_locustfile

from perfkit.openloop import LATENESS, schedule
from perfkit.samples import End, Gauges, Recorder, Second
from perfkit.usage import ProcessUsage

SAMPLES_FD = "PERFKIT_SAMPLES_FD"
SECONDS_MESSAGE = "perfkit_seconds"
FINISH_MESSAGE = "perfkit_finish"
FINISHED_MESSAGE = "perfkit_finished"
FINISH_S = 5.0
ALONE = "the load generator"
ERROR_TEXT_LENGTH = 200


class Reporter:
    """Sends what a `Recorder` counted in this process to where it is wanted."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._recorder = Recorder(perf_counter)
        self._usage = ProcessUsage()
        self._worst_lag = 0.0
        self._elapsed_s = 0.0
        self._finished: set[str] = set()
        descriptor = os.environ.get(SAMPLES_FD)
        self._stream = None if descriptor is None else os.fdopen(int(descriptor), "w", buffering=1)

    def attach(self) -> None:
        """Listen to the events of a run and begin to report each second."""
        events = self._environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(self._stopping)
        events.test_stop.add_listener(self._stop)
        if isinstance(self._runner, MasterRunner):
            self._runner.register_message(SECONDS_MESSAGE, self._receive)
            self._runner.register_message(FINISHED_MESSAGE, self._note_finished)
            return
        if isinstance(self._runner, WorkerRunner):
            self._runner.register_message(FINISH_MESSAGE, self._finish, concurrent=True)
        events.request.add_listener(self._record)
        gevent.spawn(self._report_forever)

    def _record(
        self,
        request_type: str,
        name: str,
        response_time: float,
        exception: BaseException | str | None,
        context: dict[str, Any],
        response: Any = None,
        **_: Any,
    ) -> None:
        lateness = context.get(LATENESS, 0.0)
        self._worst_lag = max(self._worst_lag, lateness)
        # Locust's way to say that no answer came.
        status = getattr(response, "status_code", 0)
        answered = exception is None or status != 0
        self._recorder.record(
            name if name.startswith(f"{request_type} ") else f"{request_type} {name}",
            response_time / 1000 + lateness if answered else None,
            None if exception is None else describe(exception, status),
        )

    def _start(self, **_: Any) -> None:
        self._usage.sample()
        self._finished.clear()
        self._recorder.start()

    def _stopping(self, **_: Any) -> None:
        """Note how long users were sending; wait for what the workers still have to say."""
        self._elapsed_s = self._recorder.elapsed_s
        if isinstance(self._runner, MasterRunner):
            waited_for = {client.id for client in self._runner.clients.all}
            self._runner.send_message(FINISH_MESSAGE)
            latest = perf_counter() + self._environment.stop_timeout + FINISH_S
            while not waited_for <= self._finished and perf_counter() < latest:
                gevent.sleep(0.05)

    def _stop(self, **_: Any) -> None:
        if not isinstance(self._runner, MasterRunner):
            self._report(unfinished=True)
        if self._stream is not None:
            self._write(End(self._elapsed_s).to_json())

    def _finish(self, **_: Any) -> None:
        """As a worker, at the master's word: let open requests end, report, and say so."""
        assert self._runner is not None
        self._runner.stop()
        self._runner.send_message(FINISHED_MESSAGE)

    def _receive(self, msg: Any, **_: Any) -> None:
        for second in msg.data["seconds"]:
            self._write(second)

    def _note_finished(self, msg: Any, **_: Any) -> None:
        self._finished.add(msg.node_id)

    def _report_forever(self) -> None:
        while True:
            # A little after the turn of the second, by the clock of the recorder.
            gevent.sleep(1.05 - self._recorder.elapsed_s % 1)
            self._report()

    def _report(self, *, unfinished: bool = False) -> None:
        finished = list(self._recorder.take(unfinished=unfinished))
        if not finished or self._runner is None:
            return
        usage = self._usage.sample()
        lag, self._worst_lag = max(self._worst_lag, schedule.lag()), 0.0
        gauges = Gauges(self._runner.user_count, usage.cpu, usage.waiting, lag)
        worker = self._runner if isinstance(self._runner, WorkerRunner) else None
        source = ALONE if worker is None else f"load worker {worker.worker_index}"
        seconds = [Second(source, at, gauges, routes).to_json() for at, routes in finished]
        if worker is not None:
            worker.send_message(SECONDS_MESSAGE, {"seconds": seconds})
            return
        for second in seconds:
            self._write(second)

    def _write(self, data: dict[str, Any]) -> None:
        if self._stream is not None:
            self._stream.write(json.dumps(data, separators=(",", ":")) + "\n")


def describe(exception: BaseException | str, status: int) -> str:
    """Return one short line for a failure: what a scenario said of it, or the status.

    Locust's own text for a status holds the URL, which differs from request to request.
    """
    said = isinstance(exception, str | CatchResponseError)
    if status and not said:
        return f"status {status}"
    text = str(exception) or type(exception).__name__
    return text.splitlines()[0][:ERROR_TEXT_LENGTH]


def scenarios(locustfile: str) -> dict[str, str]:
    """Return the user classes of *locustfile* by name of scenario: their attribute of
    that name, else the class name in lower case.
    """
    users, _ = load_locustfile(os.path.abspath(locustfile))  # noqa: PTH100  # Locust wants str
    return {getattr(user, "scenario", name.lower()): name for name, user in users.items()}


def _attach(environment: Environment, **_: Any) -> None:
    Reporter(environment).attach()
    # The event loop's idea of now is as old as the imports: --run-time would be cut by them.
    gevent.get_hub().loop.update_now()


events.init.add_listener(_attach)


def main() -> None:
    """Run Locust, or list the scenarios of a locustfile as JSON."""
    if sys.argv[1:2] == ["--scenarios"]:
        print(json.dumps(scenarios(sys.argv[2])))
        return
    locust.main.main()


if __name__ == "__main__":
    main()
