"""Slow work before the answer, or handed to a thread: how soon the answer is there."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from perfkit.claims import Experiment, Metric, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="background work",
    claims=["O-28", "O-83", "O-105"],
    promises={"O-83": 100},
    question="How much sooner is an answer there when slow work follows it?",
    hypothesis="Work in the background brings an answer from 5 s to 50 ms: 100 times sooner.",
    metric=Metric("time to the answer", "s", "told"),
    varies={"job_ms": [1, 5, 50]},
    because="The answer no longer waits for the job, so the gain is the job's length against "
    "what is left: the request itself and handing the job over. There is no gain for the work, "
    "which takes as long as before.",
    advice="Hand over what the answer does not tell of, and only that. Whoever takes the job has "
    "to keep it until it is done, and to say when it failed.",
    conditions="A POST in process; the job sleeps, as one that waits for a mail server does, a "
    "hundredth and less of the seconds claimed. Each job ends before the next request.",
    precision=0.25,
)

Submit = Callable[[Callable[[], None]], Future[None] | None]


@experiment.before
def inline(job_ms: float) -> Operation:
    """Does the work, then answers."""
    return answering(job_ms, lambda job: job())


@experiment.after
def submitted(job_ms: float) -> Iterator[Operation]:
    """Hands the work to a pool of ten threads, and answers."""
    with ThreadPoolExecutor(10) as pool:
        yield answering(job_ms, pool.submit)


def answering(job_ms: float, submit: Submit) -> Operation:
    """Return what answers one request and tells how long that took."""
    app = RestApplication()
    given: list[Future[None] | None] = []

    @app.post("/users")
    def create_user() -> tuple[dict[str, str], int]:
        given.append(submit(lambda: time.sleep(job_ms / 1000)))
        return {"name": "Ada"}, 201

    def answered() -> float:
        started = time.perf_counter()
        app.execute(Request("POST", "/users"))
        elapsed = time.perf_counter() - started
        if job := given.pop():
            job.result()
        return elapsed

    return answered
