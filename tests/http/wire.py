"""The way to a server on which every byte can be seen, as an ASGI application.

A `TestClient` of a `Wire` sends its requests over a plain socket, written here byte by byte
because a client library would mend or refuse some of them. The answers are read by h11, which
shares no code with the application that made them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

import h11

TIMEOUT = 20  # seconds without a byte after which a server counts as hanging
NEXT = b"GET /is/there/another HTTP/1.1\r\nHOST: testserver\r\n\r\n"


class Wire:
    """One connection that is kept alive from request to request, and opened again if it ended.

    Raises:
        AssertionError: The answer is not one message, or the connection is not as it says.
        h11.RemoteProtocolError: The answer breaks the framing of RFC 9112.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send a request, hand its answer over, and ask whether the connection still serves."""
        sent = _request(scope, await _content(receive))
        response, content, stays = self._ask(scope["method"], sent)
        if stays:
            following, _, _ = self._ask("GET", NEXT)
            assert following.status_code == 404, "the connection serves no second request"
        start = {"status": response.status_code, "headers": list(response.headers)}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": content})

    def close(self) -> None:
        """Leave the server; nothing may have come after the last answer."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, method: str, sent: bytes) -> tuple[h11.Response, bytes, bool]:
        """Return the answer, its content, and whether the connection stays open after it."""
        connection = self._connected()
        reader = h11.Connection(h11.CLIENT)
        reader.send(h11.Request(method=method, target="/", headers=[("Host", "testserver")]))
        reader.send(h11.EndOfMessage())
        connection.sendall(sent)
        response, content = self._read(reader, connection)
        stays = reader.their_state is h11.DONE
        assert reader.trailing_data[0] == b"", "bytes came after the end of the answer"
        if not stays:
            assert connection.recv(1) == b"", "bytes came after the last answer"
            self.close()
        return response, content, stays

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=TIMEOUT)
        return self._socket

    def _read(
        self, reader: h11.Connection, connection: socket.socket
    ) -> tuple[h11.Response, bytes]:
        response, content = None, b""
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                reader.receive_data(connection.recv(65536))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                content += event.data
            else:
                assert isinstance(event, h11.EndOfMessage), f"unexpected: {event}"
                assert response is not None
                return response, content


def _request(scope: Any, content: list[bytes]) -> bytes:
    """Write a request; field names are in capitals, since they have no case."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    lines = [b"%s %s%s HTTP/1.1" % (scope["method"].encode(), scope["raw_path"], query)]
    lines += [b"%s: %s" % (name.upper(), value) for name, value in scope["headers"]]
    if (b"transfer-encoding", b"chunked") in scope["headers"]:
        content = [*_chunks(content), b"0\r\n\r\n"]
    return b"\r\n".join([*lines, b"", b"".join(content)])


def _chunks(content: Iterable[bytes]) -> Iterable[bytes]:
    return (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in content if piece)


async def _content(receive: Any) -> list[bytes]:
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message["body"])
        more = message["more_body"]
    return pieces
