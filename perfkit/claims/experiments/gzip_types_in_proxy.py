"""A list of types for gzip in nginx: what it leaves as it is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection

from perfkit.claims import WIRE_BYTES, Experiment, Operation
from perfkit.claims.launching import Launched

LISTED = (
    "gzip on; gzip_min_length 1000; gzip_types text/plain text/css text/javascript "
    "application/json application/javascript application/xml+rss;"
)

experiment = Experiment(
    theme="compression",
    claims=["O-26"],
    question="What does the usual list of types for nginx compress, and what not?",
    hypothesis="gzip in nginx with a list of six types makes answers smaller.",
    metric=WIRE_BYTES,
    varies={"answer": ["json", "json through another proxy", "rss"]},
    because="nginx compresses the types that are named, application/xml+rss is the name of none, "
    "and what another proxy asks for, with a field Via, is left alone unless gzip_proxied says "
    "otherwise.",
    advice="Write application/rss+xml and the types that you send, and gzip_proxied any where a "
    "network of caches stands before nginx. Look at an answer of each type.",
    conditions="3 KiB that repeat, from nginx itself; what counts is the length of the content.",
    isolated=False,
)

TYPES = {"json": "application/json", "rss": "application/rss+xml"}
CONTENT = "a line of 32 bytes, repeated.   " * 100

Nginx = Callable[..., AbstractContextManager[Launched]]


@experiment.before
def without_gzip(nginx: Nginx, answer: str) -> Iterator[Operation]:
    """Leaves answers as they are."""
    yield from fetching(nginx, "", answer)


@experiment.after
def with_the_list(nginx: Nginx, answer: str) -> Iterator[Operation]:
    """Compresses the types of the list."""
    yield from fetching(nginx, LISTED, answer)


@experiment.beside
def with_real_types(nginx: Nginx, answer: str) -> Iterator[Operation]:
    """Names the type of RSS as it is, and compresses for other proxies as well."""
    mended = LISTED.replace("xml+rss", "rss+xml") + " gzip_proxied any;"
    yield from fetching(nginx, mended, answer)


def fetching(nginx: Nginx, http: str, answer: str) -> Iterator[Operation]:
    """Yield what fetches an answer and returns the length of its content."""
    kind, *through = answer.split(" ", 1)
    fields = {"Accept-Encoding": "gzip"} | ({"Via": "1.1 cache"} if through else {})
    with nginx(f'default_type {TYPES[kind]}; return 200 "{CONTENT}";', http) as proxy:

        def length() -> int:
            with closing(HTTPConnection(proxy.host, proxy.port, timeout=10)) as client:
                client.request("GET", "/", headers=fields)
                return len(client.getresponse().read())

        yield length
