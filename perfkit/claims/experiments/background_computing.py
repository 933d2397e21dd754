"""A background job that computes: what it does to all requests that come meanwhile."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

from perfkit.claims import OTHERS_WAIT, Experiment, Operation
from restmachine import Request, RestApplication

LOOPS = 2_000_000

experiment = Experiment(
    theme="background work",
    claims=["O-28", "O-50", "O-83"],
    question="How long does a request take while a background job computes?",
    hypothesis="Work in the background is out of the way of requests.",
    metric=OTHERS_WAIT,
    hazard="A thread shares the interpreter's lock with all requests of its process: while it "
    "computes, each request waits for a turn of milliseconds again and again.",
    advice="Threads and tasks of the same process are for jobs that wait. What computes belongs "
    "into a process of its own.",
    conditions="Two million additions in one job, and a request every millisecond as long as it "
    "runs: how late its answer was, in the mean. Requests and job share one core.",
    precision=0.5,
    matters=0.1,
)


def compute() -> int:
    """Keep the processor busy for a tenth of a second or so."""
    return sum(number & 7 for number in range(LOOPS))


@experiment.before
def in_a_thread() -> Iterator[Operation]:
    """Computes in a thread of the process that answers."""
    with ThreadPoolExecutor(1) as pool:
        yield answering_meanwhile(pool)


@experiment.after
def in_a_process() -> Iterator[Operation]:
    """Computes in another process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        yield answering_meanwhile(pool)


def answering_meanwhile(pool: Executor) -> Callable[[], float]:
    """Return what tells how long requests took in the mean while a job ran."""
    app = RestApplication()
    app.get("/")(lambda: {"hello": "world"})
    request = Request("GET", "/")

    def taken() -> float:
        job: Future[int] = pool.submit(compute)
        seconds = []
        while not job.done():
            due = time.perf_counter() + 0.001
            time.sleep(0.001)
            app.execute(request)
            seconds.append(time.perf_counter() - due)
        return sum(seconds) / len(seconds)

    return taken
