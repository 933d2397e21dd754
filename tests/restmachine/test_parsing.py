"""Parsers of the application: what may be one, and what others get of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from restmachine import ConfigurationError, Conflict, Request, RestApplication, Router
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]

CSV = {"Content-Type": "text/csv"}


@pytest.mark.parametrize("media_type", ["csv", "", "text/*", "*/*", "text/"])
def test_a_parser_needs_a_media_type(app: RestApplication, media_type: str) -> None:
    with pytest.raises(ConfigurationError, match='give one such as "text/csv"'):
        app.accepts(media_type)(lambda body: body)


def test_a_parser_returns(app: RestApplication) -> None:
    def rows(body: str) -> Any:
        yield body

    with pytest.raises(ConfigurationError, match='"rows" parses content, so it must return'):
        app.accepts("text/csv")(rows)


def test_a_parser_belongs_to_one_request(app: RestApplication) -> None:
    with pytest.raises(ConfigurationError, match="leave out the scope"):
        app.accepts("text/csv", scope="session")


def test_a_parser_cannot_wait_for_what_it_parses(app: RestApplication) -> None:
    @app.dependency()
    def parsed(text_body: Any) -> Any:
        return text_body

    @app.accepts("text/csv")
    def rows(parsed: Any) -> Any:
        return parsed

    @app.post("/")
    def handler(rows: Any) -> Any:
        return rows

    with pytest.raises(ConfigurationError, match="rows -> parsed -> rows"):
        app.execute(Request("POST", "/"))


def test_a_session_dependency_cannot_have_parsed_content(app: RestApplication) -> None:
    @app.dependency(scope="session")
    def settings(parsed_body: Any) -> Any:
        return parsed_body

    @app.get("/")
    def handler(settings: Any) -> Any:
        return settings

    with pytest.raises(ConfigurationError, match='"parsed_body", which belongs to one request'):
        app.execute(Request("GET", "/"))


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_parser_gets_dependencies_and_runs_once(
    serve: Serve, blocking: bool, is_async: bool
) -> None:
    app = RestApplication(blocking=blocking)
    calls = []

    @app.dependency()
    async def separator() -> str:
        return ","

    def rows(body: str, separator: str) -> Any:
        calls.append(body)
        return body.split(separator)

    async def later(body: str, separator: str) -> Any:
        return rows(body, separator)

    app.accepts("text/csv")(later if is_async else rows)

    @app.dependency()
    def first(parsed_body: Any) -> Any:
        return parsed_body[0]

    @app.post("/")
    async def handler(first: Any, parsed_body: Any) -> Any:
        return [first, parsed_body]

    response = serve(app).post("/", headers=CSV, content=[b"1,", b"2"])

    assert response.json() == ["1", ["1", "2"]]
    assert calls == ["1,2"]


def test_a_parser_of_a_mounted_router_parses_for_all(serve: Serve) -> None:
    app, router = RestApplication(), Router()

    @router.accepts("text/csv")
    async def rows(body: str) -> Any:
        return body.split(",")

    @app.post("/")
    async def handler(parsed_data: Any) -> Any:
        return parsed_data

    app.mount("/below", router)

    assert serve(app).post("/", headers=CSV, content="1,2").json() == ["1", "2"]


def test_the_outer_parser_of_a_type_wins(serve: Serve) -> None:
    app, router = RestApplication(), Router()
    router.accepts("text/csv")(lambda body: "inner")
    app.accepts("TEXT/csv")(lambda body: "outer")

    @app.post("/")
    async def handler(parsed_data: Any) -> Any:
        return [parsed_data]

    app.mount("/below", router)

    assert serve(app).post("/", headers=CSV, content="1").json() == ["outer"]


def test_a_parser_may_say_itself_what_is_wrong(serve: Serve) -> None:
    app = RestApplication()

    class Row(BaseModel):
        number: int

    @app.accepts("text/csv")
    def row(body: str) -> Any:
        if body == "taken":
            raise Conflict("The row is taken.")
        return Row(number=body)

    @app.post("/")
    async def handler(row: Any) -> Any:
        return row

    client = serve(app)
    taken = client.post("/", headers=CSV, content="taken")
    wrong = client.post("/", headers=CSV, content="x")

    assert (taken.status, taken.json()["details"]) == (409, "The row is taken.")
    assert (wrong.status, wrong.json()["details"][0]["loc"]) == (422, ["number"])


def test_a_route_without_content_reads_none(serve: Serve) -> None:
    app = RestApplication()
    app.accepts("text/csv")(lambda body: body)

    @app.get("/")
    async def handler() -> Any:
        return {}

    plan, _ = app.dispatch("GET", "/")

    assert not plan.reads_content
    assert not plan.parses_content
    assert plan.blank == []
