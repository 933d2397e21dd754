"""Jobs that fail in a pool of threads: an exception waits in a future that nobody reads."""

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from perfkit.claims import ERRORS, Experiment, Operation

JOBS = 10

experiment = Experiment(
    theme="background work",
    claims=["O-28"],
    question="How many of ten failed jobs does anybody hear of?",
    hypothesis="An e-mail is handed to a pool of threads, and that is all there is to do.",
    metric=ERRORS,
    hazard="A job that fails keeps its exception in its future. When nobody reads that there is "
    "no log line, no answer, no figure: the e-mail is not sent, and the client has its 201.",
    advice="Give each future a callback that logs and counts what went wrong, or read the result "
    "where somebody can act on it.",
    conditions="Ten jobs, all of which fail; what is counted are those of which no record reached "
    "the log.",
)

logger = logging.getLogger("claims.jobs")


def send_mail() -> None:
    """Fail, as sending does when the mail server is away."""
    raise ConnectionError("the mail server is away")


def tell(done: Future[None]) -> None:
    """Log what a job raised."""
    if error := done.exception():
        logger.error("a job failed", exc_info=error)


class Heard(logging.Handler):
    """Counts the records that reach it."""

    records = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self.records += 1


@experiment.before
def future_unread() -> Iterator[Operation]:
    """Submits, and forgets the future."""
    yield from submitting(told=False)


@experiment.after
def future_told() -> Iterator[Operation]:
    """Submits, and has failures logged."""
    yield from submitting(told=True)


def submitting(*, told: bool) -> Iterator[Operation]:
    """Yield what submits the jobs and returns how many failures nobody heard of."""
    heard = Heard()
    logger.addHandler(heard)
    logger.propagate = False

    def unheard() -> int:
        heard.records = 0
        with ThreadPoolExecutor(10) as pool:
            for _ in range(JOBS):
                future = pool.submit(send_mail)
                if told:
                    future.add_done_callback(tell)
        return JOBS - heard.records

    yield unheard
    logger.removeHandler(heard)
