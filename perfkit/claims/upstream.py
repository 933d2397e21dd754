"""A slow upstream: an HTTP server which waits as long as it is asked to before it answers.

``GET /wait?seconds=0.05&bytes=100`` answers after that time with so many bytes. ``GET
/connections`` answers how many connections it has accepted so far, its own not counted.
"""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"


class Upstream:
    """Answers requests without content, one after another on each connection."""

    def __init__(self) -> None:
        self._accepted = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client leaves."""
        self._accepted += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                content = await self.content(head.split(b" ", 2)[1].decode())
                length = len(content)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def content(self, target: str) -> bytes:
        """Return what *target* is answered with, when it is."""
        url = urlsplit(target)
        if url.path == "/connections":
            self._accepted -= 1
            return str(self._accepted).encode()
        wanted = parse_qs(url.query)
        await asyncio.sleep(float(wanted.get("seconds", ["0"])[0]))
        return b"x" * int(wanted.get("bytes", ["2"])[0])


async def _serve() -> None:
    server = await asyncio.start_server(Upstream().accept, HOST, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve())
