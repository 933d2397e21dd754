"""One server, or two behind nginx that shares the requests out among them."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

from perfkit.claims import THROUGHPUT, Experiment, Operation
from perfkit.claims.experiments._measured import QUIET, Starts, throughput
from perfkit.claims.experiments._served import SERVED

CONNECTIONS, SERVERS = 32, 2
REQUESTS = 128
PROXIED = 'proxy_pass http://servers; proxy_http_version 1.1; proxy_set_header Connection "";'

experiment = Experiment(
    theme="servers",
    claims=["O-67"],
    question="What do two servers behind a balancer serve more than one behind it?",
    hypothesis="More servers behind a balancer carry more load.",
    metric=THROUGHPUT,
    varies={"request": ["compute", "wait"]},
    because="Two processes compute on two cores; but what waits does so in one process as well as "
    "in two.",
    advice="Put a balancer before servers on several machines, or to keep serving while one is "
    "replaced. On one machine the workers of one server do the same without a hop.",
    conditions=f"nginx before one uvicorn or {SERVERS}, each of one worker, on this machine, whose "
    "cores they share with the client; so one server has less to share. A request computes for a "
    f"millisecond, or waits for 20; {CONNECTIONS} at a time.",
    matters=0.1,
    precision=0.25,
    budget_s=40,
)


@experiment.before
async def one_server(uvicorn: Starts, nginx: Starts, request: str) -> AsyncIterator[Operation]:
    """Has one server behind nginx."""
    async for operation in balanced(uvicorn, nginx, 1, request):
        yield operation


@experiment.after
async def two_servers(uvicorn: Starts, nginx: Starts, request: str) -> AsyncIterator[Operation]:
    """Has two servers behind nginx."""
    async for operation in balanced(uvicorn, nginx, SERVERS, request):
        yield operation


async def balanced(
    uvicorn: Starts, nginx: Starts, servers: int, request: str
) -> AsyncIterator[Operation]:
    """Yield what asks nginx before so many servers."""
    with ExitStack() as stack:
        ports = [
            stack.enter_context(uvicorn(SERVED, QUIET, apart=False)).port for _ in range(servers)
        ]
        listed = " ".join(f"server 127.0.0.1:{port};" for port in ports)
        http = f"upstream servers {{ {listed} keepalive 32; }} keepalive_timeout 600s;"
        proxy = stack.enter_context(nginx(PROXIED, http, apart=False))
        async for operation in throughput(
            proxy, f"/{request}", connections=CONNECTIONS, requests=REQUESTS
        ):
            yield operation
