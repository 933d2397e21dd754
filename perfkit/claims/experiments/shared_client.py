"""An HTTP client made for each call, or one that is kept with its connections."""

from collections.abc import AsyncIterator

import httpx

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

experiment = Experiment(
    theme="async",
    claims=["O-21", "O-104"],
    question="What does one kept HTTP client save against a new one for each call?",
    hypothesis="A client that keeps its connections answers sooner than a new one each time.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 5, 20]},
    because="A new client loads its certificates and connects anew, one round trip more; over a "
    "long link the round trips are the larger part of both.",
    advice="Make one client when the application starts, on the loop that uses it, and close it "
    "when it ends.",
    conditions="httpx, an upstream on this machine without TLS, which would cost two round trips "
    "more; the round trip is added by a proxy.",
    precision=0.15,
)


@experiment.before
async def client_each(upstream: str, link: Links, round_trip_ms: float) -> AsyncIterator[Operation]:
    """Makes a client, asks, and closes it."""
    with link.to_url(upstream, round_trip_s=round_trip_ms / 1000) as url:

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient() as client:
                return await client.get(f"{url}/wait")

        yield ask


@experiment.after
async def kept_client(upstream: str, link: Links, round_trip_ms: float) -> AsyncIterator[Operation]:
    """Asks by the one client."""
    with link.to_url(upstream, round_trip_s=round_trip_ms / 1000) as url:
        async with httpx.AsyncClient() as client:

            async def ask() -> httpx.Response:
                return await client.get(f"{url}/wait")

            yield ask
