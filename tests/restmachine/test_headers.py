"""Header fields: the multi-map, and Vary, by section of RFC 9110."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restmachine.headers import InvalidHeaderError, MultiValueHeaders, merge_vary

unhurried = settings(deadline=None)
tokens = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=12)
field_values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
).map(str.strip)


class TestMultiValueHeaders:
    @pytest.mark.parametrize(
        ("source", "pairs"),
        [
            pytest.param(None, [], id="None"),
            pytest.param({}, [], id="empty dict"),
            pytest.param({"A": "1", "B": "2"}, [("A", "1"), ("B", "2")], id="dict"),
            pytest.param({"A": ["1", "2"]}, [("A", "1"), ("A", "2")], id="dict of lists"),
            pytest.param({"A": ("1", "2")}, [("A", "1"), ("A", "2")], id="dict of tuples"),
            pytest.param({"A": []}, [], id="dict with an empty list"),
            pytest.param([("A", "1"), ("a", "2")], [("A", "1"), ("a", "2")], id="pairs"),
            pytest.param((p for p in [("A", "1")]), [("A", "1")], id="generator of pairs"),
            pytest.param(
                MultiValueHeaders([("A", "1"), ("a", "2")]),
                [("A", "1"), ("a", "2")],
                id="another instance",
            ),
        ],
    )
    def test_it_is_built_from(self, source: object, pairs: list[tuple[str, str]]) -> None:
        headers = MultiValueHeaders(source)  # type: ignore[arg-type]  # one table for all

        assert headers.items_all() == pairs

    @pytest.mark.parametrize("name", ["ETag", "etag", "ETAG", "eTaG"])
    def test_5_1_names_are_found_whatever_their_case(self, name: str) -> None:
        headers = MultiValueHeaders({"ETag": '"1"'})

        assert name in headers
        assert headers[name] == '"1"'
        assert headers.get(name) == '"1"'
        assert headers.get_all(name) == ['"1"']

    def test_5_3_values_of_one_name_keep_their_order_and_spelling(self) -> None:
        headers = MultiValueHeaders()

        headers.add("Via", "one")
        headers.add("Accept", "*/*")
        headers.append("via", "two")

        assert headers.items_all() == [("Via", "one"), ("via", "two"), ("Accept", "*/*")]

    def test_get_returns_the_first_value_and_get_all_every_one(self) -> None:
        headers = MultiValueHeaders({"A": ["1", "2"]})

        assert headers.get("A") == headers["A"] == "1"
        assert headers.get_all("A") == ["1", "2"]

    def test_get_of_an_absent_name_returns_the_default(self) -> None:
        headers = MultiValueHeaders({"A": "1"})

        assert headers.get("B") is None
        assert headers.get("B", "other") == "other"
        assert headers.get_all("B") == []

    @pytest.mark.parametrize("assign", [MultiValueHeaders.set, MultiValueHeaders.__setitem__])
    def test_setting_replaces_every_value_and_the_spelling(
        self, assign: Callable[[MultiValueHeaders, str, str], None]
    ) -> None:
        headers = MultiValueHeaders([("A", "1"), ("B", "2"), ("A", "3")])

        assign(headers, "a", "4")

        assert headers.items_all() == [("a", "4"), ("B", "2")]

    def test_deleting_removes_every_value(self) -> None:
        headers = MultiValueHeaders({"a": ["1", "2"], "B": "3"})

        del headers["A"]

        assert "a" not in headers
        assert headers.items_all() == [("B", "3")]

    def test_an_absent_name_is_a_key_error(self) -> None:
        headers = MultiValueHeaders()

        with pytest.raises(KeyError, match="A"):
            headers["A"]
        with pytest.raises(KeyError, match="A"):
            del headers["A"]

    def test_a_name_that_is_no_text_is_never_found(self) -> None:
        headers = MultiValueHeaders({"5": "five"})
        number: str = 5  # type: ignore[assignment]  # what an untyped caller may do

        assert headers.get(number, "none") == "none"
        assert headers.get_all(number) == []
        assert number not in headers
        with pytest.raises(KeyError):
            headers[number]
        with pytest.raises(KeyError):
            del headers[number]

    def test_as_a_mapping_it_shows_each_name_once_with_its_first_value(self) -> None:
        headers = MultiValueHeaders([("A", "1"), ("B", "2"), ("a", "3")])

        assert list(headers) == list(headers.keys()) == ["A", "B"]
        assert list(headers.values()) == ["1", "2"]
        assert list(headers.items()) == [("A", "1"), ("B", "2")]
        assert len(headers) == 2
        assert {**headers} == dict(headers) == headers.to_dict() == {"A": "1", "B": "2"}

    def test_to_multidict_shows_every_value_under_the_first_spelling(self) -> None:
        headers = MultiValueHeaders([("Set-Cookie", "a=1"), ("B", "2"), ("set-cookie", "c=3")])

        assert headers.to_multidict() == {"Set-Cookie": ["a=1", "c=3"], "B": ["2"]}

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"a": ["3", "4"], "C": "5"}, id="dict"),
            pytest.param([("a", "3"), ("C", "5"), ("a", "4")], id="pairs"),
            pytest.param(MultiValueHeaders({"a": ["3", "4"], "C": "5"}), id="headers"),
        ],
    )
    def test_update_replaces_names_and_keeps_all_their_new_values(self, other: object) -> None:
        headers = MultiValueHeaders({"A": ["1", "2"], "B": "0"})

        headers.update(other)  # type: ignore[arg-type]  # one table for all

        assert headers.items_all() == [("a", "3"), ("a", "4"), ("B", "0"), ("C", "5")]

    def test_update_shares_nothing_with_its_source(self) -> None:
        source = MultiValueHeaders({"A": "1"})
        headers = MultiValueHeaders()

        headers.update(source)
        headers.add("A", "2")

        assert source.get_all("A") == ["1"]

    @pytest.mark.parametrize(
        "duplicate", [MultiValueHeaders.copy, MultiValueHeaders, copy.copy, copy.deepcopy]
    )
    def test_a_copy_is_equal_and_independent(
        self, duplicate: Callable[[MultiValueHeaders], MultiValueHeaders]
    ) -> None:
        original = MultiValueHeaders({"A": ["1", "2"]})

        twin = duplicate(original)
        assert twin == original
        twin.add("A", "3")
        twin.set("B", "4")

        assert original.items_all() == [("A", "1"), ("A", "2")]

    def test_it_survives_pickling(self) -> None:
        headers = MultiValueHeaders({"A": ["1", "2"]})

        assert pickle.loads(pickle.dumps(headers)) == headers

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param([("B", "3"), ("A", "1"), ("A", "2")], id="other order of names"),
            pytest.param([("a", "1"), ("A", "2"), ("b", "3")], id="other spelling"),
        ],
    )
    def test_5_3_equality_ignores(self, other: list[tuple[str, str]]) -> None:
        headers = MultiValueHeaders([("A", "1"), ("A", "2"), ("B", "3")])

        assert headers == MultiValueHeaders(other)

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(MultiValueHeaders([("A", "2"), ("A", "1")]), id="order of values"),
            pytest.param(MultiValueHeaders([("A", "1")]), id="number of values"),
            pytest.param(MultiValueHeaders([("A", "1"), ("B", "2")]), id="names"),
            pytest.param({"A": "1"}, id="a dict"),
        ],
    )
    def test_5_3_equality_heeds(self, other: object) -> None:
        assert MultiValueHeaders([("A", "1"), ("A", "2")]) != other

    def test_its_repr_shows_every_pair(self) -> None:
        headers = MultiValueHeaders({"A": ["1", "2"]})

        assert repr(headers) == "MultiValueHeaders([('A', '1'), ('A', '2')])"

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            pytest.param(42, "42", id="int"),
            pytest.param(0.5, "0.5", id="float"),
            pytest.param(UUID(int=1), "00000000-0000-0000-0000-000000000001", id="UUID"),
            pytest.param("", "", id="empty"),
            pytest.param("  a\tb \t", "a\tb", id="5.5 surrounding white space"),
            pytest.param("caf\xe9", "caf\xe9", id="5.5 obs-text"),
            pytest.param("a\xa0b", "a\xa0b", id="no-break space"),
        ],
    )
    def test_a_value_becomes_text(self, value: object, text: str) -> None:
        headers = MultiValueHeaders()

        headers.set("A", value)

        assert headers["A"] == text

    @pytest.mark.parametrize("method", [MultiValueHeaders.add, MultiValueHeaders.set])
    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("a\r\nSet-Cookie: b=1", id="5.5 CRLF"),
            pytest.param("a\n", id="5.5 LF at the end"),
            pytest.param("\ra", id="5.5 CR at the start"),
            pytest.param("a\0b", id="5.5 NUL"),
            pytest.param("a\x0bb", id="5.5 vertical tab"),
            pytest.param("a\x7fb", id="5.5 DEL"),
            pytest.param("\u0141", id="beyond Latin-1"),
            pytest.param("a\u2028b", id="line separator"),
            pytest.param("\ud800", id="lone surrogate"),
            pytest.param(None, id="None"),
            pytest.param(b"bytes", id="bytes"),
        ],
    )
    def test_5_5_a_value_that_may_not_be_sent_is_refused(
        self, method: Callable[[MultiValueHeaders, str, object], None], value: object
    ) -> None:
        headers = MultiValueHeaders({"X-Name": "kept"})

        with pytest.raises(InvalidHeaderError, match="X-Name") as refusal:
            method(headers, "X-Name", value)

        assert str(refusal.value).isprintable()
        assert headers.items_all() == [("X-Name", "kept")]

    @pytest.mark.parametrize("method", [MultiValueHeaders.add, MultiValueHeaders.set])
    @pytest.mark.parametrize(
        "name",
        [
            "",
            " ",
            "a b",
            "a:",
            "a\r\nb",
            "a\n",
            "a\0",
            "(a)",
            "\xe9",
            "\u212a",
            "a,b",
            "a;b",
            '"',
            5,
        ],
    )
    def test_5_1_a_name_that_is_no_token_is_refused(
        self, method: Callable[[MultiValueHeaders, str, object], None], name: str
    ) -> None:
        headers = MultiValueHeaders()

        with pytest.raises(InvalidHeaderError, match="is not a field name") as refusal:
            method(headers, name, "a\r\nb")

        assert str(refusal.value).isprintable()
        assert len(headers) == 0

    def test_a_refused_first_value_leaves_no_name_behind(self) -> None:
        headers = MultiValueHeaders()

        with pytest.raises(InvalidHeaderError):
            headers.add("A", "\n")

        assert "A" not in headers
        assert headers.get("A") is None

    def test_a_refused_update_changes_nothing(self) -> None:
        headers = MultiValueHeaders({"A": "1"})

        with pytest.raises(InvalidHeaderError):
            headers.update({"A": "2", "B": "\n"})

        assert headers.items_all() == [("A", "1")]

    def test_an_enormous_refused_value_is_shown_in_part(self) -> None:
        with pytest.raises(InvalidHeaderError) as refusal:
            MultiValueHeaders({"A": "\n" * 100_000})

        assert len(str(refusal.value)) < 300

    def test_5_2_joined_makes_one_list_of_several_lines(self) -> None:
        headers = MultiValueHeaders([("Accept", "text/html"), ("accept", "*/*;q=0.1")])

        assert headers.joined("ACCEPT") == "text/html, */*;q=0.1"
        assert headers.joined("Accept-Language") is None

    def test_received_fields_are_kept_as_they_came(self) -> None:
        raw = [(b"host", b"x"), (b"x-odd", b"\xe9\x01"), (b"Host", b"y"), (b"b d", b" ")]

        headers = MultiValueHeaders.received(raw)

        assert headers.items_all() == [
            ("host", "x"),
            ("Host", "y"),
            ("x-odd", "\xe9\x01"),
            ("b d", " "),
        ]

    def test_encoded_gives_lower_case_bytes_with_every_value(self) -> None:
        headers = MultiValueHeaders(
            [("Set-Cookie", "a=1"), ("ETag", '"\xe9"'), ("set-cookie", "b=2")]
        )

        assert headers.encoded() == [
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"etag", b'"\xe9"'),
        ]

    @unhurried
    @given(st.lists(st.tuples(tokens, field_values), max_size=20))
    def test_what_is_encoded_is_received_again(self, pairs: list[tuple[str, str]]) -> None:
        headers = MultiValueHeaders(pairs)

        assert MultiValueHeaders.received(headers.encoded()) == headers
        assert MultiValueHeaders(headers.to_multidict()) == headers
        assert sorted(headers.items_all()) == sorted(
            (name, value.strip(" \t")) for name, value in pairs
        )

    @unhurried
    @given(st.text(), st.text())
    def test_whatever_is_accepted_is_safe_on_the_wire(self, name: str, value: str) -> None:
        headers = MultiValueHeaders()

        with suppress(InvalidHeaderError):
            headers.add(name, value)

        assert len(headers.encoded()) == len(headers)
        assert not {*b"\r\n\0"} & {*b"".join(map(b"".join, headers.encoded()))}


class TestMergeVary:
    @pytest.mark.parametrize(
        ("existing", "names", "merged"),
        [
            pytest.param(None, (), "", id="nothing"),
            pytest.param(None, ("Accept",), "Accept", id="first"),
            pytest.param("", ("Accept",), "Accept", id="empty"),
            pytest.param("Origin", ("Accept",), "Origin, Accept", id="existing come first"),
            pytest.param("accept", ("Accept",), "accept", id="12.5.5 names have no case"),
            pytest.param("A,b ,, A", ("B", "c", "C"), "A, b, c", id="5.6.1.2 tidied"),
            pytest.param("*", ("Accept",), "*", id="12.5.5 * stays alone"),
            pytest.param("Accept", ("*",), "*", id="12.5.5 * replaces"),
            pytest.param("Accept, *", ("Origin",), "*", id="12.5.5 * among names"),
            pytest.param("A", ("B, a", "b"), "A, B", id="lists among the names"),
        ],
    )
    def test_merge(self, existing: str | None, names: tuple[str, ...], merged: str) -> None:
        assert merge_vary(existing, *names) == merged

    @unhurried
    @given(st.lists(tokens, max_size=6), st.lists(tokens, max_size=6))
    def test_merging_twice_changes_nothing_more(self, one: list[str], two: list[str]) -> None:
        merged = merge_vary(", ".join(one), *two)

        assert merge_vary(merged, *two) == merged
