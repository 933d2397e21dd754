"""The time to a whole answer, plain or with gzip, over links from slow to fast."""

import gzip
import http.client
import json
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from starlette.middleware.gzip import GZipMiddleware

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links
from restmachine import ASGIAdapter, RestApplication

experiment = Experiment(
    theme="compression",
    claims=["O-25", "O-87", "O-108"],
    question="Up to which rate of the link does gzip make an answer faster?",
    hypothesis="A compressed answer arrives sooner.",
    metric=LATENCY,
    varies={"megabit_per_s": [5, 50, 500, 2000]},
    because="Compressing takes the same time at any rate; what it saves is time on the link.",
    advice="Compress for clients on the internet; between services of one data centre it makes "
    "answers later. Let the proxy do it, or choose level 1, where the processor is the limit.",
    conditions="Some 48 KiB of rows as JSON; restmachine on uvicorn, client and server in one "
    "process; the client decompresses. The rate of the link is made by a proxy, and 2000 Mbit/s "
    "is near what that can carry.",
    precision=0.15,
    budget_s=30,
)

Served = Callable[[Any], AbstractContextManager[tuple[str, int]]]


def application() -> ASGIAdapter:
    """Serve 600 rows as JSON."""
    lot = random.Random(7)
    rows = json.dumps(
        [{"id": lot.randrange(10**9), "name": f"item {row}", "price": lot.random()}
         for row in range(700)]
    ).encode()  # fmt: skip
    app = RestApplication()
    app.get("/")(lambda: (rows, 200, {"Content-Type": "application/json"}))
    return ASGIAdapter(app)


@experiment.before
def plain(served: Served, link: Links, megabit_per_s: float) -> Iterator[Operation]:
    """Sends the answer as it is."""
    with served(application()) as address:
        yield from fetching(address, link, megabit_per_s)


@experiment.after
def compressed(served: Served, link: Links, megabit_per_s: float) -> Iterator[Operation]:
    """Sends it through GZipMiddleware at level 6."""
    app = GZipMiddleware(application(), minimum_size=1000, compresslevel=6)
    with served(app) as address:
        yield from fetching(address, link, megabit_per_s)


@experiment.beside
def least_compressed(served: Served, link: Links, megabit_per_s: float) -> Iterator[Operation]:
    """Sends it through GZipMiddleware at level 1."""
    app = GZipMiddleware(application(), minimum_size=1000, compresslevel=1)
    with served(app) as address:
        yield from fetching(address, link, megabit_per_s)


@experiment.beside
def most_compressed(served: Served, link: Links, megabit_per_s: float) -> Iterator[Operation]:
    """Sends it through GZipMiddleware at level 9, its default."""
    app = GZipMiddleware(application(), minimum_size=1000)
    with served(app) as address:
        yield from fetching(address, link, megabit_per_s)


def fetching(address: tuple[str, int], link: Links, megabit_per_s: float) -> Iterator[Operation]:
    """Yield what fetches the answer over a link, on a connection that is kept."""
    with link.to(*address, bytes_per_s=megabit_per_s * 1e6 / 8) as (host, port):
        client = http.client.HTTPConnection(host, port)

        def fetch() -> bytes:
            client.request("GET", "/", headers={"Accept-Encoding": "gzip"})
            response = client.getresponse()
            content = response.read()
            return gzip.decompress(content) if response.getheader("Content-Encoding") else content

        yield fetch
        client.close()
