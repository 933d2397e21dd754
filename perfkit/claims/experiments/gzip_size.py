"""What gzip takes off an answer, by what is in it and by level."""

import asyncio
import base64
import json
import random
from collections.abc import Mapping
from typing import Any

from starlette.middleware.gzip import GZipMiddleware

from perfkit.claims import WIRE_BYTES, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

experiment = Experiment(
    theme="compression",
    claims=["O-25", "O-49", "O-86", "O-108"],
    promises={"O-86": 3.3},
    question="How much smaller does gzip make an answer?",
    hypothesis="Text gets 70 to 90 % smaller, so at least 3.3 times.",
    metric=WIRE_BYTES,
    varies={"content": ["repetitive JSON", "rows of a table", "base64"], "level": [1, 6, 9]},
    because="gzip removes what repeats: names of fields do, random ids and encoded bytes do not.",
    advice="Compress answers of text above a kilobyte at level 1 to 6, and leave out what is "
    "compressed or random already. Level 9 buys hardly a byte.",
    conditions="Starlette's GZipMiddleware around a restmachine application; bytes of the body.",
)


def body(content: str) -> bytes:
    """Return about 40 KiB of a kind of content, the same at each call."""
    lot = random.Random(7)
    if content == "base64":
        return base64.b64encode(lot.randbytes(30_000))
    if content == "repetitive JSON":
        return json.dumps([{"status": "ok", "message": "nothing to report"}] * 800).encode()
    words = ("lamp", "chair", "table", "shelf", "mirror", "carpet", "green", "oak", "pine", "steel")
    rows = [
        {"id": lot.randrange(10**9), "name": " ".join(lot.sample(words, 2)), "price": lot.random()}
        for _ in range(600)
    ]
    return json.dumps(rows).encode()


def application(content: str) -> ASGIAdapter:
    """Serve the content."""
    app = RestApplication()
    found = body(content)
    app.get("/")(lambda: (found, 200, {"Content-Type": "application/json"}))
    return ASGIAdapter(app)


@experiment.before
def plain(content: str) -> Operation:
    """Sends the answer as it is."""
    app = application(content)
    return lambda: asyncio.run(bytes_sent(app))


@experiment.after
def compressed(content: str, level: int) -> Operation:
    """Sends it through GZipMiddleware."""
    app = GZipMiddleware(application(content), minimum_size=1000, compresslevel=level)
    return lambda: asyncio.run(bytes_sent(app))


async def bytes_sent(app: ASGIAdapter | GZipMiddleware) -> int:
    """Ask once, accepting gzip, and return the length of the body."""
    sent = 0

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": [(b"accept-encoding", b"gzip")], "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return sent
