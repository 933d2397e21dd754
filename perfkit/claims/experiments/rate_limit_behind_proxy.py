"""A limit for each address, behind a proxy: everybody has the proxy's address."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from typing import Any

from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.launching import Launched
from restmachine import ASGIAdapter, RestApplication

LIMIT = 10

experiment = Experiment(
    theme="servers",
    claims=["O-85"],
    question="How many of a second client's ten requests are refused because of the first one's?",
    hypothesis="A limit for each address stops who asks too much, and nobody else.",
    metric=ERRORS,
    hazard="Behind a proxy all requests come from the proxy's address: whoever uses the limit up "
    "uses it up for everyone.",
    advice="Let the proxy set X-Forwarded-For to the address that it sees, have the server trust "
    "the proxy alone, or limit in the proxy.",
    conditions="uvicorn behind nginx, two clients on two addresses of this machine, ten requests "
    "each, and ten allowed for each. What counts are the 429s of the second.",
    isolated=False,
)

application = RestApplication(blocking=False)
application.get("/data")(lambda: "data")
application.get("/refused")(lambda: ("refused", 429))
inner = ASGIAdapter(application)
limit = RateLimitItemPerHour(LIMIT)
limiter = FixedWindowRateLimiter(MemoryStorage())
nets = itertools.count(1)

Server = Callable[..., AbstractContextManager[Launched]]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Pass requests on within the limit of an address."""
    if scope["type"] == "http" and scope["path"] == "/data":
        address, _ = scope["client"]
        if not limiter.hit(limit, address):
            scope |= {"path": "/refused", "raw_path": b"/refused"}
    await inner(scope, receive, send)


@experiment.before
def address_of_the_proxy(uvicorn: Server, nginx: Server) -> Iterator[Operation]:
    """Lets the proxy pass requests on as they are."""
    with uvicorn(__file__) as server, nginx(f"proxy_pass {server.url};") as proxy:
        yield lambda: refused(proxy)


@experiment.after
def address_of_the_client(uvicorn: Server, nginx: Server) -> Iterator[Operation]:
    """Lets the proxy say for whom it asks."""
    told = "proxy_set_header X-Forwarded-For $remote_addr;"
    with uvicorn(__file__) as server, nginx(f"{told} proxy_pass {server.url};") as proxy:
        yield lambda: refused(proxy)


def refused(proxy: Launched) -> int:
    """Let one client use its limit up, then return how many requests of another are refused."""
    net = f"127.0.{next(nets)}"
    asked(proxy, f"{net}.1")
    return asked(proxy, f"{net}.2").count(429)


def asked(proxy: Launched, address: str) -> list[int]:
    """Send as many requests as are allowed, from one address, and return the statuses."""
    statuses = []
    client = HTTPConnection(proxy.host, proxy.port, timeout=10, source_address=(address, 0))
    with closing(client):
        for _ in range(LIMIT):
            client.request("GET", "/data")
            response = client.getresponse()
            response.read()
            statuses.append(response.status)
    return statuses
