"""From what a handler returned to a head and content that agree with each other."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from restmachine import Conflict, MultiValueHeaders, NotFound, Request, RestApplication
from restmachine.headers import merged
from restmachine.outcome import guessed_type, is_stream


def answered(app: RestApplication, method: str = "GET", **fields: str) -> Any:
    """Send a request to `/x`."""
    return app.execute(Request(method, "/x", fields))


@pytest.mark.parametrize(
    ("text", "media_type"),
    [('{"a": 1}', "application/json"), (" [1]", "application/json"), ('"a"', "application/json"),
     ("hello", "text/plain; charset=utf-8"), ("", "text/plain; charset=utf-8")],
)  # fmt: skip
def test_the_type_of_a_text_is_guessed_from_its_first_character(text: str, media_type: str) -> None:
    assert guessed_type(text) == media_type


@pytest.mark.parametrize(
    ("body", "stream"),
    [(io.BytesIO(), True), (iter([]), True), ((x for x in ()), True), ("text", False),
     (b"bytes", False), ([1], False), ({"a": 1}, False), ({1}, False), (range(3), False),
     (None, False), (5, False)],
)  # fmt: skip
def test_what_is_sent_piece_by_piece(body: Any, stream: bool) -> None:
    assert is_stream(body) is stream


class TestMerging:
    def test_a_new_value_replaces_those_of_its_name(self) -> None:
        head = [(b"a", b"1"), (b"b", b"2")]

        assert merged(head, {"A": "3"}) == [(b"b", b"2"), (b"a", b"3")]

    def test_vary_is_joined(self) -> None:
        head = [(b"vary", b"Accept, Cookie")]

        assert merged(head, {"Vary": "cookie, Origin"}) == [(b"vary", b"cookie, Origin, Accept")]

    def test_cookies_add_up(self) -> None:
        head = [(b"set-cookie", b"a=1")]

        new = merged(head, MultiValueHeaders([("Set-Cookie", "b=2"), ("Set-Cookie", "c=3")]))

        assert [value for _, value in new] == [b"a=1", b"b=2", b"c=3"]

    def test_the_former_head_is_left_alone(self) -> None:
        head = [(b"a", b"1")]

        merged(head, {"A": "2"})

        assert head == [(b"a", b"1")]


class TestResults:
    def test_the_answer_of_an_http_client_is_forwarded(self, app: RestApplication) -> None:
        upstream = SimpleNamespace(
            status_code=418, content=b"short", headers={"Content-Type": "text/teapot", "X-A": "1"}
        )
        app.get("/x")(lambda: upstream)

        response = answered(app)

        assert (response.status_code, response.body) == (418, b"short")
        assert (response.content_type, "X-A" in response.headers) == ("text/teapot", False)

    @pytest.mark.parametrize(
        "result", [(1, True), (1, "200"), (1, 200, "x"), (1, 2, 3, 4), (1,), ()]
    )
    def test_any_other_tuple_is_data(self, app: RestApplication, result: Any) -> None:
        app.get("/x")(lambda: result)

        response = answered(app)

        assert response.status_code == 200
        assert response.body.startswith(b"[")

    @pytest.mark.parametrize(
        ("result", "status"), [(({}, 200.0), 200), ({"status_code": 404}, 200)]
    )
    def test_a_mapping_is_never_anything_else(
        self, app: RestApplication, result: Any, status: int
    ) -> None:
        app.get("/x")(lambda: result)

        assert answered(app).status_code == status


class TestFieldsToCome:
    def test_a_dependency_may_set_them(self, app: RestApplication) -> None:
        app.dependency("tracing")(lambda response_headers: response_headers.add("X-Trace", "7"))
        app.get("/x")(lambda tracing: {"a": 1})

        assert answered(app).headers["X-Trace"] == "7"

    def test_the_handler_wins_over_them(self, app: RestApplication) -> None:
        app.dependency("early")(lambda response_headers: response_headers.set("X-A", "early"))
        app.get("/x")(lambda early: ({}, 200, {"X-A": "late"}))

        assert answered(app).headers.get_all("X-A") == ["late"]

    @pytest.mark.parametrize("error", [NotFound(), KeyError("x")])
    def test_they_go_with_an_error_unless_they_describe_content(
        self, app: RestApplication, error: Exception
    ) -> None:
        described = {"Content-Type": "text/csv", "Content-Length": "1", "ETag": '"v"',
                     "Content-Encoding": "gzip"}  # fmt: skip

        @app.get("/x")
        def handler(response_headers: MultiValueHeaders) -> None:
            response_headers.update({**described, "X-Trace": "7"})
            raise error

        response = answered(app)

        assert response.headers["X-Trace"] == "7"
        assert response.content_type == "application/json"
        assert response.headers["Content-Length"] == str(len(response.body))
        assert "ETag" not in response.headers
        assert "Content-Encoding" not in response.headers

    def test_a_challenge_set_by_a_check_goes_with_401(self, app: RestApplication) -> None:
        @app.default_authorized
        def authorized(response_headers: MultiValueHeaders) -> bool:
            response_headers.set("WWW-Authenticate", "Digest")
            return False

        app.get("/x")(lambda: {"a": 1})

        assert answered(app).headers.get_all("WWW-Authenticate") == ["Digest"]

    def test_they_go_with_the_answer_to_options(self, app: RestApplication) -> None:
        @app.default_service_available
        def available(response_headers: MultiValueHeaders) -> bool:
            response_headers.set("X-Trace", "7")
            return True

        app.get("/x")(lambda: {"a": 1})

        assert answered(app, "OPTIONS").headers["X-Trace"] == "7"


def test_fields_of_an_error_reach_the_client(app: RestApplication) -> None:
    @app.get("/x")
    def handler() -> None:
        raise Conflict("busy", headers={"Retry-After": "7"})

    assert answered(app).headers["Retry-After"] == "7"


def test_a_field_that_cannot_be_sent_makes_it_500(app: RestApplication) -> None:
    @app.get("/x")
    def handler() -> None:
        raise Conflict("busy", headers={"X-A": "a\r\nb"})

    assert answered(app).status_code == 500
