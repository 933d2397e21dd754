"""What a start-up costs: to declare routes and to compile their plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from restmachine import RestApplication
from restmachine.recipes import inspected_parameters, written_parameters


def application(routes: int) -> RestApplication:
    """Return an application of routes without and with a parameter."""
    app = RestApplication()
    for number in range(routes // 2):

        @app.get(f"/static/{number}")
        async def static() -> dict[str, bool]:
            return {"ok": True}

        @app.get(f"/items{number}/{{item_id}}")
        async def item(item_id: str) -> dict[str, str]:
            return {"id": item_id}

    return app


def protected(routes: int) -> RestApplication:
    """Return the same with a callback that every route asks, so each has decisions of its own."""
    app = application(routes)

    @app.default_authorized
    async def known(request_headers: dict[str, str]) -> bool:
        return "Authorization" in request_headers

    return app


def resources(routes: int) -> RestApplication:
    """Return routes that each have a callback and an entity tag of their own."""
    app = RestApplication()
    for number in range(routes):
        thing, tag = f"thing{number}", f"tag{number}"
        names: dict[str, Any] = {}
        exec(f"async def {thing}(item_id): return item_id", names)
        exec(f"async def {tag}({thing}): return {thing}", names)
        exec(f"async def read({thing}): return {{'id': {thing}}}", names)
        app.resource_exists(names[thing])
        app.generate_etag(names[tag])
        app.get(f"/items{number}/{{item_id}}")(names["read"])
    return app


def compiling(app: RestApplication) -> Callable[[], object]:
    """Return a function that compiles an application anew."""

    def unused() -> None:
        """Be something new."""

    def compile_anew() -> object:
        app.dependency(unused)
        return app.compiled

    return compile_anew


def bench_declaring_100(benchmark: Callable[..., Any]) -> None:
    assert len(benchmark(application, 100).routes) == 100


def bench_compiling_100(benchmark: Callable[..., Any]) -> None:
    app = application(100)
    assert benchmark(compiling(app)) is app.compiled


def bench_compiling_100_protected(benchmark: Callable[..., Any]) -> None:
    app = protected(100)
    assert benchmark(compiling(app)) is app.compiled


def bench_compiling_100_resources(benchmark: Callable[..., Any]) -> None:
    app = resources(100)
    assert benchmark(compiling(app)) is app.compiled


def bench_written_parameters(benchmark: Callable[..., Any]) -> None:
    assert benchmark(written_parameters, compiling) == inspected_parameters(compiling)


def bench_inspected_parameters(benchmark: Callable[..., Any]) -> None:
    assert benchmark(inspected_parameters, compiling) == written_parameters(compiling)
