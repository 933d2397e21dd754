"""A server that is told to end while jobs are at work: how many of them are lost."""

import http.client
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from perfkit.claims import Experiment, Metric, Operation
from restmachine import ASGIAdapter, RestApplication

JOBS, THREADS, JOB_SECONDS = 20, 10, 0.3
FORK = multiprocessing.get_context("fork")

experiment = Experiment(
    theme="background work",
    claims=["O-28"],
    question="How many accepted jobs does a restart of the server lose?",
    hypothesis="What was handed to the background will be done.",
    metric=Metric("jobs lost", "jobs", "count"),
    hazard="Each of these jobs was answered 202 Accepted. uvicorn ends on SIGTERM by that very "
    "signal, so no thread is waited for: every deployment loses what was waiting and what was "
    "half done.",
    advice="Wait for the pool in a shutdown hook, and give the server as long as that takes. What "
    "must not be lost when the process is killed belongs into a database or a broker before the "
    "answer.",
    conditions="restmachine on uvicorn in a process of its own; twenty requests with a job of "
    "300 ms each for ten threads, then SIGTERM. With SIGKILL both lose all that is not done.",
)


@experiment.before
def pool_left_alone() -> Operation:
    """Has no hook at shutdown."""
    return lambda: lost_jobs(lambda app, pool: None)


@experiment.after
def pool_waited_for() -> Operation:
    """Waits for the pool at shutdown."""
    return lambda: lost_jobs(lambda app, pool: app.on_shutdown(lambda: pool.shutdown()))


def lost_jobs(prepare: Callable[[RestApplication, ThreadPoolExecutor], object]) -> int:
    """Serve, hand over the jobs, end the server, and return how many jobs were not done."""
    done = FORK.Value("i", 0)

    def job() -> None:
        time.sleep(JOB_SECONDS)
        with done.get_lock():
            done.value += 1

    def serve(listener: socket.socket) -> None:
        app, pool = RestApplication(), ThreadPoolExecutor(THREADS)
        prepare(app, pool)

        @app.post("/jobs")
        def accept() -> tuple[None, int]:
            pool.submit(job)
            return None, 202

        config = uvicorn.Config(ASGIAdapter(app), log_level="error", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server: Any = FORK.Process(target=serve, args=[listener])
        server.start()
        client = http.client.HTTPConnection(*listener.getsockname())
        for _ in range(JOBS):
            client.request("POST", "/jobs")
            assert client.getresponse().read() == b""
        client.close()
        os.kill(server.pid, signal.SIGTERM)
        server.join(20)
    lost: int = JOBS - done.value
    return lost
