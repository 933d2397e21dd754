"""A large answer built whole or row by row: the peak of memory by the number of rows."""

import asyncio
from collections.abc import Iterator, Mapping

from perfkit.claims import PEAK_MEMORY, Experiment, Operation
from restmachine import ASGIAdapter, RestApplication

experiment = Experiment(
    theme="responses",
    claims=["O-73", "O-109"],
    question="How much memory does an answer need that is made row by row?",
    hypothesis="A generator needs kilobytes, constantly, where a whole answer needs its size.",
    metric=PEAK_MEMORY,
    varies={"rows": [50, 300, 2000]},
    because="Built whole, all rows are in memory at once; as a stream there is one at a time, "
    "beside what each request costs anyway.",
    advice="Return a generator for whatever may become large: restmachine sends it piece by "
    "piece, no faster than the client takes it.",
    conditions="Rows of 100 bytes; what Python allocated at the peak, for one request in process.",
    precision=0.25,
)


@experiment.before
def built_whole(rows: int) -> Operation:
    """Joins all rows to one answer."""
    app = RestApplication()
    app.get("/")(lambda: "".join([row(number) for number in range(rows)]))
    return lambda: asyncio.run(exhausted(ASGIAdapter(app)))


@experiment.after
def row_by_row(rows: int) -> Operation:
    """Yields one row after another."""
    app = RestApplication()

    @app.get("/")
    def export() -> Iterator[bytes]:
        for number in range(rows):
            yield row(number).encode()

    return lambda: asyncio.run(exhausted(ASGIAdapter(app)))


def row(number: int) -> str:
    """Return a line of 100 characters."""
    return f"{number:098}\r\n"


async def exhausted(app: ASGIAdapter) -> None:
    """Ask once and drop the answer as it comes."""

    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if not messages:
            # A client that stays sends nothing more. To say so again and again instead would
            # compete with the thread that makes the rows.
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: Mapping[str, object]) -> None:
        del message

    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": [], "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
