"""One small application without instruments, and with those of perfkit or of others.

What is compared does the same work: a GET that answers a short JSON object, driven through ASGI
without a server. The others are given their cheapest set-up: OpenTelemetry's tracer keeps every
span and has nowhere to send it, its meter is read by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from driving import Client

import perfkit
from restmachine import ASGIAdapter, RestApplication

DEPENDENCIES = 10


def restmachine_app(**options: Any) -> RestApplication:
    """An application with a bare route, and one with ten dependencies."""
    app = RestApplication(**options)

    @app.get("/")
    async def bare() -> dict[str, str]:
        return {"message": "hi!"}

    for number in range(DEPENDENCIES):

        @app.dependency(name=f"number_{number}")
        async def one(number: int = number) -> int:
            return number

    names = ", ".join(f"number_{number}" for number in range(DEPENDENCIES))
    handler: dict[str, Any] = {}
    # A handler with ten parameters, written by name like any other.
    exec(f"async def all_of_them({names}): return {{'message': 'hi!'}}", handler)
    app.get("/dependencies")(handler["all_of_them"])
    return app


def starlette_app() -> Any:
    """An application of Starlette with the same bare route."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def bare(request: Any) -> JSONResponse:
        return JSONResponse({"message": "hi!"})

    return Starlette(routes=[Route("/", bare)])


def with_opentelemetry(app: Any) -> Any:
    """Wrap an ASGI application as opentelemetry-instrumentation-asgi does."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    return OpenTelemetryMiddleware(
        app,
        tracer_provider=TracerProvider(),
        meter_provider=MeterProvider([InMemoryMetricReader()]),
    )


def with_instrumentator(app: Any) -> Any:
    """Instrument an application of Starlette with prometheus-fastapi-instrumentator."""
    from prometheus_client import CollectorRegistry
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator(registry=CollectorRegistry()).instrument(app)
    return app


def with_middleware(app: Any) -> Any:
    """Wrap an ASGI application in perfkit's own middleware."""
    from perfkit.asgi import Middleware

    return Middleware(app)


def plain(path: str = "/") -> Client:
    """A client of the application without instruments."""
    return Client(ASGIAdapter(restmachine_app()), "GET", path)


def on(path: str = "/") -> Client:
    """A client of the application with one line of perfkit."""
    return Client(ASGIAdapter(perfkit.instrument(restmachine_app())), "GET", path)


def off() -> Client:
    """A client of the application with perfkit told to record nothing."""
    app = perfkit.instrument(restmachine_app(), record=(), path=None)
    return Client(ASGIAdapter(app), "GET", "/")


VARIANTS: dict[str, Callable[[], Client]] = {
    "plain": plain,
    "off": off,
    "on": on,
    "plain, ten dependencies": lambda: plain("/dependencies"),
    "on, ten dependencies": lambda: on("/dependencies"),
    "opentelemetry": lambda: Client(with_opentelemetry(ASGIAdapter(restmachine_app())), "GET", "/"),
    "starlette": lambda: Client(starlette_app(), "GET", "/"),
    "starlette, perfkit.asgi": lambda: Client(with_middleware(starlette_app()), "GET", "/"),
    "starlette, opentelemetry": lambda: Client(with_opentelemetry(starlette_app()), "GET", "/"),
    "starlette, instrumentator": lambda: Client(with_instrumentator(starlette_app()), "GET", "/"),
}


def clients(names: Iterable[str]) -> dict[str, Client]:
    """Return a client for each name, which has answered once."""
    made = {name: VARIANTS[name]() for name in names}
    for name, client in made.items():
        answer = client.answer()
        assert (answer.status, b"hi!" in answer.body) == (200, True), name
    return made
