"""Settings of uvicorn in a file for gunicorn: none of them has an effect, and nobody says so."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments._served import SERVED
from perfkit.claims.launching import Launched
from perfkit.scrape import fetch

NAMED = """
loop = "asyncio"
http = "h11"
limit_concurrency = 2
"""
PASSED_ON = """
from uvicorn_worker import UvicornWorker

class Tuned(UvicornWorker):
    CONFIG_KWARGS = {"loop": "asyncio", "http": "h11", "limit_concurrency": 2}

worker_class = Tuned
"""

experiment = Experiment(
    theme="servers",
    claims=["O-16"],
    question="How many of three settings of uvicorn's have no effect in a file for gunicorn?",
    hypothesis="loop, http and limit_concurrency in a settings file tune the server.",
    metric=ERRORS,
    hazard="gunicorn ignores names that it does not know. The limit that should protect the server "
    "is not there, and nothing says so.",
    advice="Hand uvicorn's settings on in CONFIG_KWARGS of a class of your own, and look at the "
    "running server whether a setting holds.",
    conditions="gunicorn with one worker of uvicorn's. The settings are the opposite of the "
    "defaults, so that they show: asyncio's loop, the parser h11, and a limit that one "
    "idle connection fills by half.",
    isolated=False,
)

Gunicorn = Callable[..., AbstractContextManager[Launched]]


@experiment.before
def names_of_uvicorn(gunicorn: Gunicorn) -> Iterator[Operation]:
    """Writes uvicorn's settings into gunicorn's file."""
    with gunicorn(SERVED, settings=NAMED) as server:
        yield lambda: without_effect(server)


@experiment.after
def worker_of_ones_own(gunicorn: Gunicorn) -> Iterator[Operation]:
    """Hands them on with a worker class."""
    with gunicorn(SERVED, settings=PASSED_ON) as server:
        yield lambda: without_effect(server)


def without_effect(server: Launched) -> int:
    """Return how many of the settings do not show."""
    with closing(HTTPConnection(server.host, server.port, timeout=10)) as client:
        client.request("GET", "/modules")
        loaded = json.loads(client.getresponse().read())
        second = fetch(server.url)
    return len(loaded) + (second is None or second[0] != 503)
