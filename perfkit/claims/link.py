"""A link with a latency and a rate: a TCP proxy in a process of its own.

    python -m perfkit.claims.link

prints the port of its control channel. Each connection to that port orders one link with a line
of JSON, ``{"host", "port", "round_trip_s", "bytes_per_s"}``, is answered with ``{"port"}``, and
keeps the link until it is closed. Half of the round trip is added each way; the rate holds for
each direction, for all connections of the link together.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

HOST = "127.0.0.1"
CHUNK = 16 * 1024
# More than this is not taken from the sender before its turn, so that it feels the rate.
AHEAD_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links; *control* is the port of the proxy's control channel."""

    control: int

    @contextmanager
    def to(
        self, host: str, port: int, *, round_trip_s: float = 0.0, bytes_per_s: float | None = None
    ) -> Iterator[tuple[str, int]]:
        """Yield the host and port of a link which leads to those given, while the block runs."""
        order = {
            "host": host, "port": port, "round_trip_s": round_trip_s, "bytes_per_s": bytes_per_s,
        }  # fmt: skip
        with socket.create_connection((HOST, self.control)) as channel:
            channel.sendall(json.dumps(order).encode() + b"\n")
            with channel.makefile("rb") as answers:
                yield HOST, int(json.loads(answers.readline())["port"])

    @contextmanager
    def to_url(
        self, url: str, *, round_trip_s: float = 0.0, bytes_per_s: float | None = None
    ) -> Iterator[str]:
        """Yield *url* as it reads for who goes through a link while the block runs."""
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        with self.to(
            parts.hostname, parts.port, round_trip_s=round_trip_s, bytes_per_s=bytes_per_s
        ) as (host, port):
            named = parts.netloc.removesuffix(f"{parts.hostname}:{parts.port}")
            yield urlunsplit(parts._replace(netloc=f"{named}{host}:{port}"))


class Direction:
    """One direction of a link: when what was read may be handed on."""

    def __init__(self, delay_s: float, bytes_per_s: float | None) -> None:
        self._delay = delay_s
        self._rate = bytes_per_s
        self._free_at = 0.0

    def due(self, now: float, size: int) -> tuple[float, float]:
        """Return when *size* bytes have left, and when they arrive."""
        sending = size / self._rate if self._rate else 0.0
        self._free_at = max(now, self._free_at) + sending
        return self._free_at, self._free_at + self._delay

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Carry bytes from *source* to *sink* until *source* ends."""
        arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(source, arriving))
            group.create_task(self._write(arriving, sink))

    async def _read(
        self, source: asyncio.StreamReader, arriving: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            try:
                data = await source.read(CHUNK)
            except ConnectionError:
                data = b""
            left, arrives = self.due(loop.time(), len(data))
            arriving.put_nowait((arrives, data))
            await asyncio.sleep(max(0.0, left - loop.time() - AHEAD_SECONDS))

    async def _write(
        self, arriving: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await arriving.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            # A receiver that has gone takes nothing more; the reader still runs to its end.
            with suppress(OSError):
                if not data:
                    if sink.can_write_eof():
                        sink.write_eof()
                    return
                sink.write(data)
                await sink.drain()
            if not data:
                return


async def _order(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one order until its channel closes."""
    line = await reader.readline()
    if not line:
        writer.close()
        return
    order = json.loads(line)
    out, back = (Direction(order["round_trip_s"] / 2, order["bytes_per_s"]) for _ in range(2))
    open_ends: set[asyncio.StreamWriter] = set()

    async def accept(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        ends = {to_client}
        open_ends.add(to_client)
        try:
            server, to_server = await asyncio.open_connection(order["host"], order["port"])
            ends.add(to_server)
            open_ends.add(to_server)
            await asyncio.gather(out.carry(client, to_server), back.carry(server, to_client))
        except ConnectionError:
            pass
        finally:
            for end in ends:
                end.close()
                open_ends.discard(end)

    listener = await asyncio.start_server(accept, HOST, 0)
    writer.write(json.dumps({"port": listener.sockets[0].getsockname()[1]}).encode() + b"\n")
    await reader.read()
    listener.close()
    for end in tuple(open_ends):
        end.transport.abort()
    writer.close()


async def _serve() -> None:
    control = await asyncio.start_server(_order, HOST, 0)
    print(control.sockets[0].getsockname()[1], flush=True)
    # The owner holds our standard input open for as long as it wants links.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


def main() -> None:
    """Run the proxy until standard input ends."""
    # epoll rounds a wait up to a whole millisecond; select does not.
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
