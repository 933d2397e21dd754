"""Methods (RFC 9110 section 9, RFC 5789)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from restmachine import RestApplication
from restmachine.testing import TestClient

SERVER = "h11"  # httptools refuses methods that it does not know

NOTHING = {"Content-Length": None, "Content-Type": None}


def application() -> RestApplication:
    """Return routes for every method."""
    app = RestApplication()

    @app.get("/item")
    def read() -> dict[str, str]:
        return {"did": "GET"}

    @app.post("/item")
    def process() -> dict[str, str]:
        return {"did": "POST"}

    @app.head("/own-head")
    def own_head() -> tuple[None, int, dict[str, str]]:
        return None, 200, {"Content-Length": "1234", "X-From": "HEAD"}

    @app.get("/own-head")
    def beside_own_head() -> dict[str, str]:
        return {"did": "GET"}

    @app.options("/own-options")
    def own_options() -> tuple[None, int, dict[str, str]]:
        return None, 204, {"Allow": "OPTIONS", "X-From": "OPTIONS"}

    @app.get("/empty")
    def empty() -> None:
        return None

    @app.get("/stream")
    def stream() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    @app.get("/users/me")
    def me() -> dict[str, str]:
        return {"id": "me"}

    @app.put("/users/{user_id}")
    def change(user_id: str) -> dict[str, str]:
        return {"id": user_id}

    @app.delete("/users/{user_id}")
    def remove(user_id: str) -> None:
        return None

    @app.patch("/users/{user_id}")
    def patch(user_id: str) -> dict[str, str]:
        return {"patched": user_id}

    @app.get("/fast", bypass_state_machine=True)
    def fast() -> tuple[dict[str, str], int]:
        return {"did": "fast"}, 200

    @app.route("TRACE", "/trace")
    def trace() -> dict[str, str]:
        return {"did": "TRACE"}

    return app


# fmt: off
CASES = [
    ("9.1-method-names-have-case", "get /item", {}, 501),
    ("9.1-B12-unrecognized-method", "BREW /item", {}, 501),
    ("9.1-B12-an-enormous-name", "X" * 2000 + " /item", {}, 501),
    ("9.1-B10-recognized-but-not-allowed", "DELETE /item", {}, 405,
        {"Allow": "GET, HEAD, OPTIONS, POST"}),
    ("9.1-B10-trace-is-recognized", "TRACE /item", {}, 405),
    ("9.1-B10-connect-is-recognized", "CONNECT /item", {}, 405),
    ("15.5.6-B10-allow-is-of-the-path", "POST /users/me", {}, 405,
        {"Allow": "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"}),
    ("9.1-A1-unknown-path-before-the-method", "BREW /nowhere", {}, 404),

    ("9.3.1-get", "GET /item", {}, 200,
        {"Content-Type": "application/json", "Content-Length": "13"}),
    ("9.3.1-get-content-means-nothing", "GET /item", {}, 200, {}, b"ignored"),
    ("9.3.2-head-has-the-fields-of-get", "HEAD /item", {}, 200,
        {"Content-Type": "application/json", "Content-Length": "13", "Vary": "Accept"}),
    ("9.3.2-head-of-an-absent-path", "HEAD /nowhere", {}, 404),
    ("9.3.2-head-of-no-content", "HEAD /empty", {}, 204, NOTHING),
    ("9.3.2-head-is-not-acceptable-where-get-is-not", "HEAD /item", {"Accept": "image/png"}, 406),
    ("9.3.2-head-of-a-stream-states-no-length", "HEAD /stream", {}, 200, {"Content-Length": None}),
    ("9.3.2-head-with-a-handler-of-its-own", "HEAD /own-head", {}, 200,
        {"Content-Length": "1234", "X-From": "HEAD"}),
    ("9.3.2-get-beside-a-head-of-its-own", "GET /own-head", {}, 200, {"X-From": None}),
    ("9.3.2-head-where-no-decision-is-asked", "HEAD /fast", {}, 200, {"Content-Length": "14"}),
    ("9.3.2-no-head-without-get", "HEAD /users/7", {}, 405,
        {"Allow": "DELETE, OPTIONS, PATCH, PUT"}),
    ("9.3.3-post", "POST /item", {}, 200, {"Content-Length": "14"}),
    ("9.3.4-put", "PUT /users/7", {}, 200),
    ("9.3.4-put-reaches-the-pattern-behind-a-text", "PUT /users/me", {}, 200),
    ("9.3.5-delete", "DELETE /users/7", {}, 204, NOTHING),
    ("RFC5789-2-patch", "PATCH /users/7", {}, 200),
    ("9.3.7-options-allow", "OPTIONS /item", {}, 204,
        {"Allow": "GET, HEAD, OPTIONS, POST", **NOTHING}),
    ("9.3.7-options-of-several-patterns", "OPTIONS /users/me", {}, 204,
        {"Allow": "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"}),
    ("9.3.7-options-of-an-absent-path", "OPTIONS /nowhere", {}, 404),
    ("9.3.7-options-with-a-handler-of-its-own", "OPTIONS /own-options", {}, 204,
        {"X-From": "OPTIONS"}),
    ("9.3.7-options-negotiates-nothing", "OPTIONS /item", {"Accept": "image/png"}, 204),
    ("9.3.7-options-has-no-preconditions", "OPTIONS /item", {"If-Match": '"x"'}, 204),
    ("9.3.8-trace-with-a-handler", "TRACE /trace", {}, 200),
    ("10.2.1-allow-names-each-method-once", "BREW-NOT /item", {}, 501, {"Allow": None}),
    ("15.5.6-allow-is-a-list-of-tokens", "PUT /item", {}, 405,
        {"Allow": re.compile(r"[A-Z]+(, [A-Z]+)*")}),
]
# fmt: on


def test_method(case: Any, client: TestClient) -> None:
    response = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


def test_head_never_has_content(client: TestClient) -> None:
    paths = ("/item", "/empty", "/stream", "/nowhere", "/own-head", "/fast")

    assert {client.head(path).content for path in paths} == {b""}


def test_head_runs_the_handler_of_get_for_the_same_fields(client: TestClient) -> None:
    head, get = client.head("/item"), client.get("/item")

    assert head.headers == get.headers
