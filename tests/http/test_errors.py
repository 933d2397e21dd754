"""Errors: default content, and the functions that answer in its place (RFC 9110 section 15)."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from restmachine import (
    ConfigurationError,
    NotFound,
    Request,
    Response,
    RestApplication,
    Router,
)
from restmachine.errors import UnprocessableContent
from restmachine.testing import TestClient


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("ERROR", logger="restmachine")
    return caplog


@pytest.fixture
def app() -> RestApplication:
    app = RestApplication()

    @app.get("/broken")
    async def broken():
        raise RuntimeError("a secret of the server")

    @app.get("/missing")
    async def missing():
        raise NotFound("No such item.")

    @app.get("/own")
    async def own():
        return {"mine": True}, 404

    @app.post("/items")
    async def create(json_body):
        return json_body, 201

    return app


@pytest.fixture
def client(app: RestApplication) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


# ---- default content ---------------------------------------------------------------------


def test_error_is_json_that_names_the_phrase(client: TestClient) -> None:
    response = client.get("/nowhere")

    assert (response.status, response.json()) == (404, {"error": "Not Found"})
    assert response.headers["Content-Type"] == "application/json"


def test_error_is_text_for_a_client_that_takes_only_text(client: TestClient) -> None:
    response = client.get("/missing", headers={"Accept": "text/plain"})

    assert response.text == "Not Found: No such item."


def test_error_is_a_problem_for_a_client_that_asks_for_one(client: TestClient) -> None:
    response = client.get("/nowhere", headers={"Accept": "application/problem+json"})

    assert response.json() == {"title": "Not Found", "status": 404}
    assert response.headers["Content-Type"] == "application/problem+json"


def test_text_of_an_exception_is_logged_and_never_sent(
    client: TestClient, log: pytest.LogCaptureFixture
) -> None:
    response = client.get("/broken")

    assert response.status == 500
    assert "secret" not in response.text
    assert "a secret of the server" in log.text


def test_406_names_in_text_what_is_available(client: TestClient) -> None:
    response = client.get("/own", headers={"Accept": "image/png"})

    assert response.status == 406
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.headers["Vary"] == "Accept"
    assert "application/json, text/html, text/plain" in response.text


def test_406_names_the_languages_where_none_is_acceptable(app: RestApplication) -> None:
    @app.get("/hello", languages=("en", "de"))
    async def hello(language):
        return language

    response = TestClient(app).get("/hello", headers={"Accept-Language": "fr, *;q=0"})

    assert (response.status, response.text) == (406, "Not Acceptable. Available languages: en, de")


def test_failed_validation_says_so_with_its_details(app: RestApplication) -> None:
    class Item(BaseModel):
        size: int

    @app.validates
    def item(json_body) -> Item:
        return Item(**json_body)

    @app.post("/sized")
    def create(item):
        return item

    response = TestClient(app).post("/sized", json={"size": "large"})

    assert response.status == 422
    assert response.json()["error"] == "Validation failed"
    assert response.json()["details"][0]["loc"] == ["size"]


# ---- error handlers ----------------------------------------------------------------------


def test_mapping_of_an_error_handler_is_json_under_the_status_of_the_error(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error(404)
    async def not_found(request):
        return {"lost": request.path}

    response = client.get("/nowhere")

    assert (response.status, response.json()) == (404, {"lost": "/nowhere"})
    assert response.headers["Content-Type"] == "application/json"


def test_text_of_an_error_handler_is_plain_text(app: RestApplication, client: TestClient) -> None:
    @app.handles_error(404)
    async def not_found():
        return "nothing here"

    response = client.get("/nowhere")

    assert response.text == "nothing here"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_response_of_an_error_handler_is_sent_as_it_is(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error(404)
    async def teapot():
        return Response(418, "<h1>teapot</h1>", content_type="text/html")

    response = client.get("/nowhere")

    assert (response.status, response.text) == (418, "<h1>teapot</h1>")
    assert response.headers["Content-Type"] == "text/html"


def test_tuple_of_an_error_handler_states_status_and_fields(
    app: RestApplication, client: TestClient
) -> None:
    @app.error_handler(404)
    async def gone(message):
        return {"message": message}, 410, {"X-Reason": "moved out"}

    response = client.get("/missing")

    assert (response.status, response.json()) == (410, {"message": "No such item."})
    assert response.headers["X-Reason"] == "moved out"


def test_error_handler_without_codes_answers_every_error(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error()
    async def any_error(status_code, message, exception):
        return [status_code, message, type(exception).__name__]

    assert client.get("/nowhere").json() == [404, "Not Found", "NoneType"]
    assert client.get("/broken").json() == [500, "Internal Server Error", "RuntimeError"]


def test_handler_of_the_very_status_comes_before_an_earlier_catch_all(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error
    async def any_error():
        return "any"

    @app.handles_error(404, 410)
    async def not_found():
        return "not found"

    assert client.get("/nowhere").text == "not found"
    assert client.get("/broken").text == "any"


@pytest.mark.parametrize(
    ("accept", "content"),
    [
        ("text/html", "<p>lost</p>"),
        ("application/json;q=0.5, text/html", "<p>lost</p>"),
        ("application/xml", "<lost/>"),
        ("application/json", '{"lost":true}'),
    ],
)
def test_typed_handler_that_the_client_accepts_comes_before_an_untyped_one(
    app: RestApplication, client: TestClient, accept: str, content: str
) -> None:
    @app.handles_error(404)
    async def untyped():
        return {"lost": True}

    @app.error_provides("text/html", charset="utf-8")
    @app.handles_error(404)
    async def page():
        return "<p>lost</p>"

    @app.error_provides("application/xml")
    @app.handles_error(404)
    async def document():
        return "<lost/>"

    response = client.get("/nowhere", headers={"Accept": accept})

    assert (response.status, response.text) == (404, content)
    assert "Accept" in response.headers["Vary"]


def test_typed_handler_states_its_type_and_charset(
    app: RestApplication, client: TestClient
) -> None:
    @app.error_provides("text/html", charset="iso-8859-1")
    @app.handles_error(404)
    async def page():
        return "<p>déjà vu</p>"

    response = client.get("/nowhere", headers={"Accept": "text/html"})

    assert response.headers["Content-Type"] == "text/html; charset=iso-8859-1"
    assert response.content == "<p>déjà vu</p>".encode("latin-1")


def test_error_handler_is_not_asked_about_what_a_handler_returned(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error()
    async def any_error():
        return "never"

    assert client.get("/own").json() == {"mine": True}


def test_failing_error_handler_leaves_the_default_content(
    app: RestApplication, client: TestClient, log: pytest.LogCaptureFixture
) -> None:
    @app.handles_error()
    async def any_error():
        raise LookupError("the handler's own secret")

    response = client.get("/nowhere")

    assert (response.status, response.json()) == (404, {"error": "Not Found"})
    assert '"any_error" failed' in log.text


def test_error_handler_that_reads_fields_which_are_too_long_is_left_out_without_a_word(
    app: RestApplication, client: TestClient, log: pytest.LogCaptureFixture
) -> None:
    @app.handles_error(404)
    def answer(request):
        return {"path": request.path}

    response = client.get("/missing", headers={"X-Long": "x" * 40_000})

    assert (response.status, response.json()["error"]) == (404, "Not Found")
    assert log.records == []


def test_error_handler_whose_result_cannot_be_sent_leaves_the_default_content(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error(404)
    async def odd():
        return {"odd": object()}

    assert client.get("/nowhere").json() == {"error": "Not Found"}


def test_error_handler_that_returns_nothing_leaves_the_default_content(
    app: RestApplication, client: TestClient
) -> None:
    seen = []

    @app.handles_error()
    async def note(status_code):
        seen.append(status_code)

    assert client.get("/nowhere").json() == {"error": "Not Found"}
    assert seen == [404]


def test_fields_which_a_status_demands_stay_with_a_custom_content(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error(405)
    async def not_allowed():
        return {"no": True}

    response = client.delete("/own")

    assert response.json() == {"no": True}
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_error_handler_that_turns_an_error_into_401_states_a_challenge(
    app: RestApplication, client: TestClient
) -> None:
    @app.handles_error(404)
    async def hidden():
        return Response(401, "who are you?")

    assert client.get("/nowhere").headers["WWW-Authenticate"] == "Bearer"


def test_error_handler_may_block_and_take_dependencies(
    app: RestApplication, client: TestClient
) -> None:
    closed = []

    @app.dependency()
    async def settings():
        await asyncio.sleep(0)
        return {"help": "/help"}

    @app.dependency()
    def templates(settings):
        yield f"see {settings['help']}"
        closed.append("templates")

    @app.handles_error(404)
    def not_found(templates):
        return templates

    assert client.get("/nowhere").text == "see /help"
    assert closed == ["templates"]


def test_error_handlers_answer_direct_execution_too(app: RestApplication) -> None:
    from restmachine import Request

    @app.handles_error(404)
    async def not_found(message):
        return {"message": message}

    response = app.execute(Request("GET", "/nowhere"))
    app.shutdown_sync()

    assert (response.status_code, response.body) == (404, b'{"message":"Not Found"}')


def test_failing_teardown_is_answered_by_the_handler_of_500(
    app: RestApplication, client: TestClient
) -> None:
    @app.dependency()
    def transaction():
        yield "open"
        raise RuntimeError("the commit failed")

    @app.get("/committed")
    def committed(transaction):
        return {"saved": True}

    @app.handles_error(500)
    def failed(exception):
        return {"failed": type(exception).__name__}

    response = client.get("/committed")

    assert (response.status, response.json()) == (500, {"failed": "RuntimeError"})


def test_error_handler_does_not_wait_for_content_that_was_not_read(app: RestApplication) -> None:
    app.handles_error(413)(lambda request: {"path": request.path, "body": request.body})
    app.post("/small", max_content=10)(lambda json_body: json_body)

    response = TestClient(app).post("/small", json={"text": "x" * 100})

    assert (response.status, response.json()) == (413, {"path": "/small", "body": None})


def test_error_handler_of_a_bypass_route_is_asked(app: RestApplication, client: TestClient) -> None:
    @app.get("/fast", bypass_state_machine=True)
    async def fast():
        raise UnprocessableContent("no")

    @app.handles_error(422)
    async def refused(message):
        return {"refused": message}

    assert client.get("/fast").json() == {"refused": "no"}


def test_error_handler_of_a_router_answers_at_and_below_its_prefix(app: RestApplication) -> None:
    router = Router()
    app.mount("/api", router)
    app.handles_error(404)(lambda: "site")
    router.handles_error()(lambda: "api")
    client = TestClient(app)

    assert client.get("/api/nowhere").text == "api"
    assert client.get("/apix").text == "site"


def test_error_handler_of_the_application_answers_what_a_router_leaves(
    app: RestApplication,
) -> None:
    router = Router()
    app.mount("/api", router)
    app.handles_error(404)(lambda: "site")
    router.handles_error(410)(lambda: "api")

    assert TestClient(app).get("/api/nowhere").text == "site"


def test_head_of_an_error_has_the_length_of_the_custom_content(
    app: RestApplication, client: TestClient
) -> None:
    app.handles_error(404)(lambda: "nothing here")

    response = client.head("/nowhere")

    assert (response.content, response.headers["Content-Length"]) == (b"", "12")


@pytest.mark.parametrize("code", [200, 600, "404"])
def test_error_handler_of_what_is_no_error_is_refused(app: RestApplication, code: object) -> None:
    with pytest.raises(ConfigurationError, match="name 400 to 599"):
        app.handles_error(code)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("kind", ["stream", "async stream", "file", "path"])
def test_status_without_content_has_none_whatever_an_error_handler_returns(
    app: RestApplication, tmp_path: Path, status: int, kind: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"content"

    @app.handles_error(404)
    def explain():
        made = {
            "stream": lambda: iter([b"content"]),
            "async stream": pieces,
            "file": lambda: io.BytesIO(b"content"),
            "path": lambda: file,
        }
        return made[kind](), status

    with TestClient(app) as client:
        response = client.get("/missing")

    assert (response.status, response.content) == (status, b"")
    assert "Content-Length" not in response.headers


@pytest.mark.parametrize("is_async", [True, False])
def test_head_of_an_error_has_no_content_of_a_stream(app: RestApplication, is_async: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"content"

    @app.handles_error(404)
    def explain():
        return pieces() if is_async else iter([b"content"])

    with TestClient(app) as client:
        response = client.request("HEAD", "/missing")

    assert (response.status, response.content) == (404, b"")


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("json_body", lambda json_body: None),
        ("body", lambda body: None),
        ("body_stream", lambda body_stream: None),
    ],
)
@pytest.mark.parametrize("kind", ["handles_error", "default_headers"])
def test_what_follows_an_error_cannot_ask_for_content_that_the_route_does_not_read(
    app: RestApplication, kind: str, name: str, function: Callable[[Any], None]
) -> None:
    register = app.handles_error() if kind == "handles_error" else app.default_headers
    register(function)

    with pytest.raises(ConfigurationError, match=f'asks for "{name}".* Remove "{name}"'):
        app.execute(Request("GET", "/missing"))


def test_error_handler_that_asks_for_the_unknown_is_found_when_the_application_is_built(
    app: RestApplication,
) -> None:
    app.handles_error(404)(lambda mesage: mesage)

    with pytest.raises(ConfigurationError, match="mesage"):
        app.startup_sync()


def test_error_handler_that_only_some_routes_could_call_is_found_as_well() -> None:
    app = RestApplication()
    app.get("/users/{user_id}")(lambda user_id: {"id": user_id})
    app.handles_error(404)(lambda user_id: f"no {user_id}")

    with pytest.raises(ConfigurationError, match='asks for "user_id"'):
        app.startup_sync()


# ---- the request's identifiers -----------------------------------------------------------


def test_identifiers_are_random_and_the_same_throughout_a_request(
    app: RestApplication, client: TestClient
) -> None:
    app.dependency(name="logged")(lambda request_id: request_id)

    @app.get("/ids")
    async def ids(request_id, trace_id, logged):
        return [request_id, trace_id, logged]

    first, second = client.get("/ids").json(), client.get("/ids").json()

    assert first[0] == first[2] != first[1]
    assert not {*first} & {*second}


def test_identifier_that_was_asked_for_is_in_the_error(app: RestApplication) -> None:
    seen = []

    @app.get("/known")
    async def known(request_id):
        seen.append(request_id)
        raise NotFound

    response = TestClient(app).get("/known")

    assert response.json() == {"error": "Not Found", "request_id": seen[0]}


def test_provider_names_the_request_in_every_error(
    app: RestApplication, client: TestClient
) -> None:
    @app.request_id
    async def from_the_proxy(request_headers):
        return request_headers.get("X-Request-ID")

    app.trace_id(lambda request_id: f"trace of {request_id}")

    response = client.get("/nowhere", headers={"X-Request-ID": "r-1"})

    assert response.json() == {
        "error": "Not Found",
        "request_id": "r-1",
        "trace_id": "trace of r-1",
    }


def test_failing_provider_leaves_the_error_without_that_name(
    app: RestApplication, client: TestClient, log: pytest.LogCaptureFixture
) -> None:
    @app.request_id
    async def broken():
        raise RuntimeError("no identifier")

    response = client.get("/nowhere")

    assert response.json() == {"error": "Not Found"}
    assert '"request_id" failed' in log.text
