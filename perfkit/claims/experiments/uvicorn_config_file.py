"""Settings in a Python file: uvicorn has no option to read one."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments._served import SERVED
from perfkit.claims.launching import Launched, importing, target
from perfkit.scrape import fetch

REQUESTS = 10
SETTINGS = """
import multiprocessing

bind = "127.0.0.1:{port}"
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "uvicorn.workers.UvicornWorker"
loop = "uvloop"
http = "httptools"
log_level = "warning"
access_log = False
limit_concurrency = 1000
"""

experiment = Experiment(
    theme="servers",
    claims=["O-16"],
    question="How many of ten requests fail when uvicorn is started with --config file.py?",
    hypothesis="uvicorn app:app --config uvicorn_config.py serves with the settings of the file.",
    metric=ERRORS,
    hazard="uvicorn knows no --config: it ends with status 2 before it serves anything. The file "
    "is gunicorn's, which in turn ignores what only uvicorn knows.",
    advice="Give uvicorn options or UVICORN_ variables, or start it with python -m restmachine "
    "serve --config, which reads such a file and refuses names that mean nothing. Twice the cores "
    "plus one is a rule for workers that block; measure your own number.",
    conditions="Both commands get the same file; what counts are the requests without an answer "
    "once the server has started or ended.",
    isolated=False,
)

Program = Callable[..., AbstractContextManager[Launched]]


@experiment.before
def option_of_uvicorn(program: Program) -> Iterator[Operation]:
    """Starts uvicorn with --config."""
    words = ["uvicorn", target(SERVED), "--port", "{port}", "--config", "{folder}/settings.py"]
    yield from asked(program, words)


@experiment.after
def option_of_restmachine(program: Program) -> Iterator[Operation]:
    """Starts restmachine serve with --config, which starts uvicorn."""
    words = ["restmachine", "serve", target(SERVED), "--config", "{folder}/settings.py"]
    yield from asked(program, words)


def asked(program: Program, words: Sequence[str]) -> Iterator[Operation]:
    """Yield what counts the requests that a server leaves without an answer."""
    command = [sys.executable, "-m", *words]
    with program(
        command, files={"settings.py": SETTINGS}, variables=importing(SERVED), apart=False
    ) as server:

        def unanswered() -> int:
            server.wait_until(server.answers, or_end=True)
            return sum(fetch(server.url) is None for _ in range(REQUESTS))

        yield unanswered
