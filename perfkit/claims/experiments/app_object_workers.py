"""Several workers for an application that is handed over as an object."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import uvicorn

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.launching import Launched, importing, target
from perfkit.scrape import fetch
from restmachine import ASGIAdapter, RestApplication

REQUESTS = 10

experiment = Experiment(
    theme="servers",
    claims=["O-61"],
    question="How many of ten requests fail when uvicorn.run gets an object and four workers?",
    hypothesis="uvicorn.run(app, workers=4) serves the application with four processes.",
    metric=ERRORS,
    hazard="A process that starts later cannot get an object of this one: uvicorn says in one "
    "line that it needs an import string, ends with status 3, and nothing is served.",
    advice='Hand over where the application is, "module:app", and have the process manager restart '
    "what ends.",
    conditions="uvicorn.run in a process of its own; what counts are the requests without an "
    "answer once it has started or ended.",
    isolated=False,
)

application = RestApplication()
application.get("/")(lambda: {"hello": "world"})
app = ASGIAdapter(application)

Program = Callable[..., AbstractContextManager[Launched]]


@experiment.before
def object_handed_over(program: Program) -> Iterator[Operation]:
    """Gives uvicorn the application itself."""
    with started(program, "object") as server:
        yield lambda: unanswered(server)


@experiment.after
def import_string(program: Program) -> Iterator[Operation]:
    """Gives uvicorn the place to import it from."""
    with started(program, "string") as server:
        yield lambda: unanswered(server)


def started(program: Program, how: str) -> AbstractContextManager[Launched]:
    """Run this file as a program."""
    command = [sys.executable, __file__, "{port}", how]
    return program(command, variables=importing(__file__), apart=False)


def unanswered(server: Launched) -> int:
    """Return how many of the requests get no answer."""
    server.wait_until(server.answers, or_end=True)
    return sum(fetch(server.url) is None for _ in range(REQUESTS))


if __name__ == "__main__":
    what = app if sys.argv[2] == "object" else target(__file__)
    uvicorn.run(what, port=int(sys.argv[1]), workers=4, log_level="warning", access_log=False)
