"""Attaches perfkit to an application with one line: what to record, and where to show it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from perfkit.clients import count_operations
from perfkit.errors import PerfkitError
from perfkit.meter import Meter, of_process
from perfkit.observer import MetricsObserver
from restmachine import Request, Response, RestApplication
from restmachine.decorators import skip_content_negotiation

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from perfkit.exporter import Exporter

Application = TypeVar("Application", bound=RestApplication)

Attach = Callable[[RestApplication, Meter, Collection[str]], None]

_instrumented: WeakSet[RestApplication] = WeakSet()


def instrument(
    app: Application,
    *,
    record: Collection[str] = ("requests", "queries"),
    registry: CollectorRegistry | None = None,
    path: str | None = "/metrics",
    exclude: Collection[str] = (),
) -> Application:
    """Measure every request of *app*, offer the metrics at *path*, and return *app*.

    Args:
        record: What to record, see `RECORDS`. An empty list records nothing, costs nothing
            and still offers what is known of the process.
        registry: Where to keep the metrics; without it the application has its own,
            which shows memory and CPU of the process as well.
        path: The route for scrapes, which the application's own authorization protects;
            None for no route, when `perfkit.exporter.serve` shows the registry.
        exclude: Route templates that are not measured, beside *path*.

    Raises:
        PerfkitError: The application cannot be instrumented so; the text says why.
        MissingExtraError: prometheus-client is not installed.
    """
    _check(app, path, exclude)
    check_record(record)
    from perfkit.exporter import exporter  # here, so that perfkit imports without the extra

    shown = exporter(registry)
    if path is not None:
        _add_route(app, path, shown)
    unmeasured = (*exclude, path) if path is not None else exclude
    excluded = [_template(each) for each in unmeasured]
    meter = Meter(shown.store)
    of_process.join(meter)
    shown.keep(meter)
    for name in dict.fromkeys(record):
        RECORDS[name](app, meter, excluded)
    _instrumented.add(app)
    return app


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


def _requests(app: RestApplication, meter: Meter, exclude: Collection[str]) -> None:
    app.observe(MetricsObserver(meter, exclude=exclude))


def _queries(app: RestApplication, meter: Meter, exclude: Collection[str]) -> None:
    count_operations()


RECORDS: Mapping[str, Attach] = MappingProxyType({"requests": _requests, "queries": _queries})
"""What may be recorded.

requests    durations, sizes and counts by route, where decisions ended, and what each
            dependency took
queries     queries, commands and HTTP requests that other rooms of perfkit report
"""


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


def _add_route(app: RestApplication, path: str, shown: Exporter) -> None:
    @app.get(path)
    @skip_content_negotiation
    def metrics(request: Request) -> Response:
        """Everything measured so far, for Prometheus."""
        content, media_type = shown.scrape(request.headers.get("Accept") or "")
        return Response(200, content, content_type=media_type)
