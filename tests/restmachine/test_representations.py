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
from hypothesis import example, given
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


class Level(Enum):
    ONE = 1
    NONE = None
    HALF = 0.5
    TEXT = "text"


@dataclass
class Point:
    x: int
    at: datetime


@dataclass
class Hidden:
    shown: int = 1
    _kept: int = 2


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


KEYS = st.one_of(
    st.text(max_size=3),
    st.dates(),
    st.uuids(),
    st.integers(-(2**63), 2**63),
    st.floats(),
    st.none(),
    st.booleans(),
    st.sampled_from([*Level]),
)
JSON_DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.floats(1e-10, 1e-3)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["NaN 1e-05", '"1e-07', "\\", Hidden(), ...]),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=10,
)


@encoders
def test_a_float_that_is_no_number_is_null(encode: Encode) -> None:
    data = [float("nan"), float("inf"), {float("-inf"): 1}, "NaN", {"Infinity": 1}]

    assert encode(data) == b'[null,null,{"null":1},"NaN",{"Infinity":1}]'


@encoders
def test_keys_that_are_spelt_alike_are_all_written(encode: Encode) -> None:
    day = date(2024, 5, 1)

    text = encode({float("nan"): 1, float("inf"): 2, day: 3, "2024-05-01": 4, Level.ONE: 5, 1: 6})

    assert text == b'{"null":1,"null":2,"2024-05-01":3,"2024-05-01":4,"1":5,"1":6}'


@given(data=JSON_DATA)
def test_both_ways_to_json_write_the_same_bytes(data: Any) -> None:
    assert room._encode_fast(data) == room._encode_plainly(data)


JSON_TEXTS = st.recursive(
    st.sampled_from(
        [b"null", b"-0", b"1e5", b"1E-400", b"1e400", b"NaN", b"01", b"1.", b'"\\ud800"', b"\xff"]
    )
    | st.integers().map(lambda number: b"%d" % number)
    | st.integers(60, 70).map(lambda power: b"%d" % -(2**power))
    | st.integers(60, 70).map(lambda power: b"%d" % (2**power - 1))
    | st.floats().map(lambda number: repr(number).encode())
    | st.text(max_size=5).map(lambda text: json.dumps(text).encode())
    | st.binary(max_size=5).map(lambda data: b'"' + data + b'"'),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: b"[" + b" ,".join(items) + b"]")
        | st.lists(inner, max_size=3).map(
            lambda items: b"{" + b",".join(b'"a":' + item for item in items) + b"}"
        )
        | inner.map(lambda item: b"[" * 120 + item + b"]" * 120)
    ),
    max_leaves=5,
)


@example(content=b'{"a":"\\ud800","a":null}')
@given(content=JSON_TEXTS | st.binary(max_size=10))
def test_both_ways_from_json_read_the_same(content: bytes) -> None:
    with pytest.MonkeyPatch.context() as without:
        fast = read(content)
        without.setattr(room, "orjson", None)

        assert read(content) == fast


def read(content: bytes) -> str:
    """Return what JSON content holds, or why it is refused."""
    try:
        return repr(room.decode_json(content))
    except BadRequest as refused:
        return str(refused.detail)


@pytest.mark.parametrize("without", [False, True], ids=["orjson", "json"])
@pytest.mark.parametrize("depth", [129, 500, 980, 1100, 5000])
@pytest.mark.parametrize("closed", [True, False])
def test_nesting_is_refused_in_the_same_words(
    monkeypatch: pytest.MonkeyPatch, without: bool, depth: int, closed: bool
) -> None:
    monkeypatch.setattr(room, "orjson", None if without else room.orjson)

    with pytest.raises(BadRequest, match="nested deeper than 128 levels"):
        room.decode_json(b"[" * depth + b"]" * depth * closed)


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
