"""The response message as handlers write it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any

import pytest

from restmachine import MultiValueHeaders, Request, Response

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
SAID = "Wed, 01 May 2024 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "body", "length"),
    [
        (200, "ü", "2"), (200, b"abc", "3"), (200, None, "0"), (200, "", "0"),
        (204, None, None), (304, None, None), (200, io.BytesIO(b"x"), None), (200, {"a": 1}, None),
    ],
)  # fmt: skip
def test_the_length_is_stated_where_it_is_known_and_allowed(
    status: int, body: Any, length: str | None
) -> None:
    assert Response(status, body).headers.get("Content-Length") == length


def test_status_comes_first_and_may_be_of_the_standard_library() -> None:
    assert Response(HTTPStatus.NOT_FOUND, "no").status_code == 404


def test_fields_come_in_every_form() -> None:
    headers = MultiValueHeaders([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])

    response = Response(200, "x", headers)
    response.headers.add("Set-Cookie", "c=3")

    assert response.headers.get_all("set-cookie") == ["a=1", "b=2", "c=3"]
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"]


class TestEntityTags:
    @pytest.mark.parametrize(
        ("given", "field", "bare"),
        [("v1", '"v1"', "v1"), ('"v1"', '"v1"', "v1"), ('W/"v1"', 'W/"v1"', "v1")],
    )
    def test_they_are_quoted(self, given: str, field: str, bare: str) -> None:
        response = Response(200, "x", etag=given)

        assert (response.headers["ETag"], response.etag) == (field, bare)

    def test_they_may_be_set_later(self) -> None:
        response = Response(200, "x")
        assert response.etag is None

        response.etag = "v2"

        assert response.headers["ETag"] == '"v2"'

    def test_they_may_be_weak(self) -> None:
        response = Response(200, "x")

        response.set_etag("v1", weak=True)

        assert (response.headers["ETag"], response.etag) == ('W/"v1"', "v1")

    def test_a_stated_field_wins(self) -> None:
        assert Response(200, "x", {"ETag": '"stated"'}, etag="v1").etag == "stated"

    def test_the_digest_of_equal_content_is_equal(self) -> None:
        file = io.BytesIO(b"..content")
        file.seek(2)
        tags = []
        for body in ("content", b"content", file, b"other"):
            response = Response(200, body)
            response.generate_etag_from_content()
            tags.append(response.etag)

        assert tags[0] == tags[1] == tags[2] != tags[3]
        assert file.tell() == 2

    def test_there_is_no_digest_of_nothing(self) -> None:
        response = Response(204)

        response.generate_etag_from_content()

        assert response.etag is None


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT,
        MOMENT.replace(tzinfo=None),
        MOMENT.astimezone(timezone(timedelta(hours=5))),
        MOMENT.replace(microsecond=999_999),
    ],
)
def test_last_modified_is_in_gmt(moment: datetime) -> None:
    constructed, later = Response(200, "x", last_modified=moment), Response(200, "x")
    later.set_last_modified(moment)

    assert (constructed.last_modified, later.last_modified) == (SAID, SAID)


def test_a_range_has_two_ends() -> None:
    whole = Response(200, "x")
    part = Response(206, "x", range_start=0, range_end=0)

    assert (whole.is_range_response(), part.is_range_response()) == (False, True)


def test_vary_names_what_the_answer_depends_on() -> None:
    request = Request("GET", "/x", {"Authorization": "me"})

    response = Response(
        200,
        "x",
        {"Vary": "Cookie, accept"},
        request=request,
        available_content_types=["a/a", "b/b"],
    )

    assert response.headers["Vary"] == "Cookie, accept, Authorization"
