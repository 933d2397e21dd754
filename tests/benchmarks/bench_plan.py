"""What deciding costs: a compiled plan, its plain twin, and the handler alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from restmachine import Request, RestApplication
from restmachine.exchange import DirectExchange
from restmachine.plan import Plan, walk
from restmachine.resources import Resource
from restmachine.steps import decide

app = RestApplication(blocking=False)


@app.get("/bare")
def bare() -> dict[str, bool]:
    return {"ok": True}


@app.resource_exists
def item(item_id: str) -> dict[str, str] | None:
    return {"id": item_id}


@app.generate_etag
def item_tag(item: dict[str, str]) -> str:
    return item["id"]


@app.put("/items/{item_id}")
def put_item(item: dict[str, str]) -> dict[str, str]:
    return item


def prepared(method: str, path: str, headers: dict[str, str]) -> tuple[Plan, DirectExchange]:
    """Return a plan and an exchange that has yet to be decided."""
    plan, values = app.dispatch(method, path)
    return plan, DirectExchange(plan, Request(method, path, headers), values)


PLAN, EXCHANGE = prepared("GET", "/bare", {"Host": "example.org", "User-Agent": "bench"})
ACCEPTING = prepared("GET", "/bare", {"Host": "example.org", "Accept": "*/*"})[1]
UPDATE, UPDATING = prepared("PUT", "/items/7", {"If-Match": '"7"'})
assert decide(PLAN.first, EXCHANGE) == walk(EXCHANGE) == 200
assert decide(UPDATE.first, UPDATING) == walk(UPDATING) == 200


def bench_bare_handler(benchmark: Callable[..., Any]) -> None:
    assert PLAN.handler is not None
    assert benchmark(PLAN.handler.invoke, EXCHANGE) == {"ok": True}


def bench_bare_get(benchmark: Callable[..., Any]) -> None:
    assert benchmark(decide, PLAN.first, EXCHANGE) == 200


def bench_bare_get_with_accept(benchmark: Callable[..., Any]) -> None:
    assert benchmark(decide, PLAN.first, ACCEPTING) == 200


def bench_bare_get_walked(benchmark: Callable[..., Any]) -> None:
    assert benchmark(walk, EXCHANGE) == 200


def bench_put_if_match(benchmark: Callable[..., Any]) -> None:
    def decide_anew() -> int:
        UPDATING.values = ["7", *UPDATE.blank]
        return decide(UPDATE.first, UPDATING)

    assert benchmark(decide_anew) == 200


def bench_resource(benchmark: Callable[..., Any]) -> None:
    """A session dependency that was made is one attribute look-up away."""
    local = RestApplication(blocking=False)

    @local.on_startup
    def pool() -> str:
        return "pool"

    @local.get("/pool")
    def use(pool: str) -> str:
        return pool

    local.startup_sync()
    resource = local.compiled.resources["pool"]
    assert isinstance(resource, Resource)
    assert benchmark(resource.get, EXCHANGE) == "pool"
