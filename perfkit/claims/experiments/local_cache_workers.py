"""A local cache before Redis, in two workers: what one changes the other does not see."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from redis import Redis

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.launching import Launched
from restmachine import ASGIAdapter, RestApplication

WORKERS, CHANGES = 2, 3
STORE, CHANNEL = "CLAIMS_CACHE_STORE", "CLAIMS_CACHE_CHANNEL"

experiment = Experiment(
    theme="caches",
    claims=["O-62"],
    question="How often does a worker answer with what another one has changed since?",
    hypothesis="A local cache before Redis is faster than Redis alone.",
    metric=ERRORS,
    hazard="The worker that changes a value drops its own copy. The other workers keep theirs and "
    "answer with the old one until it expires.",
    advice="Publish each change on a channel that all workers listen to, and keep local copies for "
    "seconds at most, for what a lost message leaves behind. What may never be old stays out of "
    "the local level.",
    conditions=f"uvicorn with {WORKERS} workers and Redis. {CHANGES} times: each worker has the "
    "value in its cache, one changes it, and after a fifth of a second all are asked. What "
    "counts is each change that some worker does not know of.",
    isolated=False,
)

application = RestApplication()
app = ASGIAdapter(application)
local: dict[str, str] = {}
redis_client = Redis.from_url(os.environ.get(STORE, "redis://"), decode_responses=True)
channel = os.environ.get(CHANNEL, "")

Uvicorn = Callable[..., AbstractContextManager[Launched]]


@application.get("/value")
def value() -> str:
    """Answer from the local cache, filled from Redis."""
    if "value" not in local:
        local["value"] = str(redis_client.get("claims:value"))
    return local["value"]


@application.get("/change/{to}")
def change(to: str) -> str:
    """Change the value, and drop the copies that one knows of."""
    redis_client.set("claims:value", to)
    local.clear()
    if channel:
        redis_client.publish(channel, "value")
    return "changed"


def listen() -> None:
    """Drop the local copy as often as somebody says that it is old."""
    with redis_client.pubsub() as messages:  # type: ignore[no-untyped-call]  # redis-py's own
        messages.subscribe(channel)
        for _ in messages.listen():
            local.clear()


if channel:
    threading.Thread(target=listen, daemon=True).start()


@experiment.before
def copy_each(uvicorn: Uvicorn, redis: str) -> Iterator[Operation]:
    """Drops the copy of the worker that changes the value."""
    yield from changing(uvicorn, {STORE: redis})


@experiment.after
def copies_dropped(uvicorn: Uvicorn, redis: str) -> Iterator[Operation]:
    """Publishes the change, so that all workers drop their copies."""
    yield from changing(uvicorn, {STORE: redis, CHANNEL: "claims:changes"})


def changing(uvicorn: Uvicorn, variables: dict[str, str]) -> Iterator[Operation]:
    """Yield what counts the changes that some worker does not know of."""
    options = f"--workers {WORKERS} --log-level error --no-access-log"
    with uvicorn(__file__, options, variables=variables, apart=False) as server:

        def unknown(to: str) -> bool:
            for _ in server.each_worker(WORKERS):
                server.get("/value")
            server.get(f"/change/{to}")
            time.sleep(0.2)
            return any(server.get("/value") != to for _ in server.each_worker(WORKERS))

        yield lambda: sum(unknown(f"{time.time()}") for _ in range(CHANGES))
