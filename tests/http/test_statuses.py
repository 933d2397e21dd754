"""The status of each decision (RFC 9110 section 15), asked one by one.

Every callback of the application looks for its own decision's id in the field `Turn`, and
then gives the answer that is not the usual one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from restmachine import RestApplication
from restmachine.testing import ClientResponse, TestClient

SERVER = "h11"  # httptools refuses methods that it does not know

JSON = {"Content-Type": "application/json"}


def turn(*ids: str, **fields: str) -> dict[str, str]:
    """Return the fields of a request that turns these decisions."""
    return {"Turn": " ".join(ids), **fields}


def turned(request_headers: Any, *ids: str) -> bool:
    """Return whether a request turns one of these decisions."""
    return not set(ids).isdisjoint(request_headers.get("Turn", "").split())


def application() -> RestApplication:
    """Return an application whose decisions the client turns."""
    app = RestApplication(challenge='Basic realm="test"', max_content=40)
    for kind, id, usual in (
        ("service_available", "B13", True),
        ("known_method", "B12", True),
        ("uri_too_long", "B11", False),
        ("method_allowed", "B10", True),
        ("malformed_request", "B9", False),
        ("authorized", "B8", True),
        ("forbidden", "B7", False),
        ("content_headers_valid", "B6", True),
    ):
        getattr(app, f"default_{kind}")(answering(id, usual))
    declare_callbacks(app)
    declare_routes(app)
    return app


def answering(id: str, usual: bool) -> Callable[[Any], bool]:
    """Return a callback that says the usual unless the request turns its decision."""

    def answer(request_headers: Any) -> bool:
        return usual is not turned(request_headers, id)

    return answer


def declare_callbacks(app: RestApplication) -> None:
    """Declare what the route `/item` asks."""

    @app.resource_exists
    def item(request_headers: Any) -> dict[str, int] | None:
        return None if turned(request_headers, "G7") else {"id": 1}

    @app.moved_permanently
    def moved(request_headers: Any) -> str | None:
        return "/moved" if turned(request_headers, "K5", "I4") else None

    @app.moved_temporarily
    def lent(request_headers: Any) -> str | None:
        return "/lent" if turned(request_headers, "L5") else None

    @app.previously_existed
    def gone(request_headers: Any) -> bool:
        return turned(request_headers, "K7")

    @app.allow_missing_post
    def missing(request_headers: Any) -> bool:
        return not turned(request_headers, "M7", "N5")

    @app.conflict
    def conflicts(request_headers: Any) -> bool:
        return turned(request_headers, "O14", "P3")

    @app.delete_completed
    def deleted(request_headers: Any) -> bool:
        return not turned(request_headers, "M20b")

    @app.multiple_choices
    def choices(request_headers: Any) -> bool:
        return turned(request_headers, "O18")

    @app.dependency()
    def asked(
        item: Any, moved: Any, lent: Any, gone: Any, missing: Any,
        conflicts: Any, deleted: Any, choices: Any,
    ) -> None:  # fmt: skip
        """Make the handler reach every callback."""


def declare_routes(app: RestApplication) -> None:
    """Declare handlers that answer with their method, or as `Turn` says."""

    def handle(asked: Any, request_headers: Any, request: Any) -> Any:
        if turned(request_headers, "O20"):
            return None
        if turned(request_headers, "P11"):
            return {"did": request.method}, 201, {"Location": "/item/1"}
        return {"did": request.method}

    for method in ("GET", "POST", "PATCH", "DELETE"):
        app.route(method, "/item")(handle)
    app.put("/item", creates=True)(handle)
    app.put("/found")(handle)
    app.get("/found")(handle)

    @app.post("/parsed")
    def parsed(json_body: Any) -> Any:
        return json_body

    @app.post("/location")
    def located(response_headers: Any) -> Any:
        response_headers["Location"] = "/location/1"
        return {"made": True}

    @app.post("/stated")
    def stated() -> Any:
        return {"made": False}, 200, {"Location": "/stated/1"}

    @app.post("/elsewhere")
    @app.put("/elsewhere")
    def elsewhere() -> Any:
        return None, 303, {"Location": "/item"}

    @app.post("/found")
    def made() -> Any:
        return {"made": True}, 201, {"Location": "/found/1"}


DID_GET = {"Content-Type": "application/json"}
# fmt: off
CASES = [
    ("15.5.5-A1-no-route", "GET /nowhere", {}, 404, {"Content-Type": "application/json"}),
    ("15.5.5-A1-comes-before-every-callback", "GET /nowhere", turn("B13", "B8"), 404),
    ("15.6.4-B13-unavailable", "GET /item", turn("B13"), 503),
    ("15.6.4-B13-comes-before-B12", "BREW /item", turn("B13"), 503),
    ("15.6.2-B12-unknown-method", "BREW /item", {}, 501),
    ("15.6.2-B12-refused-method", "GET /item", turn("B12"), 501),
    ("15.6.2-B12-comes-before-B11", "GET /item", turn("B12", "B11"), 501),
    ("15.5.15-B11-long-target", "GET /item", turn("B11"), 414),
    ("15.5.15-B11-comes-before-B10", "PUT /parsed", turn("B11"), 414),
    ("15.5.6-B10-no-handler", "PUT /parsed", {}, 405, {"Allow": "OPTIONS, POST"}),
    ("15.5.6-B10-refused", "GET /item", turn("B10"), 405),
    ("15.5.6-B10-comes-before-B9", "PUT /parsed", turn("B9"), 405),
    ("15.5.1-B9-malformed", "GET /item", turn("B9"), 400),
    ("15.5.1-B9-comes-before-B8", "GET /item", turn("B9", "B8"), 400),
    ("15.5.2-B8-unauthorized", "GET /item", turn("B8"), 401,
        {"WWW-Authenticate": 'Basic realm="test"'}),
    ("15.5.2-B8-comes-before-B7", "GET /item", turn("B8", "B7"), 401),
    ("15.5.4-B7-forbidden", "GET /item", turn("B7"), 403, {"WWW-Authenticate": None}),
    ("15.5.4-B7-comes-before-B6", "GET /item", turn("B7", "B6"), 403),
    ("9.3.4-B6-senseless-content-fields", "PUT /item", turn("B6"), 400),
    ("15.5.1-B6-comes-before-B5", "POST /parsed", turn("B6"), 400, {}, b"x"),
    ("15.5.16-B5-unknown-type", "POST /parsed", {"Content-Type": "image/png"}, 415, {}, b"[]"),
    ("15.5.16-B5-no-type", "POST /parsed", {}, 415, {}, b"[]"),
    ("15.5.16-B5-comes-before-B4", "POST /parsed", {}, 415, {}, b"x" * 100),
    ("8.3-B5-no-content-needs-no-type", "POST /parsed", {}, 204),
    ("8.3.1-B5-parameters-do-not-matter", "POST /parsed",
        {"Content-Type": 'Application/JSON; charset="utf-8"'}, 200, {}, b"[]"),
    ("RFC6839-3.1-B5-types-built-on-JSON", "POST /parsed",
        {"Content-Type": "application/hal+json"}, 200, {}, b"[]"),
    ("15.5.14-B4-too-large", "POST /parsed", JSON, 413, {}, b" " * 41),
    ("15.5.14-B4-just-fits", "POST /parsed", JSON, 200, {}, b"[" + b" " * 38 + b"]"),
    ("15.5.14-B4-only-where-content-is-read", "POST /found", JSON, 201, {}, b" " * 41),
    ("9.3.7-B3-options", "OPTIONS /item", {}, 204,
        {"Allow": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"}),
    ("9.3.7-B3-asks-who-it-is-first", "OPTIONS /item", turn("B8"), 401),

    ("15.5.5-G7-absent", "GET /item", turn("G7"), 404),
    ("15.5.5-G7-I7-absent-for-put-that-creates-not", "DELETE /item", turn("G7"), 404),
    ("15.3.2-I7-H7-P3-put-creates", "PUT /item", turn("G7"), 201),
    ("15.4.2-I4-put-to-what-moved", "PUT /item", turn("G7", "I4"), 301, {"Location": "/moved"}),
    ("15.4.2-K5-moved", "GET /item", turn("G7", "K7", "K5"), 301, {"Location": "/moved"}),
    ("15.4.8-L5-moved-for-now", "GET /item", turn("G7", "K7", "L5"), 307, {"Location": "/lent"}),
    ("15.4.2-K5-comes-before-L5", "GET /item", turn("G7", "K7", "K5", "L5"), 301),
    ("15.5.11-M5-gone", "GET /item", turn("G7", "K7"), 410),
    ("15.5.11-K7-comes-before-L7", "DELETE /item", turn("G7", "K7"), 410),
    ("9.3.3-N5-post-to-what-is-gone", "POST /item", turn("G7", "K7"), 200),
    ("15.5.11-N5-post-refused-where-gone", "POST /item", turn("G7", "K7", "N5"), 410),
    ("9.3.3-L7-M7-post-to-what-never-was", "POST /item", turn("G7"), 200),
    ("15.5.5-M7-post-refused-where-absent", "POST /item", turn("G7", "M7"), 404),
    ("15.5.5-L7-only-post-goes-on", "PATCH /item", turn("G7"), 404),
    ("13.1.1-H7-if-match-of-nothing", "PUT /item", turn("G7", **{"If-Match": "*"}), 412),
    ("13.1.1-H7-comes-before-P3", "PUT /item", turn("G7", "P3", **{"If-Match": '"v"'}), 412),
    ("15.5.10-P3-conflicting-creation", "PUT /item", turn("G7", "P3"), 409),
    ("9.3.3-P3-does-not-ask-for-post", "POST /item", turn("G7", "P3"), 200),

    ("9.3.1-produce-get", "GET /item", {}, 200, DID_GET),
    ("9.3.5-M16-M20-delete", "DELETE /item", {}, 200),
    ("15.3.5-M20-delete-without-content", "DELETE /item", turn("O20"), 204),
    ("15.3.3-M20b-delete-to-be-done", "DELETE /item", turn("M20b"), 202),
    ("9.3.3-N16-N11-post", "POST /item", {}, 200),
    ("15.3.2-N11-P11-post-creates", "POST /found", {}, 201, {"Location": "/found/1"}),
    ("15.3.2-P11-post-that-gives-a-location", "POST /location", {}, 201,
        {"Location": "/location/1"}),
    ("15.3.1-P11-a-stated-status-wins", "POST /stated", {}, 200),
    ("15.4.4-N11-post-that-refers-elsewhere", "POST /elsewhere", {}, 303, {"Location": "/item"}),
    ("15.4.4-accept-put-that-refers-elsewhere", "PUT /elsewhere", {}, 303, {"Location": "/item"}),
    ("9.3.4-O16-accept-put", "PUT /item", {}, 200),
    ("RFC5789-2-O16-accept-patch", "PATCH /item", {}, 200),
    ("15.5.10-O14-conflicting-put", "PUT /item", turn("O14"), 409),
    ("15.5.10-O14-conflicting-patch", "PATCH /item", turn("O14"), 409),
    ("9.3.1-O14-get-conflicts-with-nothing", "GET /item", turn("O14"), 200),
    ("15.3.5-O20-no-content", "GET /item", turn("O20"), 204, {"Content-Type": None}),
    ("15.4.1-O18-choices", "GET /item", turn("O18"), 300),
    ("15.3.5-O20-comes-before-O18", "GET /item", turn("O20", "O18"), 204),
]
# fmt: on


def test_status(case: Any, client: TestClient) -> None:
    response: ClientResponse = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


def test_o16_the_content_is_accepted_by_the_handler_of_the_method(client: TestClient) -> None:
    response = client.patch("/item")

    assert response.json() == {"did": "PATCH"}


def test_an_error_says_no_more_than_its_phrase(client: TestClient) -> None:
    response = client.get("/item", headers=turn("B13"))

    assert response.json() == {"error": "Service Unavailable"}
