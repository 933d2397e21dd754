"""The request message as handlers read it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from restmachine import HTTPMethod, Request
from restmachine.request import QueryParameters

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)


class TestMethods:
    def test_a_method_reads_as_its_name(self) -> None:
        request = Request("GET", "/x")

        assert f"{request.method} {request.path}" == "GET /x"
        assert request.method is HTTPMethod.GET

    def test_an_unknown_method_is_kept(self) -> None:
        assert Request("BREW", "/x").method == "BREW"


class TestContent:
    @pytest.mark.parametrize("body", ['{"a": "ü"}', '{"a": "ü"}'.encode(), bytearray(b"[1]")])
    def test_it_is_bytes_for_everyone(self, body: Any) -> None:
        request = Request("POST", "/x", body=body)

        assert request.body is not None
        assert json.loads(request.body) == json.loads(body)
        assert request.body.decode() == (body if isinstance(body, str) else body.decode())

    def test_a_file_is_read(self) -> None:
        assert Request("POST", "/x", body=io.BytesIO(b"content")).body == b"content"

    def test_it_reads_like_a_file(self) -> None:
        body = Request("POST", "/x", body="0123456789").body
        assert body is not None

        pieces = [body.read(3), body.tell(), body.read(), body.read(), body.seek(8), body.read(9)]

        assert pieces == [b"012", 3, b"3456789", b"", 8, b"89"]

    def test_none_is_none(self) -> None:
        assert Request("GET", "/x").body is None


class TestQuery:
    def test_there_is_always_one(self) -> None:
        assert Request("GET", "/x").query_params.get("page", "1") == "1"

    @pytest.mark.parametrize("given", [{"a": "1"}, [("a", "0"), ("a", "1")]])
    def test_it_is_given_as_pairs_or_a_mapping(self, given: Any) -> None:
        assert Request("GET", "/x", query_params=given).query_params["a"] == "1"

    def test_repeated_and_blank_values_are_kept(self) -> None:
        query = QueryParameters.parse("a=1&b=&a=2&c")

        assert (dict(query), query.get_all("a"), query.get_all("z")) == (
            {"a": "2", "b": "", "c": ""}, ["1", "2"], [],
        )  # fmt: skip


class TestFields:
    @pytest.mark.parametrize("headers", [None, {}, {"accept": "text/html"}])
    def test_accept_has_a_default(self, headers: Any) -> None:
        expected = "text/html" if headers else "*/*"

        assert Request("GET", "/x", headers).get_accept_header() == expected

    @pytest.mark.parametrize(
        ("field", "tags"),
        [
            (None, None),
            ("*", ["*"]),
            (' "a" , W/"b,c"', ['"a"', 'W/"b,c"']),
            ("", []),
        ],
    )
    def test_entity_tags(self, field: str | None, tags: list[str] | None) -> None:
        headers = {} if field is None else {"If-Match": field, "If-None-Match": field}
        request = Request("GET", "/x", headers)

        assert (request.get_if_match(), request.get_if_none_match()) == (tags, tags)

    @pytest.mark.parametrize(
        ("field", "moment"),
        [
            ("Wed, 01 May 2024 12:00:00 GMT", MOMENT),
            ("Wednesday, 01-May-24 12:00:00 GMT", MOMENT),
            ("Wed May  1 12:00:00 2024", MOMENT),
            ("yesterday", None),
        ],
    )
    def test_dates(self, field: str, moment: datetime | None) -> None:
        headers = {"If-Modified-Since": field, "If-Unmodified-Since": field}
        request = Request("GET", "/x", headers)

        found = (request.get_if_modified_since(), request.get_if_unmodified_since())

        assert found == (moment, moment)

    def test_other_fields(self) -> None:
        request = Request("GET", "/x", {"content-type": "text/csv", "AUTHORIZATION": "me"})

        found = (request.get_content_type(), request.get_authorization_header())

        assert found == ("text/csv", "me")


def test_two_requests_share_nothing() -> None:
    one, two = Request("GET", "/x"), Request("GET", "/x")

    one.path_params["a"] = "1"
    one.headers["A"] = "1"

    assert (two.path_params, "A" in two.headers) == ({}, False)
