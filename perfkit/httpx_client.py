"""httpx: requests of a client, blocking or for asyncio, and the trace context that they pass on.

One operation is one call of `send`, which every other method uses: redirects and authentication
belong to it. It lasts until the content is read; a streamed response until it is closed, less the
time in which the caller does something else. A status is no error. httpx tells nothing of its
pool by any public name.

The client is given a subclass of its class, which overrides `send`; httpx's event hooks would not
do, as they say nothing of a request that fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, ClassVar

import httpx

from perfkit.calls import Stream, async_parts, parts
from perfkit.metrics import METHODS, OTHER
from perfkit.subclass import Mixin, override, restore

SYSTEM = "http"

Target = httpx.Client | httpx.AsyncClient
Fields = Callable[[], Mapping[str, str]]


class _WatchedClient(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides a method of a client."""

    outgoing: ClassVar[Any]

    def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> Any:
        call = _begin(request, self.outgoing)
        response = None
        try:
            with call:
                response = super().send(request, stream=stream, **options)
        finally:
            if response is None or not stream:
                call.end()
        if stream:
            response.stream = _WatchedStream(response.stream, call)
        return response


class _WatchedAsyncClient(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides a method of a client for asyncio."""

    outgoing: ClassVar[Any]

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> Any:
        call = _begin(request, self.outgoing)
        response = None
        try:
            with call:
                response = await super().send(request, stream=stream, **options)
        finally:
            if response is None or not stream:
                call.end()
        if stream:
            response.stream = _WatchedAsyncStream(response.stream, call)
        return response


class _WatchedStream(httpx.SyncByteStream):
    """The content of a response that the caller reads piece by piece."""

    def __init__(self, stream: httpx.SyncByteStream, call: Stream) -> None:
        self._stream = stream
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        return parts(self._call, iter(self._stream))

    def close(self) -> None:
        """Close the response, and report the call."""
        try:
            with self._call:
                self._stream.close()
        finally:
            self._call.end()


class _WatchedAsyncStream(httpx.AsyncByteStream):
    """The content of a response that the caller reads piece by piece, on an event loop."""

    def __init__(self, stream: httpx.AsyncByteStream, call: Stream) -> None:
        self._stream = stream
        self._call = call

    def __aiter__(self) -> AsyncIterator[bytes]:
        return async_parts(self._call, aiter(self._stream))

    async def aclose(self) -> None:
        """Close the response, and report the call."""
        try:
            with self._call:
                await self._stream.aclose()
        finally:
            self._call.end()


def no_fields() -> Mapping[str, str]:
    """Return no header fields to pass on."""
    return {}


def attach(client: Target, outgoing: Fields = no_fields) -> None:
    """Report the requests of a client.

    Args:
        outgoing: Returns the header fields that pass on the trace context of the caller, asked
            at each request; a field that the request has already stays as it is.
    """
    is_async = isinstance(client, httpx.AsyncClient)
    mixin = _WatchedAsyncClient if is_async else _WatchedClient
    override(client, mixin, outgoing=staticmethod(outgoing))


def detach(client: Target) -> None:
    """Report them no longer."""
    restore(client, _WatchedAsyncClient)
    restore(client, _WatchedClient)


def _begin(request: httpx.Request, outgoing: Fields) -> Stream:
    for name, value in outgoing().items():
        request.headers.setdefault(name, value)
    method = request.method if request.method in METHODS else OTHER
    host = request.url.netloc.decode("ascii", errors="replace").rpartition("@")[2]
    return Stream(SYSTEM, f"{method} {host}")
