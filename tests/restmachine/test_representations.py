"""Renderers and parsers: the same data with and without the faster JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from restmachine import BadRequest, HTMLRenderer, JSONRenderer, PlainTextRenderer, Request
from restmachine import representations as room

REQUEST = Request("GET", "/a<b>")
Encode = Callable[[Any], bytes]
encoders = pytest.mark.parametrize(
    "encode", [room._encode_fast, room._encode_plainly], ids=["orjson", "json"]
)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    at: datetime


class Model(BaseModel):
    name: str
    price: Decimal


@encoders
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"ü": [1, 2.5, None, True]}, '{"ü":[1,2.5,null,true]}'),
        (datetime(2024, 5, 1, 12, tzinfo=UTC), '"2024-05-01T12:00:00+00:00"'),
        (date(2024, 5, 1), '"2024-05-01"'),
        (time(12, 30), '"12:30:00"'),
        (Decimal("1.50"), '"1.50"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"red"'),
        ({1}, "[1]"),
        ((1, "a"), '[1,"a"]'),
        (Point(1, datetime(2024, 5, 1)), '{"x":1,"at":"2024-05-01T00:00:00"}'),
        (Model(name="a", price=Decimal("2.5")), '{"name":"a","price":"2.5"}'),
        ([Model(name="a", price=Decimal(1))], '[{"name":"a","price":"1"}]'),
        ({"more": ...}, '{"more":"..."}'),
        (2**70, str(2**70)),
        ({1: "a"}, '{"1":"a"}'),
        (REQUEST.headers, "{}"),
    ],
)
def test_json_knows_what_programs_hold(encode: Encode, value: Any, text: str) -> None:
    assert encode(value).decode() == text


@encoders
@pytest.mark.parametrize("value", [object(), {"a": object()}, len, b"bytes", 1j])
def test_json_refuses_what_it_does_not_know(encode: Encode, value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


JSON_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(data=JSON_DATA)
def test_both_ways_to_json_write_the_same(data: Any) -> None:
    plain = room._encode_plainly(data)

    assert json.loads(room._encode_fast(data)) == json.loads(plain) == data


@pytest.mark.parametrize("without", [False, True], ids=["orjson", "json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"NaN", b"[1,]", b"\xff", b'"\\ud800"', "[1]".encode("utf-16"), b"[" * 2000,
     b"\xef\xbb\xbf[1]", b"[1]\0", b"'a'", b"01"],
)  # fmt: skip
def test_what_is_no_json_is_a_bad_request(
    monkeypatch: pytest.MonkeyPatch, content: bytes, without: bool
) -> None:
    monkeypatch.setattr(room, "orjson", None if without else room.orjson)

    with pytest.raises(BadRequest):
        room.decode_json(content)


class TestText:
    @pytest.mark.parametrize(
        ("data", "text"),
        [
            ({"a": 1, "b": "x"}, "a: 1\nb: x"),
            ([1, "b"], "1\nb"),
            ("as it is", "as it is"),
            (5, "5"),
        ],
    )
    def test_it_is_one_thing_a_line(self, data: Any, text: str) -> None:
        assert PlainTextRenderer().render(data, REQUEST) == text


class TestPages:
    @pytest.mark.parametrize(
        "data",
        ["<script>", {"<script>": 1}, {"a": "<script>"}, ["<script>"], {"a": [{"<script>"}]}],
    )
    def test_values_are_escaped(self, data: Any) -> None:
        page = HTMLRenderer().render([data], REQUEST)

        assert page.startswith("<!DOCTYPE html>")
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "<title>/a&lt;b&gt;</title>" in page

    def test_html_is_left_alone(self) -> None:
        assert HTMLRenderer().render("<p>done</p>", REQUEST) == "<p>done</p>"

    def test_nested_data_are_nested_lists(self) -> None:
        page = HTMLRenderer().render({"a": [1, {"b": 2}]}, REQUEST)

        assert "<ul><li>a: <ul><li>1</li><li><ul><li>b: 2</li></ul></li></ul></li></ul>" in page


@pytest.mark.parametrize(
    ("accept", "can"), [("application/json", True), ("*/*", True), ("text/html", False)]
)
def test_a_renderer_knows_what_it_can_do(accept: str, can: bool) -> None:
    assert JSONRenderer().can_render(accept) is can


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        ("Application/JSON; charset=utf-8", "application/json"),
        ("text/plain", "text/plain"),
        ("json", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_the_essence_of_a_type(content_type: str | None, found: str | None) -> None:
    assert room.essence(content_type) == found


@pytest.mark.parametrize(
    ("media_type", "json_like"),
    [("application/json", True), ("application/hal+json", True), ("text/json+x", False),
     ("application/jsonp", False), (None, False)],
)  # fmt: skip
def test_types_built_on_json_are_json(media_type: str | None, json_like: bool) -> None:
    assert room.is_json(media_type) is json_like
