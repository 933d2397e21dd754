"""A limit on requests that each worker counts for itself."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from uuid import uuid4

from limits import RateLimitItemPerHour
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from perfkit.claims import Experiment, Metric, Operation
from perfkit.claims.launching import Launched
from restmachine import ASGIAdapter, Request, RestApplication

WORKERS, LIMIT = 4, 10
STORE = "CLAIMS_LIMIT_STORE"

experiment = Experiment(
    theme="servers",
    claims=["O-85"],
    question=f"How many requests beyond {LIMIT} do {WORKERS} workers let through?",
    hypothesis="A limit for each address lets so many requests through, and answers 429 after.",
    metric=Metric("requests beyond the limit", "requests", "count"),
    hazard="Kept in memory, a limit is each worker's own: four workers let four times as many "
    "through.",
    advice="Count in a store that all workers share, Redis for example, or limit in the proxy, "
    "which is one.",
    conditions=f"The library that slowapi counts with, an hour for its minute, and uvicorn with "
    f"{WORKERS} workers; each worker is asked until it refuses.",
    isolated=False,
)

limit = RateLimitItemPerHour(LIMIT)
limiter = FixedWindowRateLimiter(storage_from_string(os.environ.get(STORE, "memory://")))
application = RestApplication()
app = ASGIAdapter(application)

Uvicorn = Callable[..., AbstractContextManager[Launched]]


@application.get("/data")
def data(request: Request) -> str:
    """Answer within the limit of a client, and say so beyond it."""
    return "data" if limiter.hit(limit, request.query_params["client"]) else "refused"


@experiment.before
def in_memory(uvicorn: Uvicorn) -> Iterator[Operation]:
    """Keeps the count in the memory of each worker."""
    yield from counted(uvicorn, "memory://")


@experiment.after
def in_redis(uvicorn: Uvicorn, redis: str) -> Iterator[Operation]:
    """Keeps the count in Redis."""
    yield from counted(uvicorn, redis)


def counted(uvicorn: Uvicorn, store: str) -> Iterator[Operation]:
    """Yield what returns how many requests were answered beyond the limit."""
    options = f"--workers {WORKERS} --log-level error --no-access-log"
    with uvicorn(__file__, options, variables={STORE: store}, apart=False) as server:

        def beyond() -> int:
            client = uuid4()
            answers = [
                server.get(f"/data?client={client}")
                for _ in server.each_worker(WORKERS)
                for _ in range(LIMIT + 1)
            ]
            return answers.count("data") - LIMIT

        yield beyond
