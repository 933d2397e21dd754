"""Attaches perfkit to an application with one line: what to record, and where to show it."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from perfkit import loop, memory, timing
from perfkit.clients import SlowOperations, count_operations
from perfkit.errors import PerfkitError
from perfkit.gauges import Gauges
from perfkit.interpreter import sampler, time_collections, watchdog
from perfkit.loop import THRESHOLD_SECONDS
from perfkit.memory import EVERY
from perfkit.meter import Meter, of_process
from perfkit.record import listen
from perfkit.requests import Routes
from perfkit.tracing import Tracer
from restmachine import Request, Response, RestApplication
from restmachine.decorators import skip_content_negotiation

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from perfkit.exporter import Exporter as Shown
    from perfkit.spans import Exporter

Application = TypeVar("Application", bound=RestApplication)

_instrumented: WeakSet[RestApplication] = WeakSet()

RECORDS = {
    "requests": "durations, sizes and counts by route, where decisions end, what dependencies take",
    "queries": "queries, commands and calls of what perfkit.operations.watch was given",
    "decisions": "each decision of a request as a part of its time, in logs and spans",
    "cpu": "the CPU time of each request, in logs and spans",
    "loop": "the event loop's lag, and what blocks it",
    "gc": "how long garbage collections hold everything up",
    "memory": "what one request in so many allocates",
}
"""What may be recorded, and what it tells."""

DEFAULT = ("requests", "queries")


def instrument(
    app: Application,
    *,
    record: Collection[str] = DEFAULT,
    registry: CollectorRegistry | None = None,
    path: str | None = "/metrics",
    exclude: Collection[str] = (),
    slow: float | None = None,
    slow_query: float | None = None,
    server_timing: bool = False,
    response_time: bool = False,
    queue_field: str | None = None,
    spans: Exporter | None = None,
    sample: float = 1.0,
    stall_after: float = THRESHOLD_SECONDS,
    memory_every: int = EVERY,
) -> Application:
    """Measure every request of *app*, offer the metrics at *path*, and return *app*.

    The dependencies `request_timer`, and with "memory" `memory_monitor`, are offered as well.

    Args:
        record: What to record, see `RECORDS`. An empty list records nothing, costs nothing
            and still offers what is known of the process.
        registry: Where to keep the metrics; without it the application has its own,
            which shows memory and CPU of the process as well.
        path: The route for scrapes, which the application's own authorization protects;
            None for no route, when `perfkit.exporter.serve` shows the registry.
        exclude: Route templates that are not measured, beside *path*.
        slow: Log the parts of requests that take at least so many seconds.
        slow_query: Log queries, commands and calls that take at least so many seconds.
        server_timing, response_time, queue_field: See `perfkit.timing.attach`.
        spans: Takes the spans of each request that is sampled, `perfkit.otlp.exporter` for
            instance. The traces of requests are exemplars of their durations then.
        sample: The part of the traces to record, from 0 to 1; a caller's decision stands.
        stall_after: With "loop", the seconds after which the event loop counts as blocked.
        memory_every: With "memory", one request in so many is sampled.

    Raises:
        PerfkitError: The application cannot be instrumented so; the text says why.
        MissingExtraError: prometheus-client is not installed.
    """
    _check(app, path, exclude)
    check_record(record)
    slow_queries = None if slow_query is None else SlowOperations(slow_query)
    traced = () if spans is None else (Tracer(spans.put, sample=sample),)
    routes = _show(app, registry, path, spans)
    unmeasured = (*exclude, path) if path is not None else exclude
    timed = {"requests", "decisions", "cpu"}.intersection(record)
    if timed or slow is not None or server_timing or response_time or spans is not None:
        timing.attach(
            app,
            slow=slow,
            server_timing=server_timing,
            response_time=response_time,
            queue_field=queue_field,
            decisions="decisions" in record,
            cpu="cpu" in record,
            exclude=[_template(each) for each in unmeasured],
            begun=[tracer.begin for tracer in traced],
            finished=[tracer.finish for tracer in traced],
            route=routes.counted,
        )
    if slow_queries is not None:
        listen(slow_queries)
    _record_beside_requests(app, record, stall_after, memory_every)
    _instrumented.add(app)
    return app


def _show(
    app: RestApplication,
    registry: CollectorRegistry | None,
    path: str | None,
    spans: Exporter | None,
) -> Routes:
    """Offer the metrics, and return the routes whose requests they are to count."""
    from perfkit.exporter import exporter  # here, so that perfkit imports without the extra

    shown = exporter(registry)
    if path is not None:
        _add_route(app, path, shown)
    meter = Meter(shown.store)
    of_process.join(meter)
    gauges = Gauges(meter, app.workers, spans)
    routes = Routes(meter, gauges.start)
    shown.keep(meter, gauges)
    return routes


def _record_beside_requests(
    app: RestApplication, record: Collection[str], stall_after: float, memory_every: int
) -> None:
    if "queries" in record:
        count_operations()
    if "loop" in record:
        loop.attach(app, watchdog(stall_after))
    if "gc" in record:
        time_collections()
    if "memory" in record:
        memory.attach(app, sampler(memory_every))


def check_record(record: Collection[str]) -> None:
    """Check what is to be recorded.

    Raises:
        PerfkitError: There is no such thing.
    """
    if isinstance(record, str):
        raise PerfkitError(f'record= takes a list of names: record=["{record}"]')
    for name in record:
        if name not in RECORDS:
            near = get_close_matches(str(name), RECORDS, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(RECORDS)}"
            raise PerfkitError(f'record= has no "{name}": {hint}')


def _check(app: object, path: str | None, exclude: Collection[str]) -> None:
    if not isinstance(app, RestApplication):
        raise PerfkitError(
            f"perfkit.instrument takes a RestApplication, and got a {type(app).__name__}: "
            "instrument the application before it is wrapped, and others with "
            "perfkit.asgi.Middleware"
        )
    if app in _instrumented:
        raise PerfkitError(
            "this application is instrumented already: call perfkit.instrument once, "
            "where the application is built"
        )
    check_paths(path, exclude)
    if path is not None and ("GET", _template(path)) in {(r.method, r.path) for r in app.routes}:
        raise PerfkitError(f"the application has a route GET {path}: choose another with path=")


def check_paths(path: str | None, exclude: Collection[str]) -> None:
    """Check the path for scrapes and the paths to leave out.

    Raises:
        PerfkitError: One of them is no path.
    """
    if isinstance(exclude, str):
        raise PerfkitError(f'exclude= takes a list of paths: exclude=["{exclude}"]')
    wrong = [each for each in (path, *exclude) if each is not None and not each.startswith("/")]
    if wrong:
        raise PerfkitError(f'a path starts with a slash: "/{wrong[0]}" instead of "{wrong[0]}"')


def is_instrumented(app: RestApplication) -> bool:
    """Return whether an application has been instrumented."""
    return app in _instrumented


def _template(path: str) -> str:
    """Return a path as routes spell it, without empty segments."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)


def _add_route(app: RestApplication, path: str, shown: Shown) -> None:
    @app.get(path)
    @skip_content_negotiation
    def metrics(request: Request) -> Response:
        """Everything measured so far, for Prometheus."""
        content, media_type = shown.scrape(request.headers.get("Accept") or "")
        return Response(200, content, content_type=media_type)
