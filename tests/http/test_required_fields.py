"""Fields and answers that the framework owes a client, whatever a handler leaves out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from restmachine import Response, RestApplication
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]

# ---- Allow (RFC 9110 sections 9.3.7 and 15.5.6) -------------------------------------------


def test_a_denied_method_is_not_in_its_own_allow(serve: Serve) -> None:
    app = RestApplication()
    app.post("/item")(lambda: {"a": 1})
    app.get("/item")(lambda: {"a": 1})
    app.default_method_allowed(lambda request: request.method != "POST")

    response = serve(app).post("/item")

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("answer", [({"no": 1}, 405), Response(405, "no")])
def test_a_handlers_own_405_says_what_is_allowed(serve: Serve, answer: Any) -> None:
    app = RestApplication()
    app.put("/item")(lambda: answer)
    app.delete("/item")(lambda: None)

    response = serve(app).put("/item")

    assert response.status == 405
    assert response.headers["Allow"] == "DELETE, OPTIONS"


def test_the_allow_that_a_handler_states_stays(serve: Serve) -> None:
    app = RestApplication()
    app.put("/item")(lambda: ({}, 405, {"Allow": "PATCH"}))

    assert serve(app).put("/item").headers.get_all("Allow") == ["PATCH"]


def test_options_of_everything_tells_the_methods_of_the_whole_application(serve: Serve) -> None:
    app = RestApplication()
    app.get("/item")(lambda: {"a": 1})
    app.options("/{name}")(lambda name: {"name": name})
    app.delete("/other/{name}")(lambda name: None)

    response = serve(app).request("OPTIONS", "*")

    assert response.status == 204
    assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
@pytest.mark.parametrize("target", ["", "*", "item", "example.org:80", "http://example.org/item"])
def test_a_target_that_is_no_path_gets_an_answer(serve: Serve, method: str, target: str) -> None:
    app = RestApplication()
    app.get("/item")(lambda: {"a": 1})

    assert serve(app).request(method, target).status in (200, 204, 404, 405)


# ---- what was negotiated (sections 8.4, 8.5, 8.8.3 and 12.5) ------------------------------


def _negotiating() -> RestApplication:
    app = RestApplication()

    @app.resource_exists
    def page() -> str:
        return "grün"

    @app.generate_etag
    def version(page: str) -> str:
        return "1"

    @app.get("/page", languages=("en", "de"), charsets=("utf-8", "iso-8859-1"))
    def read(page: str) -> Response:
        return Response(200, page, content_type="text/plain")

    @app.get("/coded", encodings=("gzip", "identity"))
    def coded(page: str) -> bytes:
        return page.encode()

    return app


def test_the_negotiated_language_is_stated(serve: Serve) -> None:
    client = serve(_negotiating())

    chosen = client.get("/page", headers={"Accept-Language": "de"})
    default = client.get("/page")

    assert chosen.headers["Content-Language"] == "de"
    assert default.headers["Content-Language"] == "en"
    assert {"Accept-Language", "Accept-Charset"} <= set(chosen.headers["Vary"].split(", "))


def test_text_is_sent_in_the_negotiated_charset(serve: Serve) -> None:
    response = serve(_negotiating()).get("/page", headers={"Accept-Charset": "iso-8859-1"})

    assert response.headers["Content-Type"] == "text/plain; charset=iso-8859-1"
    assert response.content == "grün".encode("iso-8859-1")
    assert response.headers["Content-Length"] == "4"


def test_a_coding_is_for_the_handler_to_state(serve: Serve) -> None:
    response = serve(_negotiating()).get("/coded", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in response.headers
    assert "Accept-Encoding" in response.headers["Vary"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/page", {"Accept-Language": "de"}),
        ("/page", {"Accept-Charset": "iso-8859-1"}),
        ("/page", {"Accept-Language": "de", "Accept-Charset": "iso-8859-1"}),
        ("/coded", {"Accept-Encoding": "gzip"}),
    ],
)
def test_each_variant_has_an_entity_tag_of_its_own(
    serve: Serve, path: str, fields: dict[str, str]
) -> None:
    client = serve(_negotiating())
    default = client.get(path).headers["ETag"]

    variant = client.get(path, headers=fields).headers["ETag"]

    assert default == '"1"' != variant
    assert client.get(path, headers={**fields, "If-None-Match": variant}).status == 304
    assert client.get(path, headers={**fields, "If-None-Match": default}).status == 200
    assert client.get(path, headers={"If-Match": variant}).status == 200


# ---- fields that cannot be sent (section 5.5) ---------------------------------------------


def _by_tuple(app: RestApplication, value: str) -> None:
    app.get("/")(lambda: ({}, 200, {"X-Odd": value}))


def _by_response(app: RestApplication, value: str) -> None:
    app.get("/")(lambda: Response(200, "x", {"X-Odd": value}))


def _by_tag(app: RestApplication, value: str) -> None:
    app.get("/")(lambda: Response(200, "x", etag=value))


def _by_handler(app: RestApplication, value: str) -> None:
    @app.get("/")
    def handler(response_headers: Any) -> dict[str, str]:
        response_headers["X-Odd"] = value
        return {}


def _by_dependency(app: RestApplication, value: str) -> None:
    @app.dependency
    def odd(response_headers: Any) -> None:
        response_headers["X-Odd"] = value

    app.get("/")(lambda odd: {})


def _by_generator(app: RestApplication, value: str) -> None:
    @app.dependency
    def odd() -> Iterator[None]:
        yield
        return {"X-Odd": value}

    app.get("/")(lambda odd: {})


WAYS = [_by_tuple, _by_response, _by_tag, _by_handler, _by_dependency, _by_generator]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\0b", "\u20ac"])
@pytest.mark.parametrize("declare", WAYS)
def test_a_field_that_cannot_be_sent_is_a_logged_500(
    serve: Serve, caplog: pytest.LogCaptureFixture, declare: Any, value: str
) -> None:
    caplog.set_level(logging.ERROR, logger="restmachine")
    app = RestApplication()
    declare(app, value)

    response = serve(app).get("/")

    assert response.status == 500
    assert "X-Odd" not in response.headers and "Set-Cookie" not in response.headers
    assert "was answered with 500" in caplog.text


# ---- a part that the handler chose (section 15.3.7) ---------------------------------------


@pytest.mark.parametrize("as_file", [False, True])
def test_the_part_that_a_handler_chose_is_sent(serve: Serve, tmp_path: Path, as_file: bool) -> None:
    file = tmp_path / "digits.txt"
    file.write_bytes(b"0123456789")
    app = RestApplication()
    body = file if as_file else "0123456789"
    app.get("/")(lambda: Response(200, body, range_start=2, range_end=4))

    response = serve(app).get("/", headers={"Range": "bytes=7-8"})

    assert (response.status, response.content) == (206, b"234")
    assert response.headers["Content-Range"] == "bytes 2-4/10"
    assert response.headers["Content-Length"] == "3"


@pytest.mark.parametrize(("start", "end", "status"), [(8, 99, 206), (10, 11, 416), (4, 2, 500)])
def test_a_part_must_lie_within_the_content(
    serve: Serve, start: int, end: int, status: int
) -> None:
    app = RestApplication()
    app.get("/")(lambda: Response(200, b"0123456789", range_start=start, range_end=end))

    assert serve(app).get("/").status == status


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 201)])
def test_only_the_200_of_a_get_is_sent_in_part(serve: Serve, method: str, status: int) -> None:
    app = RestApplication()
    app.route(method, "/")(lambda: Response(status, b"0123456789", range_start=2, range_end=4))

    response = serve(app).request(method, "/")

    assert (response.status, response.content) == (status, b"0123456789")
