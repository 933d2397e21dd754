"""Content of requests, parsed: media types, charsets, forms and limits (RFC 9110 section 8)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from restmachine import RestApplication
from restmachine.testing import TestClient


def application() -> RestApplication:
    """Return routes that echo content, each as another parser makes it."""
    app = RestApplication(max_content=5000, max_form_fields=4)

    @app.accepts("text/csv")
    def csv_rows(body: str) -> list[list[str]]:
        return [line.split(",") for line in body.splitlines()]

    @app.accepts("application/vnd.sum+json")
    async def total(json_body: list[int]) -> int:
        return sum(json_body)

    @app.accepts("application/broken")
    def broken(body: str) -> Any:
        raise RuntimeError("a secret of the parser")

    @app.post("/json")
    async def json_echo(json_body: Any) -> Any:
        return {"data": json_body}

    @app.post("/text")
    async def text_echo(text_body: Any) -> Any:
        return {"data": text_body}

    @app.post("/form")
    async def form_echo(form_body: Any) -> Any:
        return {"data": form_body}

    @app.post("/any")
    async def any_echo(parsed_body: Any) -> Any:
        return {"data": parsed_body}

    @app.post("/data")
    def data_echo(parsed_data: Any) -> Any:
        return {"data": parsed_data}

    @app.post("/csv")
    async def csv_echo(csv_rows: Any) -> Any:
        return {"data": csv_rows}

    @app.post("/small", max_content=4)
    async def small(body: str) -> Any:
        return {"data": body}

    @app.post("/unread")
    async def unread() -> Any:
        return {"data": None}

    return app


def _post(client: TestClient, path: str, media_type: str, content: Any) -> tuple[int, Any]:
    response = client.post(path, headers={"Content-Type": media_type}, content=content)
    answer = response.json()
    return response.status, answer["data"] if response.status == 200 else answer.get("details")


# ---- which parser reads it ---------------------------------------------------------------


@pytest.mark.parametrize("path", ["/any", "/data"])
@pytest.mark.parametrize(
    ("media_type", "content", "data"),
    [
        ("application/json", '{"a": 1}', {"a": 1}),
        ("Application/JSON; Charset=UTF-8", "[1]", [1]),
        ("application/merge-patch+json", "{}", {}),
        ("application/x-www-form-urlencoded", "a=1&a=2&b=", {"a": ["1", "2"], "b": ""}),
        ("text/plain", "hello", "hello"),
        ("text/csv", "1,2\n3,4", [["1", "2"], ["3", "4"]]),
        ("TEXT/CSV; header=absent", "1", [["1"]]),
        ("application/vnd.sum+json", "[1, 2, 3]", 6),
        ("multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="a"'
         "\r\n\r\n1\r\n--x--", {"a": "1"}),
    ],
)  # fmt: skip
def test_content_is_parsed_as_its_media_type_says(
    client: TestClient, path: str, media_type: str, content: str, data: Any
) -> None:
    answer = _post(client, path, media_type, content)

    assert answer == (200, data)


@pytest.mark.parametrize("path", ["/json", "/text", "/form"])
def test_a_parser_of_the_application_takes_over_the_built_in_names(
    client: TestClient, path: str
) -> None:
    answer = _post(client, path, "text/csv", "1,2")

    assert answer == (200, [["1", "2"]])


def test_a_parser_is_asked_for_by_its_own_name(client: TestClient) -> None:
    answer = _post(client, "/csv", "text/csv", "1,2")

    assert answer == (200, [["1", "2"]])


@pytest.mark.parametrize("path", ["/json", "/text", "/form", "/any", "/data", "/csv"])
@pytest.mark.parametrize("media_type", ["text/csv", "application/json", "text/plain"])
def test_no_content_is_none_and_asks_no_parser(
    client: TestClient, path: str, media_type: str
) -> None:
    answer = _post(client, path, media_type, "")

    assert answer == (200, None)


def test_a_chunked_request_without_a_byte_of_content_is_none(client: TestClient) -> None:
    answer = _post(client, "/any", "text/csv", [b"", b""])

    assert answer == (200, None)


def test_text_is_parsed_as_json_by_a_handler_that_asks_for_json(client: TestClient) -> None:
    answer = _post(client, "/json", "text/plain", "[1]")

    assert answer == (200, [1])


# ---- 415, 422, 400 (RFC 9110 sections 15.5.16, 15.5.21 and 15.5.1) -------------------------


@pytest.mark.parametrize("path", ["/json", "/text", "/form", "/any", "/csv"])
@pytest.mark.parametrize("media_type", ["application/xml", "image/png", "nonsense", ""])
def test_b5_content_of_an_unknown_type_is_415(
    client: TestClient, path: str, media_type: str
) -> None:
    status, _ = _post(client, path, media_type, "<a/>")

    assert status == 415


def test_b5_content_without_a_type_is_415(client: TestClient) -> None:
    response = client.post("/json", content="{}")

    assert response.status == 415


def test_content_of_another_type_than_the_named_parser_reads_is_415(client: TestClient) -> None:
    status, details = _post(client, "/csv", "application/json", "[]")

    assert (status, details) == (415, "Nothing here parses application/json.")


def test_content_that_nobody_reads_may_be_of_any_type(client: TestClient) -> None:
    answer = _post(client, "/unread", "application/unheard-of", "x")

    assert answer == (200, None)


def test_json_is_no_form(client: TestClient) -> None:
    status, _ = _post(client, "/form", "application/json", "{}")

    assert status == 415


def test_an_exception_in_a_parser_is_422_and_stays_secret(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="restmachine"):
        status, details = _post(client, "/any", "application/broken", "x")

    assert (status, details) == (422, "The content could not be parsed.")
    assert "a secret of the parser" in caplog.text


def test_malformed_json_in_a_parser_of_json_is_400(client: TestClient) -> None:
    status, _ = _post(client, "/any", "application/vnd.sum+json", "[1,")

    assert status == 400


def test_json_of_the_wrong_shape_in_a_parser_is_422(client: TestClient) -> None:
    status, _ = _post(client, "/any", "application/vnd.sum+json", '["a"]')

    assert status == 422


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b" ",
        b"\x00",
        b'{"a": 1}\x00',
        b"\xff\xfe[\x001\x00]\x00",
        b'"\xe9"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"a\x00b"',
        b'"a\nb"',
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b"9" * 4000,
        b"01",
        b"[1,]",
        b"{'a': 1}",
        b"\xef\xbb\xbf[]",
        b"[" * 4000,
        b"[" * 2000 + b"]" * 2000,
        b'{"a":' * 700 + b"1" + b"}" * 700,
        b'[{"a":' * 100 + b"1" + b"}]" * 100,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_content_that_is_no_json_is_400(client: TestClient, content: bytes) -> None:
    status, _ = _post(client, "/json", "application/json", content)

    assert status == 400


@pytest.mark.parametrize("depth", [129, 500, 1000, 1500])
def test_json_nested_too_deep_is_refused_in_so_many_words(client: TestClient, depth: int) -> None:
    answer = _post(client, "/json", "application/json", "[" * depth + "]" * depth)

    assert answer == (400, "The content is nested deeper than 128 levels.")


def test_json_may_be_nested_as_deep_as_stated(client: TestClient) -> None:
    status, _ = _post(client, "/json", "application/json", "[" * 128 + "]" * 128)

    assert status == 200


def test_brackets_in_texts_are_no_nesting(client: TestClient) -> None:
    answer = _post(client, "/json", "application/json", '"' + "[" * 1000 + '"')

    assert answer == (200, "[" * 1000)


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"\\u0000"', "\x00"),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", float(2**64)),
        (b"1e-999", 0.0),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
    ],
)
def test_odd_json_has_one_meaning(client: TestClient, content: bytes, data: Any) -> None:
    answer = _post(client, "/json", "application/json", content)

    assert answer == (200, data)


# ---- charsets (RFC 9110 section 8.3.2) ------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("", "é".encode(), "é"),
        ("", b"\xe9", "é"),
        ("; charset=utf-8", "é".encode(), "é"),
        ('; charset="UTF-8"', "é".encode(), "é"),
        ("; CHARSET=Latin1", b"\xe9", "é"),
        ("; charset=windows-1252", b"\x80", "€"),
        ("; charset=utf-16", "é".encode("utf-16"), "é"),
        ("; charset=utf-16", b"\xff\xfea", "\xff\xfea"),
        ("; charset=us-ascii", "é".encode(), "é"),
        ("; charset=nonsense", "é".encode(), "é"),
        ("; charset=base64", b"YQ==", "YQ=="),
        ("; charset=rot13", b"a", "a"),
        ("; charset=unicode_escape", b"\\u0041\\z", "\\u0041\\z"),
        ("; charset=idna", b"xn--a", "xn--a"),
        ("; charset=undefined", b"a", "a"),
        ('; charset="../../etc/passwd"', b"a", "a"),
        ("; charset=" + "x" * 4000, b"a", "a"),
        ("; charset=utf-8; charset=latin1", "é".encode(), "é"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_text_is_read_in_its_charset_else_utf_8_else_latin_1(
    client: TestClient, charset: str, content: bytes, text: str
) -> None:
    answer = _post(client, "/text", f"text/plain{charset}", content)

    assert answer == (200, text)


# ---- forms (URL Standard section 5) ----------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        (b"a", {"a": ""}),
        (b"=", {"": ""}),
        (b"a=b=c", {"a": "b=c"}),
        (b"&&&", {}),
        (b"a=%00", {"a": "\x00"}),
        (b"a=%zz%", {"a": "%zz%"}),
        (b"a=%ff", {"a": "\N{REPLACEMENT CHARACTER}"}),
        (b"a=%C3%A9+x", {"a": "é x"}),
        ("a=é".encode(), {"a": "é"}),
        (b"a;b=1", {"a;b": "1"}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_forms_are_read_whatever_they_hold(
    client: TestClient, content: bytes, form: dict[str, Any]
) -> None:
    answer = _post(client, "/form", "application/x-www-form-urlencoded", content)

    assert answer == (200, form)


def test_escapes_of_a_form_are_in_its_charset(client: TestClient) -> None:
    media_type = "application/x-www-form-urlencoded; charset=latin1"

    answer = _post(client, "/form", media_type, b"a=%E9")

    assert answer == (200, {"a": "é"})


def test_a_form_of_too_many_fields_is_413(client: TestClient) -> None:
    answer = _post(client, "/form", "application/x-www-form-urlencoded", "a=1&" * 4 + "a=1")

    assert answer == (413, "A form has at most 4 fields.")


# ---- limits of the content (RFC 9110 section 15.5.14) ------------------------------------------


@pytest.mark.parametrize("content", ["12345", [b"123", b"45"], [b"1"] * 9, "1" * 5000])
def test_b4_more_content_than_a_route_takes_is_413(client: TestClient, content: Any) -> None:
    response = client.post("/small", headers={"Content-Type": "text/plain"}, content=content)

    assert response.status == 413


@pytest.mark.parametrize("content", ["1234", [b"12", b"34"], [b"", b"1234", b""]])
def test_b4_as_much_content_as_a_route_takes_is_read(client: TestClient, content: Any) -> None:
    answer = _post(client, "/small", "text/plain", content)

    assert answer == (200, "1234")


def test_b4_a_length_beyond_the_limit_is_413_before_any_content_comes() -> None:
    headers = {"Content-Type": "text/plain", "Content-Length": "9" * 5000}

    with TestClient(application()) as client:  # a server refuses such a length itself
        response = client.post("/small", headers=headers, content=b"")

    assert response.status == 413


def test_content_beyond_the_limit_that_nobody_reads_does_no_harm(client: TestClient) -> None:
    answer = _post(client, "/unread", "text/plain", "x" * 10_000)

    assert answer == (200, None)
