"""Metrics that each worker counts for itself, and a scrape that reaches one of them."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, make_asgi_app

from perfkit.claims import Experiment, Metric, Operation
from perfkit.claims.experiments._served import SERVED
from perfkit.claims.experiments._served import app as inner
from perfkit.claims.launching import Launched, importing, target

WORKERS, REQUESTS = 2, 10
METRIC = "http_server_request_duration_seconds_count"

experiment = Experiment(
    theme="monitoring",
    claims=["O-116"],
    question="Which share of the requests is missing from what a server with two workers shows?",
    hypothesis="A library that counts in the application and answers at /metrics shows all.",
    metric=Metric("share of requests missing", "", "count"),
    hazard="Each worker has a registry of its own, and a scrape is answered by any one of them: "
    "counts are too low, and go up and down from scrape to scrape.",
    advice="Add the workers up: with the multiprocess mode of prometheus-client, a directory that "
    "they share, or with python -m perfkit run, which does so and keeps what a dead worker "
    "counted. Do not show /metrics to the public.",
    conditions=f"uvicorn with {WORKERS} workers. Each answers as many requests as the other; "
    "what counts is the share of them that is not in the next scrape.",
    isolated=False,
)

registry = CollectorRegistry()
answered = Counter("answered", "Requests answered.", ["path"], registry=registry)
metrics = make_asgi_app(registry)
sent: dict[int, int] = defaultdict(int)

Server = Callable[..., AbstractContextManager[Launched]]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Count each request, as the library does."""
    if scope["type"] == "http" and scope["path"].startswith("/metrics"):
        await metrics(scope, receive, send)
        return
    if scope["type"] == "http":
        answered.labels(scope["path"]).inc()
    await inner(scope, receive, send)


@experiment.before
def registry_each(uvicorn: Server) -> Iterator[Operation]:
    """Counts in the registry that each worker has."""
    options = f"--workers {WORKERS} --log-level error --no-access-log"
    with uvicorn(__file__, options, apart=False) as server:
        yield lambda: missing(server, "answered_total")


@experiment.after
def workers_added_up(program: Server) -> Iterator[Operation]:
    """Counts with python -m perfkit run."""
    command = [
        sys.executable, "-m", "perfkit", "run", target(SERVED),
        "--port", "{port}", "--workers", str(WORKERS),
    ]  # fmt: skip
    with program(command, variables=importing(SERVED), apart=False) as server:
        server.wait_until(server.answers)
        yield lambda: missing(server, METRIC)


def missing(server: Launched, counter: str) -> float:
    """Return the share of all requests that a scrape does not know of."""
    for _ in server.each_worker(WORKERS):
        for _ in range(REQUESTS):
            server.get("/worker")
    sent[server.port] += WORKERS * REQUESTS
    return 1 - counted(server, counter) / sent[server.port]


def counted(server: Launched, counter: str) -> int:
    """Return what a scrape says of the requests of one route."""
    lines = server.get("/metrics").splitlines()
    ours = [line for line in lines if line.startswith(counter) and '"/worker"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in ours)
