"""Proactive negotiation (RFC 9110 section 12) as a client meets it."""

from __future__ import annotations

import re
from typing import Any

from restmachine import Response, RestApplication
from restmachine.decorators import skip_content_negotiation
from restmachine.testing import TestClient

JSON, HTML, TEXT = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


def application() -> RestApplication:
    """Return routes that offer media types, languages, charsets and codings."""
    app = RestApplication()

    def data() -> dict[str, str]:
        return {"name": "<b>"}

    for method in ("GET", "POST", "PUT", "DELETE"):
        app.route(method, "/data")(data)

    @app.get("/only-json")
    @skip_content_negotiation
    def only_json() -> dict[str, str]:
        return {"name": "json"}

    @app.get("/stated")
    def stated() -> Response:
        return Response(200, "a,b", content_type="text/csv")

    @app.get("/stated-data")
    def stated_data() -> tuple[dict[str, int], int, dict[str, str]]:
        return {"a": 1}, 200, {"Content-Type": "application/hal+json"}

    @app.get("/varying")
    def varying() -> tuple[dict[str, int], int, dict[str, str]]:
        return {"a": 1}, 200, {"Vary": "Cookie"}

    @app.get("/fast", bypass_state_machine=True)
    def fast() -> dict[str, str]:
        return {"name": "fast"}

    @app.get("/spoken", languages=("en", "de", "pt-BR"))
    def spoken(language: str) -> dict[str, str]:
        return {"language": language}

    @app.get("/coded", encodings=("gzip", "identity"))
    def coded(encoding: str) -> dict[str, str]:
        return {"encoding": encoding}

    @app.get("/lettered", charsets=("utf-8", "iso-8859-1"))
    def lettered(charset: str) -> dict[str, str]:
        return {"charset": charset}

    @app.get("/broken")
    def broken() -> None:
        raise KeyError("x")

    return app


def accept(value: str) -> dict[str, str]:
    """Return an Accept field."""
    return {"Accept": value}


def is_type(value: str) -> dict[str, str]:
    """Expect a media type."""
    return {"Content-Type": value}


def speaks(value: str) -> dict[str, str]:
    """Return an Accept-Language field."""
    return {"Accept-Language": value}


