"""Keep-alives of 2, 5 and 65 seconds, for clients that pause: how often they connect."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection, RemoteDisconnected

from perfkit.claims import CONNECTIONS, Experiment, Operation
from perfkit.claims.experiments import _tuned
from perfkit.claims.launching import Launched, importing

REQUESTS = 2
SCALE = 25
"""How many times as long everything is in the claim."""

experiment = Experiment(
    theme="servers",
    claims=["O-114"],
    question="How many connections does a client need whose requests are some seconds apart?",
    hypothesis="A keep-alive of 5 seconds instead of 2 spares clients connecting again.",
    metric=CONNECTIONS,
    varies={"pause_s": [3, 10]},
    because="A connection is used again if the next request comes before it is closed. Two "
    "keep-alives differ for the pauses that lie between them alone.",
    advice="Look at the pauses of your clients. Behind a proxy what matters is to keep connections "
    "longer than the proxy does.",
    conditions=f"{REQUESTS} requests of one client to uvicorn; all times are divided by {SCALE}. "
    "The third way keeps connections for 65 seconds.",
    isolated=False,
    budget_s=30,
)

Program = Callable[..., AbstractContextManager[Launched]]


@experiment.before
def two_seconds(program: Program, pause_s: float) -> Iterator[Operation]:
    """Keeps connections for 2 seconds."""
    yield from visiting(program, 2, pause_s)


@experiment.after
def five_seconds(program: Program, pause_s: float) -> Iterator[Operation]:
    """Keeps connections for 5 seconds."""
    yield from visiting(program, 5, pause_s)


@experiment.beside
def longer_than_a_proxy(program: Program, pause_s: float) -> Iterator[Operation]:
    """Keeps connections for 65 seconds."""
    yield from visiting(program, 65, pause_s)


def visiting(program: Program, kept_s: float, pause_s: float) -> Iterator[Operation]:
    """Yield what sends requests with pauses and returns how many connections that took."""
    command = [sys.executable, _tuned.__file__, "{port}", str(kept_s / SCALE)]
    with program(command, variables=importing(_tuned.__file__)) as server:
        server.wait_until(server.answers)
        yield lambda: connections(server, pause_s / SCALE)


def connections(server: Launched, pause_s: float) -> int:
    """Return how many connections a client opens."""
    opened = 0
    with closing(HTTPConnection(server.host, server.port, timeout=10)) as client:
        for number in range(REQUESTS):
            time.sleep(pause_s if number else 0)
            answered = False
            while not answered:
                opened += client.sock is None
                try:
                    client.request("GET", "/")
                    client.getresponse().read()
                    answered = True
                except (RemoteDisconnected, ConnectionError):
                    client.close()
    return opened
