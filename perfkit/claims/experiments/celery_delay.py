"""Handing a job to Celery from a coroutine: delay() talks to the broker and the loop waits."""

import asyncio
from collections.abc import Iterator
from typing import Any

from celery import Celery  # type: ignore[import-untyped]  # it ships no types

from perfkit.claims import LOOP_STALL, Experiment, Operation
from perfkit.claims.link import Links

ROUND_TRIP_SECONDS = 0.02

experiment = Experiment(
    theme="background work",
    claims=["O-106"],
    question="How long does delay() of Celery keep all other requests waiting?",
    hypothesis="process_video.delay() in an async handler hands the job over at once.",
    metric=LOOP_STALL,
    hazard="delay() is blocking network traffic: in a coroutine it stops the event loop, for all "
    "requests of the process, and until it gives up where the broker does not answer.",
    advice="Call it in a thread, await asyncio.to_thread(job.delay, ...), or from a handler "
    "without async, which restmachine runs in one. Set the broker's timeouts.",
    conditions=f"Celery with Redis over a link of {ROUND_TRIP_SECONDS * 1000:.0f} ms, which is "
    "connected before. What counts is how late a task is that wants to run every half a "
    "millisecond.",
    precision=0.5,
    budget_s=15,
)


@experiment.before
def delay_in_the_loop(redis: str, link: Links) -> Iterator[Operation]:
    """Calls delay in the coroutine."""
    with link.to_url(redis, round_trip_s=ROUND_TRIP_SECONDS) as url:
        job = job_of(url)

        async def handler() -> None:
            job.delay(42)

        yield handler


@experiment.after
def delay_in_a_thread(redis: str, link: Links) -> Iterator[Operation]:
    """Awaits a thread that calls delay."""
    with link.to_url(redis, round_trip_s=ROUND_TRIP_SECONDS) as url:
        job = job_of(url)

        async def handler() -> None:
            await asyncio.to_thread(job.delay, 42)

        yield handler


def job_of(broker: str) -> Any:
    """Return a task of an application with that broker, for a worker that nobody starts."""
    celery = Celery("claims", broker=broker)
    celery.conf.task_default_queue = "claims-delay"

    def process_video(number: int) -> None:
        del number

    return celery.task(process_video, name="process_video", ignore_result=True)
