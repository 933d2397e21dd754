"""Renderers: the media types that a route or the application offers (RFC 9110 section 12)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from restmachine import (
    ConfigurationError,
    ContentRenderer,
    PlainTextRenderer,
    Request,
    Response,
    RestApplication,
    Router,
)
from restmachine.decorators import skip_content_negotiation
from restmachine.testing import TestClient


@pytest.fixture
def app() -> RestApplication:
    app = RestApplication()

    @app.get("/users/{user_id}")
    async def user(user_id):
        if user_id == "0":
            return {"error": "no such user"}, 404
        return {"id": user_id}

    @app.provides("text/html", charset="utf-8")
    async def user_page(user):
        return f"<h1>{user['id']}</h1>"

    @app.provides("text/csv")
    async def user_table(user):
        return f"id\r\n{user['id']}"

    @app.get("/plain")
    async def plain():
        return {"plain": True}

    return app


@pytest.fixture
def client(app: RestApplication) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


# ---- of a route --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "content_type", "content"),
    [
        (None, "text/html; charset=utf-8", "<h1>7</h1>"),
        ("*/*", "text/html; charset=utf-8", "<h1>7</h1>"),
        ("text/csv", "text/csv", "id\r\n7"),
        ("text/*", "text/html; charset=utf-8", "<h1>7</h1>"),
        ("text/html;q=0.1, text/csv", "text/csv", "id\r\n7"),
        ("application/json", "application/json", '{"id":"7"}'),
        ("application/json, text/html", "text/html; charset=utf-8", "<h1>7</h1>"),
        ("text/plain", "text/plain; charset=utf-8", "id: 7"),
    ],
)
def test_route_renders_what_the_client_prefers_its_own_types_first(
    client: TestClient, accept: str | None, content_type: str, content: str
) -> None:
    response = client.get("/users/7", headers={"Accept": accept} if accept else {})

    assert (response.status, response.text) == (200, content)
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Vary"] == "Accept"
    assert response.headers["Content-Length"] == str(len(content))


def test_route_without_renderers_of_its_own_answers_json(client: TestClient) -> None:
    assert client.get("/plain").json() == {"plain": True}


def test_406_names_the_types_of_the_route_too(client: TestClient) -> None:
    response = client.get("/users/7", headers={"Accept": "image/png"})

    assert response.status == 406
    assert response.text.endswith("text/html, text/csv, application/json, text/plain")


def test_head_states_the_type_and_length_of_the_rendered_content(client: TestClient) -> None:
    response = client.head("/users/7")

    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Length"] == str(len("<h1>7</h1>"))


def test_error_of_the_handler_is_not_given_to_the_renderers_of_its_results(
    client: TestClient,
) -> None:
    response = client.get("/users/0", headers={"Accept": "text/csv"})

    assert (response.status, response.json()) == (404, {"error": "no such user"})


def test_renderer_is_injected_like_a_handler(app: RestApplication, client: TestClient) -> None:
    @app.dependency()
    async def title():
        return "Report"

    @app.get("/report")
    async def report():
        return [1, 2]

    @app.provides("text/markdown")
    async def as_markdown(report, title, request):
        return f"# {title} {request.path} {sum(report)}"

    assert client.get("/report").text == "# Report /report 3"


def test_parameter_named_like_the_handler_gets_its_result_and_no_dependency(
    app: RestApplication, client: TestClient
) -> None:
    @app.dependency(name="report")
    async def other():
        return "the dependency"

    @app.get("/report")
    async def report():
        return "the result"

    @app.provides("text/plain")
    async def as_text(report):
        return report

    assert client.get("/report").text == "the result"


def test_renderer_may_block_and_async_and_sync_ones_mix(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/report")
    async def report():
        return {"made on": threading.current_thread().name}

    @app.provides("text/plain")
    def as_text(report):
        return threading.current_thread().name

    response = client.get("/report")

    assert response.text.startswith("restmachine-worker")


def test_renderer_may_return_a_response(app: RestApplication, client: TestClient) -> None:
    @app.get("/report")
    async def report():
        return {}

    @app.provides("text/html")
    async def as_page(report):
        return Response(203, "<p>changed</p>", {"X-By": "renderer"}, content_type="text/html")

    response = client.get("/report")

    assert (response.status, response.headers["X-By"]) == (203, "renderer")
    assert response.text == "<p>changed</p>"


def test_status_and_fields_of_the_handler_stay(app: RestApplication, client: TestClient) -> None:
    @app.post("/reports")
    async def create():
        return {"id": 1}, 201, {"Location": "/reports/1"}

    @app.provides("text/html")
    async def created_page(create):
        return f"<p>{create['id']}</p>"

    response = client.post("/reports")

    assert (response.status, response.text) == (201, "<p>1</p>")
    assert response.headers["Location"] == "/reports/1"
    assert response.headers["Content-Type"] == "text/html"


@pytest.mark.parametrize(
    "returned", [Response(200, {"a": 1}), ("<a/>", 200, {"Content-Type": "a/b"})]
)
def test_what_states_its_own_type_skips_the_renderers(
    app: RestApplication, client: TestClient, returned: Any
) -> None:
    @app.get("/report")
    async def report():
        return returned

    @app.provides("text/csv")
    async def never(report):
        return "never"

    assert client.get("/report").text in ('{"a":1}', "<a/>")


def test_failing_renderer_is_a_500_even_after_a_value_error(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/report")
    async def report():
        return {}

    @app.provides("text/csv")
    async def broken(report):
        raise ValueError("the renderer's secret")

    response = client.get("/report")

    assert response.status == 500
    assert "secret" not in response.text


def test_charset_encodes_what_a_renderer_returns(app: RestApplication, client: TestClient) -> None:
    @app.get("/report")
    async def report():
        return "déjà vu"

    @app.provides("text/plain", charset="iso-8859-1")
    async def as_text(report):
        return report

    response = client.get("/report")

    assert response.content == "déjà vu".encode("latin-1")
    assert response.headers["Content-Type"] == "text/plain; charset=iso-8859-1"


def test_renderer_serves_every_route_of_its_handler(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/one")
    @app.get("/two")
    async def both():
        return {}

    @app.provides("text/csv")
    async def table(both):
        return "table"

    assert client.get("/one").text == client.get("/two").text == "table"


def test_renderer_of_a_mounted_router_works(app: RestApplication) -> None:
    router = Router()
    app.mount("/reports", router)
    router.get("/")(_report)
    router.provides("text/csv")(lambda _report: "table")

    assert TestClient(app).get("/reports").text == "table"


async def _report() -> dict[str, str]:
    return {}


def test_skipping_negotiation_skips_the_renderers_too(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/report")
    @skip_content_negotiation
    async def report():
        return {"json": True}

    @app.provides("text/csv")
    async def table(report):
        return "never"

    assert client.get("/report", headers={"Accept": "text/csv"}).json() == {"json": True}


def test_not_modified_names_no_type_and_runs_no_renderer(
    app: RestApplication, client: TestClient
) -> None:
    @app.dependency()
    async def document():
        return {}

    @app.generate_etag
    async def tag(document):
        return "1"

    @app.get("/document")
    async def read(document):
        return document

    @app.provides("text/csv")
    async def table(read):
        raise RuntimeError("never")

    response = client.get("/document", headers={"If-None-Match": '"1"'})

    assert (response.status, response.headers["Vary"]) == (304, "Accept")


def test_provides_without_a_handler_above_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must stand below the handler"):
        RestApplication().provides("text/html")


def test_renderer_that_asks_for_the_unknown_is_found_when_the_application_is_built(
    app: RestApplication,
) -> None:
    app.provides("text/xml")(lambda plan: plan)

    with pytest.raises(ConfigurationError, match='asks for "plan"'):
        app.startup_sync()


# ---- of every route ----------------------------------------------------------------------


class XML(ContentRenderer):
    def __init__(self) -> None:
        super().__init__("application/xml")

    def render(self, data: Any, request: Request) -> str:
        return f"<{request.path[1:]}>{len(data)}</{request.path[1:]}>"


def test_added_renderer_serves_every_route(app: RestApplication, client: TestClient) -> None:
    app.add_content_renderer(XML())

    response = client.get("/plain", headers={"Accept": "application/xml"})

    assert response.text == "<plain>1</plain>"
    assert response.headers["Content-Type"] == "application/xml"
    assert client.get("/plain").headers["Content-Type"] == "application/json"


def test_added_renderer_replaces_the_one_of_its_type(
    app: RestApplication, client: TestClient
) -> None:
    class Shouting(PlainTextRenderer):
        def render(self, data: Any, request: Request) -> str:
            return super().render(data, request).upper()

    app.add_content_renderer(Shouting())

    assert client.get("/plain", headers={"Accept": "text/plain"}).text == "PLAIN: TRUE"


def test_function_of_data_or_of_data_and_request_renders_for_every_route(
    app: RestApplication, client: TestClient
) -> None:
    app.content_renderer("text/csv")(lambda data: ",".join(data))
    app.content_renderer("text/tab")(lambda data, request: f"{request.path}\t{len(data)}")

    assert client.get("/plain", headers={"Accept": "text/csv"}).text == "plain"
    assert client.get("/plain", headers={"Accept": "text/tab"}).text == "/plain\t1"


def test_async_function_is_refused_as_a_renderer_of_every_route(app: RestApplication) -> None:
    async def render(data):
        return data

    with pytest.raises(ConfigurationError, match="must be a plain function"):
        app.content_renderer("text/csv")(render)


def test_renderer_of_a_router_is_offered_at_and_below_its_prefix(app: RestApplication) -> None:
    router = Router()
    router.add_content_renderer(XML())
    router.get("/x")(lambda: {"a": 1})
    app.mount("/api", router)
    client = TestClient(app)

    assert client.get("/api/x", headers={"Accept": "application/xml"}).status == 200
    assert client.get("/plain", headers={"Accept": "application/xml"}).status == 406


# ---- declared models ---------------------------------------------------------------------


class User(BaseModel):
    name: str
    age: int = 0


class UserWithSecret(User):
    secret: str


@pytest.mark.parametrize(
    "returned",
    [{"name": "Ada", "age": "36"}, User(name="Ada", age=36), {"name": "Ada", "age": 36, "x": 1}],
)
def test_declared_model_is_validated_and_its_fields_are_sent(
    app: RestApplication, client: TestClient, returned: Any
) -> None:
    @app.get("/user")
    async def user() -> User:
        return returned

    assert client.get("/user").json() == {"name": "Ada", "age": 36}


def test_fields_of_a_subclass_are_not_sent_for_the_declared_model(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/user")
    async def user() -> User:
        return UserWithSecret(name="Ada", secret="hunter2")

    assert client.get("/user").json() == {"name": "Ada", "age": 0}


def test_list_of_declared_models_is_validated_item_by_item(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/users")
    def users() -> list[User]:
        return [User(name="Ada"), {"name": "Bob"}]  # type: ignore[list-item]  # the point

    assert [user["name"] for user in client.get("/users").json()] == ["Ada", "Bob"]


@pytest.mark.parametrize("returned", [{"age": 1}, [], "Ada", {"name": "Ada", "age": "hunter2"}])
def test_result_that_is_not_the_declared_model_is_a_logged_500(
    app: RestApplication, client: TestClient, caplog: pytest.LogCaptureFixture, returned: Any
) -> None:
    caplog.set_level("ERROR", logger="restmachine")

    @app.get("/user")
    async def user() -> User:
        return returned

    response = client.get("/user")

    assert (response.status, response.json()) == (500, {"error": "Internal Server Error"})
    assert "declares to return User" in caplog.text


@pytest.mark.parametrize(
    ("returned", "status"),
    [(Response(404), 404), (({"error": "gone"}, 410), 410), (None, 204)],
)
def test_response_error_or_nothing_is_not_held_to_the_declared_model(
    app: RestApplication, client: TestClient, returned: Any, status: int
) -> None:
    @app.get("/user")
    async def user() -> User:
        return returned

    assert client.get("/user").status == status


def test_body_of_a_tuple_is_held_to_the_declared_model(
    app: RestApplication, client: TestClient
) -> None:
    @app.post("/user")
    async def user() -> User:
        return {"name": "Ada"}, 201  # type: ignore[return-value]  # a response tuple

    assert client.post("/user").json() == {"name": "Ada", "age": 0}


def test_renderer_of_the_route_gets_the_model_that_the_handler_made(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/user")
    async def user() -> User:
        return User(name="Ada")

    @app.provides("text/html")
    async def page(user: User):
        return f"<h1>{user.name}</h1>"

    assert client.get("/user").text == "<h1>Ada</h1>"


def test_models_are_their_fields_in_every_built_in_type(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/users")
    async def users():
        return [User(name="Ada")]

    assert client.get("/users").json() == [{"name": "Ada", "age": 0}]
    assert "<li>name: Ada</li>" in client.get("/users", headers={"Accept": "text/html"}).text


def test_plan_of_a_route_that_asks_for_nothing_special_takes_results_as_they_are(
    app: RestApplication,
) -> None:
    plan, _ = app.dispatch("GET", "/plain")

    assert plan.keeper is None
