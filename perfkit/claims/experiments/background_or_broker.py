"""Long jobs in the process that serves, or with a broker: what is left when that process ends."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from celery import Celery  # type: ignore[import-untyped]  # it ships no types

from perfkit.claims import Experiment, Metric, Operation
from perfkit.claims.launching import Launched
from restmachine import ASGIAdapter, RestApplication

JOBS, JOB_SECONDS = 5, 0.05
BROKER, HOW, DONE = "CLAIMS_BROKER", "CLAIMS_HOW", "CLAIMS_DONE"

experiment = Experiment(
    theme="background work",
    claims=["O-106"],
    question=f"How many of {JOBS} accepted jobs are done when the web process is killed meanwhile?",
    hypothesis="Celery carries long jobs that a background task of the process would lose.",
    metric=Metric("jobs done", "jobs", "count", higher_is_better=True),
    advice="Give a broker what must not be lost, with acks_late so that a worker's own death loses "
    "nothing either, and jobs that may run twice. What may be lost needs no broker.",
    conditions=f"Jobs of {JOB_SECONDS * 1000:.0f} ms stand for hours. The web process is killed "
    "when the first job is done, and the jobs get twice as long as they need.",
    isolated=False,
    budget_s=30,
)

tasks = Celery("claims", broker=os.environ.get(BROKER, "memory://"))
tasks.conf.task_default_queue = f"claims-{os.environ.get(DONE, '')}"
pool = ThreadPoolExecutor(1)
application = RestApplication()
app = ASGIAdapter(application)

Server = Callable[..., AbstractContextManager[Launched]]


@tasks.task(name="job", ignore_result=True)  # type: ignore[untyped-decorator]  # nor annotates it
def job(number: int) -> None:
    """Take a while, then leave a file behind."""
    time.sleep(JOB_SECONDS)
    Path(os.environ[DONE], str(number)).touch()


@application.get("/start")
def start() -> str:
    """Accept all jobs."""
    for number in range(JOBS):
        if os.environ[HOW] == "celery":
            job.delay(number)
        else:
            pool.submit(job, number)
    return "accepted"


@experiment.before
def in_the_process(uvicorn: Server) -> Iterator[Operation]:
    """Works the jobs off in a thread of the web process."""
    with TemporaryDirectory() as folder:
        yield lambda: done(uvicorn, None, {DONE: folder, HOW: "thread"})


@experiment.after
def with_a_broker(uvicorn: Server, celery: Server, redis: str) -> Iterator[Operation]:
    """Hands the jobs to a worker of Celery's."""
    with TemporaryDirectory() as folder:
        variables = {DONE: folder, HOW: "celery", BROKER: redis}
        yield lambda: done(uvicorn, celery, variables)


def done(uvicorn: Server, celery: Server | None, variables: dict[str, str]) -> int:
    """Accept the jobs, kill the web process, and return how many jobs are done in the end."""
    folder = Path(variables[DONE])
    with ExitStack() as stack:
        if celery:
            stack.enter_context(celery(__file__, variables=variables))
        server = stack.enter_context(uvicorn(__file__, variables=variables))
        server.get("/start")
        server.wait_until(lambda: any(folder.iterdir()))
        os.kill(server.process.pid, signal.SIGKILL)
        time.sleep(2 * JOBS * JOB_SECONDS)
        finished = [*folder.iterdir()]
    for file in finished:
        file.unlink()
    return len(finished)
