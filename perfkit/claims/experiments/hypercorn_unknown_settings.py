"""A name that Hypercorn does not know in its file: the connection stays open all the same."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments._served import SERVED
from perfkit.claims.launching import Launched

KEPT_SECONDS, PAUSE_SECONDS = 0.1, 0.4
CLIENTS = 10

experiment = Experiment(
    theme="servers",
    claims=["O-17"],
    question="How many of ten idle connections outlive keep_alive in Hypercorn's file?",
    hypothesis="keep_alive = 5 lets Hypercorn close connections that are idle for 5 seconds.",
    metric=ERRORS,
    hazard="The name is keep_alive_timeout. Hypercorn takes any name without a word, and what it "
    "does not know has no effect: here the connections stay open.",
    advice="Write keep_alive_timeout, and start Hypercorn by python -m restmachine serve --config, "
    "which refuses names that mean nothing; Hypercorn itself never complains.",
    conditions="A tenth of a second stands for the time, as the default is 5 seconds already. What "
    "counts are the connections still open after four times as long.",
    isolated=False,
)

Hypercorn = Callable[..., AbstractContextManager[Launched]]


@experiment.before
def unknown_name(hypercorn: Hypercorn) -> Iterator[Operation]:
    """Writes keep_alive."""
    with hypercorn(SERVED, f"keep_alive = {KEPT_SECONDS}") as server:
        yield lambda: still_open(server)


@experiment.after
def known_name(hypercorn: Hypercorn) -> Iterator[Operation]:
    """Writes keep_alive_timeout."""
    with hypercorn(SERVED, f"keep_alive_timeout = {KEPT_SECONDS}") as server:
        yield lambda: still_open(server)


def still_open(server: Launched) -> int:
    """Return how many connections are still open some time after their one request."""
    clients = [HTTPConnection(server.host, server.port, timeout=10) for _ in range(CLIENTS)]
    for client in clients:
        client.request("GET", "/")
        client.getresponse().read()
    time.sleep(PAUSE_SECONDS)
    return sum(not closed(client) for client in clients)


def closed(client: HTTPConnection) -> bool:
    """Return whether the server has closed a connection, and close it here."""
    with closing(client):
        assert client.sock
        client.sock.setblocking(False)
        try:
            return client.sock.recv(1) == b""
        except BlockingIOError:
            return False
