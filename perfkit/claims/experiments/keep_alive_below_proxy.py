"""A keep-alive shorter than the proxy's: requests meet a connection that is just being closed."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection

from perfkit.claims import ERRORS, Experiment, Operation
from perfkit.claims.experiments import _tuned
from perfkit.claims.launching import Launched, importing
from perfkit.claims.link import Links

ORDERS = 2
ROUND_TRIP_SECONDS = 0.1
SHORT_SECONDS, LONG_SECONDS = 0.1, 6.0
PROXY = "upstream app {{ server 127.0.0.1:{port}; keepalive 8; keepalive_timeout {idle}ms; }}"
LOCATION = 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";'

experiment = Experiment(
    theme="servers",
    claims=["O-114"],
    question=f"How many of {ORDERS} POSTs fail with 502 when the server closes before the proxy?",
    hypothesis="A keep-alive of 5 seconds suits a server, behind a proxy too.",
    metric=ERRORS,
    hazard="The proxy keeps connections for 60 seconds, the server for 5. A request that comes as "
    "the server closes is lost; the proxy may send a GET again, but answers a POST with 502.",
    advice="Keep connections longer in the server than in whatever stands before it: 65 seconds or "
    "more behind nginx, whose upstreams keep them for 60.",
    conditions=f"uvicorn behind nginx, {SHORT_SECONDS} s against {LONG_SECONDS:.0f} s, with a link "
    f"of {ROUND_TRIP_SECONDS * 1000:.0f} ms between them: the POST leaves the proxy while the news "
    "of the closing is under way. On a short link that is rarer, and grows with traffic.",
    isolated=False,
)

Server = Callable[..., AbstractContextManager[Launched]]


@experiment.before
def server_closes_first(program: Server, nginx: Server, link: Links) -> Iterator[Operation]:
    """Closes idle connections in the server first."""
    yield from ordering(program, nginx, link, server_s=SHORT_SECONDS, proxy_s=LONG_SECONDS)


@experiment.after
def proxy_closes_first(program: Server, nginx: Server, link: Links) -> Iterator[Operation]:
    """Closes idle connections in the proxy first."""
    yield from ordering(program, nginx, link, server_s=LONG_SECONDS, proxy_s=SHORT_SECONDS)


def ordering(
    program: Server, nginx: Server, link: Links, *, server_s: float, proxy_s: float
) -> Iterator[Operation]:
    """Yield what counts the orders that fail."""
    command = [sys.executable, _tuned.__file__, "{port}", str(server_s)]
    with program(command, variables=importing(_tuned.__file__)) as server:
        server.wait_until(server.answers)
        with link.to(server.host, server.port, round_trip_s=ROUND_TRIP_SECONDS) as (_, port):
            upstream = PROXY.format(port=port, idle=round(proxy_s * 1000))
            with nginx(LOCATION, upstream) as proxy:
                yield lambda: sum(second_order(proxy) != 200 for _ in range(ORDERS))


def second_order(proxy: Launched) -> int:
    """Order twice, as far apart as the link is long, and return the second status."""
    with closing(HTTPConnection(proxy.host, proxy.port, timeout=10)) as client:
        client.request("POST", "/orders", b"")
        client.getresponse().read()
        time.sleep(ROUND_TRIP_SECONDS / 2)
        client.request("POST", "/orders", b"")
        return client.getresponse().status
