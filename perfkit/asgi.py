"""Measures any ASGI application from outside: durations, sizes, counts, queries by route.

```python
from perfkit.asgi import Middleware

app = Middleware(app)
```

The route is the one that Starlette and FastAPI put into the scope; for any other framework say
with `route=` which it is. A path without one counts as `_UNMATCHED`: the path itself is never a
label.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, MutableMapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from perfkit import record
from perfkit.clients import count_operations
from perfkit.gauges import Gauges
from perfkit.instrument import check_paths
from perfkit.meter import Meter, of_process
from perfkit.metrics import OTHER
from perfkit.record import Record
from perfkit.requests import Routes
from perfkit.timing import SlowLog
from perfkit.tracing import Tracer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from perfkit.spans import Exporter

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
RouteOf = Callable[[Mapping[str, Any]], str | None]

CLIENT_CLOSED, FAILED = 499, 500


class Middleware:
    """An ASGI application around another, which measures its requests.

    Args:
        app: What to measure; kept as `app`, by convention.
        registry: As for `perfkit.instrument`.
        path: Where scrapes are answered; None for nowhere.
        exclude: Routes that are not measured.
        slow: Log requests that take at least so many seconds (`perfkit.slow`).
        response_time: State the time so far in ``X-Response-Time``, in seconds.
        spans, sample: As for `perfkit.instrument`.
        route: Returns the template of a request's route from its scope, None for none. It is
            asked once the request has been routed.

    Raises:
        PerfkitError: An option cannot be used; the text says why.
    """

    def __init__(
        self,
        app: App,
        *,
        registry: CollectorRegistry | None = None,
        path: str | None = "/metrics",
        exclude: Collection[str] = (),
        slow: float | None = None,
        response_time: bool = False,
        spans: Exporter | None = None,
        sample: float = 1.0,
        route: RouteOf | None = None,
    ) -> None:
        check_paths(path, exclude)
        from perfkit.exporter import exporter  # here, as `perfkit.instrument` does

        self.app = app
        self._shown = exporter(registry)
        meter = Meter(self._shown.store)
        of_process.join(meter)
        gauges = Gauges(meter, spans=spans)
        self._shown.keep(meter, gauges)
        count_operations()
        self._routes = Routes(meter, gauges.start)
        self._path = path
        self._excluded = frozenset(exclude)
        self._slow = None if slow is None else SlowLog(slow)
        self._response_time = response_time
        self._tracer = None if spans is None else Tracer(spans.put, sample=sample)
        self._route = KnownRoutes(app) if route is None else route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == self._path and scope["method"] in ("GET", "HEAD"):
            await self._show(scope, send)
        else:
            await self._measure(scope, receive, send)

    async def _show(self, scope: Scope, send: Send) -> None:
        accept = _field(scope, b"accept").decode("latin-1")
        # In a thread: to add up the files of workers takes a while.
        content, media_type = await asyncio.to_thread(self._shown.scrape, accept)
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else content
        await send({"type": "http.response.body", "body": body})

    async def _measure(self, scope: Scope, receive: Receive, send: Send) -> None:
        method: str = scope["method"]
        # Which route it is, only the application will find out.
        arrived = self._routes.find(method, OTHER)
        started = perf_counter()
        request = ScopeRecord(scope, started, self._route)
        arrived.begin()
        if self._tracer is not None:
            self._tracer.begin(request, _Fields(scope))
        token = record.current.set(request)
        answer = _Answer(send, started if self._response_time else None)
        try:
            await self.app(scope, receive, answer)
        except asyncio.CancelledError:
            raise
        except BaseException:
            answer.status = answer.status or FAILED
            raise
        finally:
            record.current.reset(token)
            arrived.leave()
            request.finished = perf_counter()
            request.status = answer.status or CLIENT_CLOSED
            request.sent_bytes = answer.sent_bytes
            self._count(request, _field(scope, b"content-length"))

    def _count(self, request: ScopeRecord, announced: bytes) -> None:
        """Count a request that is over."""
        template = request.route
        if template in self._excluded:
            return
        series = self._routes.find(request.method, template)
        series.begin()
        series.end(request.seconds, request.status, request.sent_bytes)
        if announced.isdigit() and int(announced):
            series.received(int(announced))
        series.trace(request.seconds, request.status, request.trace)
        if self._slow is not None:
            self._slow(request)
        if self._tracer is not None:
            self._tracer.finish(request)


class ScopeRecord(Record):
    """A request whose route is known once the application has found it."""

    def __init__(self, scope: Scope, started: float, route_of: RouteOf) -> None:
        self._scope = scope
        self._route_of = route_of
        super().__init__(scope["method"], None, started)

    @property
    def route(self) -> str | None:
        """The template that matched, None for none so far."""
        return self._route_of(self._scope)

    @route.setter
    def route(self, template: str | None) -> None:
        """Leave it to the scope."""


class _Answer:
    """Sends messages on, and remembers the status and how many bytes of content there were."""

    __slots__ = ("_send", "_started", "sent_bytes", "status")

    def __init__(self, send: Send, started: float | None) -> None:
        self._send = send
        self._started = started
        self.status = 0
        self.sent_bytes = 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._started is not None:
                taken = (b"x-response-time", b"%.3f" % (perf_counter() - self._started))
                message = {**message, "headers": [*message.get("headers", ()), taken]}
        await self._send(message)
        self.sent_bytes += len(message.get("body", b""))


class _Fields:
    """The header fields of a request, for a tracer."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def field(self, name: bytes) -> str | None:
        """Return a field, None if it was not sent."""
        value = _field(self._scope, name)
        return value.decode("latin-1") if value else None


def _field(scope: Scope, wanted: bytes) -> bytes:
    """Return a header field of a request, empty if it is not there."""
    return next((bytes(value) for name, value in scope["headers"] if name == wanted), b"")


class KnownRoutes:
    """Finds the template of a route that the framework puts into the scope.

    A route that is mounted below another is known there by its own path alone, so what is
    mounted in *app*, at any depth, is looked through once for each route.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._templates: dict[int, tuple[Any, str]] = {}

    def __call__(self, scope: Mapping[str, Any]) -> str | None:
        """Return the template of the route that a request has taken, None for none."""
        route = scope.get("route")
        path = getattr(route, "path", None)
        if not isinstance(path, str):
            return None
        known = self._templates.get(id(route))
        if known is None:
            found = (template for template, each in _routes(self._app, "") if each is route)
            # The route is kept too, so that no other one gets its identity.
            known = self._templates[id(route)] = (route, next(found, path))
        return known[1]


def _routes(app: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield each route in *app*, or in what it wraps, with its whole template."""
    while not hasattr(app, "routes") and hasattr(app, "app"):
        app = app.app
    for route in getattr(app, "routes", None) or ():
        path = prefix + getattr(route, "path", "")
        yield path, route
        yield from _routes(route, path)