# fmt: off
CASES = [
    ("12.5.1-C3-no-field", "GET /data", {}, 200, is_type(JSON)),
    ("12.5.1-C3-empty-field", "GET /data", accept(""), 200, is_type(JSON)),
    ("12.5.1-C4-anything", "GET /data", accept("*/*"), 200, is_type(JSON)),
    ("12.5.1-C4-exactly", "GET /data", accept("text/html"), 200, is_type(HTML)),
    ("12.5.1-C4-any-text", "GET /data", accept("text/*"), 200, is_type(HTML)),
    ("12.5.1-C4-a-browser", "GET /data", accept(BROWSER), 200, is_type(HTML)),
    ("12.5.1-C4-specific-beats-general", "GET /data",
        accept("*/*;q=0.1, text/plain"), 200, is_type(TEXT)),
    ("12.5.1-C4-specificity-settles-the-weight", "GET /data",
        accept("text/*;q=0.9, text/html;q=0.2, application/json;q=0.5"), 200, is_type(TEXT)),
    ("12.4.2-C4-weights", "GET /data",
        accept("application/json;q=0.5, text/plain;q=0.6"), 200, is_type(TEXT)),
    ("12.4.2-C4-three-decimals", "GET /data",
        accept("application/json;q=0.001, text/html;q=0.002"), 200, is_type(HTML)),
    ("12.4.2-C4-zero-refuses", "GET /data", accept("application/json;q=0, text/plain"), 200,
        is_type(TEXT)),
    ("12.4.2-C4-zero-among-everything", "GET /data", accept("application/json;q=0, */*"), 200,
        is_type(HTML)),
    ("12.4.2-C4-zero-for-everything", "GET /data", accept("*/*;q=0"), 406),
    ("12.5.1-C4-types-have-no-case", "GET /data", accept("TEXT/HTML"), 200, is_type(HTML)),
    ("12.5.1-C4-parameters", "GET /data", accept("text/html;level=1, text/plain"), 200,
        is_type(TEXT)),
    ("12.5.1-C4-a-quoted-comma", "GET /data", accept('text/x;p="a,b", text/plain'), 200,
        is_type(TEXT)),
    ("12.5.1-C4-a-member-that-is-none", "GET /data", accept("nonsense, text/plain"), 200,
        is_type(TEXT)),
    ("15.5.7-C4-nothing-acceptable", "GET /data", accept("image/png"), 406, {"Vary": "Accept"}),
    ("15.5.7-C4-post", "POST /data", accept("image/png"), 406),
    ("15.5.7-C4-put", "PUT /data", accept("image/png"), 406),
    ("15.5.7-C4-delete", "DELETE /data", accept("image/png"), 406),
    ("12.5.1-skipped-C3", "GET /only-json", accept("text/html"), 200,
        {"Content-Type": JSON, "Vary": None}),
    ("12.5.1-C3-not-asked-of-a-bypass", "GET /fast", accept("text/html"), 200,
        {"Content-Type": JSON, "Vary": None}),
    ("8.3-a-stated-type-wins", "GET /stated", accept("text/html"), 200, is_type("text/csv")),
    ("8.3-a-stated-type-of-data-wins", "GET /stated-data", accept("text/html"), 200,
        is_type("application/hal+json")),

    ("12.5.5-vary", "GET /data", {}, 200, {"Vary": "Accept"}),
    ("12.5.5-vary-of-the-handler-is-merged", "GET /varying", {}, 200,
        {"Vary": re.compile("Cookie, Accept|Accept, Cookie")}),
    ("12.5.5-vary-names-every-dimension", "GET /spoken", {}, 200,
        {"Vary": "Accept, Accept-Language"}),
    ("12.5.5-vary-names-codings", "GET /coded", {}, 200, {"Vary": "Accept, Accept-Encoding"}),
    ("12.5.5-vary-names-charsets", "GET /lettered", {}, 200, {"Vary": "Accept, Accept-Charset"}),

    ("12.5.4-D4-D5-language", "GET /spoken", speaks("de"), 200),
    ("12.5.4-D5-no-such-language", "GET /spoken", speaks("fr"), 406,
        {"Vary": "Accept, Accept-Language"}),
    ("12.5.4-D5-any-language", "GET /spoken", speaks("fr, *;q=0.1"), 200),
    ("12.5.2-E5-E6-charset", "GET /lettered", {"Accept-Charset": "iso-8859-1"}, 200),
    ("12.5.2-E6-no-such-charset", "GET /lettered", {"Accept-Charset": "koi8-r"}, 406,
        {"Vary": "Accept, Accept-Charset"}),
    ("12.5.3-F6-F7-coding", "GET /coded", {"Accept-Encoding": "gzip"}, 200),
    ("12.5.3-F7-none-will-do", "GET /coded", {"Accept-Encoding": "br"}, 200),
    ("12.5.3-F7-not-even-none", "GET /coded", {"Accept-Encoding": "br, identity;q=0"}, 406,
        {"Vary": "Accept, Accept-Encoding"}),
    ("12.5.4-D4-not-asked-where-none-is-offered", "GET /data", speaks("fr"), 200),
    ("12.5.3-F6-not-asked-where-none-is-offered", "GET /data", {"Accept-Encoding": "br"}, 200),

    ("RFC9457-3-problem-details", "GET /nowhere", accept("application/problem+json"), 404,
        is_type("application/problem+json")),
    ("15-errors-as-text", "GET /nowhere", accept("text/plain"), 404, is_type("text/plain")),
    ("15-errors-as-json-to-a-browser", "GET /nowhere", accept("text/html"), 404, is_type(JSON)),
    ("15-errors-of-handlers-too", "GET /broken", accept("application/problem+json, */*;q=0.5"), 500,
        is_type("application/problem+json")),
]
# fmt: on


def test_negotiation(case: Any, client: TestClient) -> None:
    response = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


def test_the_content_is_of_the_type_that_is_stated(client: TestClient) -> None:
    as_text = client.get("/data", headers=accept("text/plain"))
    as_page = client.get("/data", headers=accept("text/html"))

    assert as_text.text == "name: <b>"
    assert "<li>name: &lt;b&gt;</li>" in as_page.text


def test_d5_the_handler_learns_the_language(client: TestClient) -> None:
    response = client.get("/spoken", headers=speaks("de-AT, en;q=0.5"))

    assert response.json() == {"language": "de"}


def test_d4_without_a_wish_the_first_language_is_spoken(client: TestClient) -> None:
    assert client.get("/spoken").json() == {"language": "en"}


def test_f7_the_handler_learns_the_coding(client: TestClient) -> None:
    response = client.get("/coded", headers={"Accept-Encoding": "gzip;q=0.5"})

    assert response.json() == {"encoding": "gzip"}


def test_f6_without_a_wish_nothing_is_coded(client: TestClient) -> None:
    assert client.get("/coded").json() == {"encoding": "identity"}


def test_e6_the_handler_learns_the_charset(client: TestClient) -> None:
    response = client.get("/lettered", headers={"Accept-Charset": "iso-8859-1"})

    assert response.json() == {"charset": "iso-8859-1"}


def test_several_accept_lines_are_one_list(client: TestClient) -> None:
    lines = [("Accept", "image/png"), ("Accept", "text/plain;q=0.3")]

    response = client.get("/data", headers=lines)

    assert response.headers["Content-Type"] == TEXT


def test_problem_details_have_title_and_status(client: TestClient) -> None:
    response = client.get("/nowhere", headers=accept("application/problem+json"))

    assert response.json() == {"title": "Not Found", "status": 404}
