"""Range requests and If-Range, by section of RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restmachine.headers import EntityTag
from restmachine.ranges import (
    MOST_RANGES,
    ByteRange,
    MultipartByteRanges,
    content_range,
    if_range_matches,
    multipart_byteranges,
    parse_range,
    unsatisfied_range,
)

unhurried = settings(deadline=None)
CONTENT = bytes(range(256)) * 4


class TestParseRange:
    @pytest.mark.parametrize(
        ("field", "ranges"),
        [
            pytest.param("bytes=0-499", [(0, 499)], id="14.1.2 first 500"),
            pytest.param("bytes=500-999", [(500, 999)], id="14.1.2 second 500"),
            pytest.param("bytes=-500", [(9500, 9999)], id="14.1.2 last 500"),
            pytest.param("bytes=9500-", [(9500, 9999)], id="14.1.2 from 9500 on"),
            pytest.param("bytes=0-0,-1", [(0, 0), (9999, 9999)], id="14.1.2 first and last"),
            pytest.param(
                "bytes= 0-999, 4500-5499, -1000",
                [(0, 999), (4500, 5499), (9000, 9999)],
                id="14.1.2 three",
            ),
            pytest.param("bytes=500-600,601-999", [(500, 600), (601, 999)], id="14.1.2 touching"),
            pytest.param("bytes=500-700,601-999", [(500, 999)], id="15.3.7.2 overlapping are one"),
            pytest.param("bytes=0-", [(0, 9999)], id="everything"),
            pytest.param("bytes=0-0", [(0, 0)], id="one byte"),
            pytest.param("bytes=9999-9999", [(9999, 9999)], id="the last byte"),
            pytest.param("bytes=9990-10000", [(9990, 9999)], id="14.1.2 end is cut"),
            pytest.param("bytes=-10001", [(0, 9999)], id="14.1.2 suffix is cut"),
            pytest.param("BYTES=0-1", [(0, 1)], id="14.1 units have no case"),
            pytest.param(" bytes=0-1\t", [(0, 1)], id="5.5 white space"),
            pytest.param("bytes=,0-1 ,\t, 3-4,", [(0, 1), (3, 4)], id="5.6.1.2 empty members"),
            pytest.param("bytes=00-001", [(0, 1)], id="leading zeros"),
            pytest.param("bytes=-1, 0-0", [(9999, 9999), (0, 0)], id="15.3.7.2 order is kept"),
            pytest.param("bytes=20000-, 1-2", [(1, 2)], id="14.1.1 one satisfiable"),
            pytest.param("bytes=-0, 1-2", [(1, 2)], id="14.1.1 suffix of nothing left out"),
            pytest.param("bytes=5-6, 1-2, 6-9", [(5, 9), (1, 2)], id="merged into the first place"),
            pytest.param("bytes=6-9, 1-2, 5-6", [(5, 9), (1, 2)], id="merged from either side"),
            pytest.param("bytes=0-5,3-20,15-30", [(0, 30)], id="a chain is one"),
            pytest.param("bytes=0-100,10-20,30-40", [(0, 100)], id="contained ones vanish"),
            pytest.param("bytes=1-2,1-2,1-2", [(1, 2)], id="the same one thrice"),
            pytest.param("bytes=0-" + "9" * 5000, [(0, 9999)], id="enormous end"),
            pytest.param("bytes=-" + "9" * 5000, [(0, 9999)], id="enormous suffix"),
            pytest.param("bytes=" + "0" * 5000 + "7-8", [(7, 8)], id="enormously many zeros"),
        ],
    )
    def test_of_10000_bytes(self, field: str, ranges: list[tuple[int, int]]) -> None:
        assert parse_range(field, 10_000) == ranges

    @pytest.mark.parametrize(
        "field",
        [
            pytest.param("bytes=10000-", id="14.1.2 starts at the end"),
            pytest.param("bytes=10000-20000", id="15.5.17 wholly beyond"),
            pytest.param("bytes=-0", id="14.1.2 suffix of nothing"),
            pytest.param("bytes=10000-, -0, 20000-30000", id="15.5.17 none of several"),
            pytest.param("bytes=" + "9" * 5000 + "-", id="enormous start"),
        ],
    )
    def test_15_5_17_unsatisfiable(self, field: str) -> None:
        assert parse_range(field, 10_000) == []

    @pytest.mark.parametrize(
        "field",
        [
            pytest.param("", id="nothing"),
            pytest.param("0-1", id="no unit"),
            pytest.param("=0-1", id="empty unit"),
            pytest.param("items=0-1", id="14.2 unknown unit"),
            pytest.param("bytes", id="no set"),
            pytest.param("bytes=", id="14.1.1 empty set"),
            pytest.param("bytes=,", id="14.1.1 only empty members"),
            pytest.param("bytes 0-1", id="no equals sign"),
            pytest.param("bytes =0-1", id="space before ="),
            pytest.param("bytes=5-2", id="14.1.1 end before start"),
            pytest.param("bytes=0-1,5-2", id="14.1.1 one of several invalid"),
            pytest.param("bytes=-", id="neither start nor end"),
            pytest.param("bytes=5", id="no hyphen"),
            pytest.param("bytes=a-b", id="letters"),
            pytest.param("bytes=0x1-0x2", id="hexadecimal"),
            pytest.param("bytes=--5", id="two hyphens"),
            pytest.param("bytes=1-2-3", id="three numbers"),
            pytest.param("bytes=0 - 1", id="spaces inside"),
            pytest.param("bytes=+1-2", id="sign"),
            pytest.param("bytes=1.0-2", id="decimal"),
            pytest.param("bytes=1_0-20", id="underscore"),
            pytest.param("bytes=0-1;2-3", id="semicolon"),
            pytest.param("bytes=\u0660-\u0661", id="Arabic digits"),
            pytest.param("bytes=\xb2-\xb3", id="superscript digits"),
            pytest.param("bytes=0-1\n", id="line break"),
            pytest.param("bytes=0-1=2-3", id="two equals signs"),
        ],
    )
    def test_14_2_ignored(self, field: str) -> None:
        assert parse_range(field, 10_000) is None

    @pytest.mark.parametrize(
        ("field", "ranges"),
        [
            pytest.param("bytes=0-", [], id="14.1.2 no first byte"),
            pytest.param("bytes=0-0", [], id="14.1.2 no such byte"),
            pytest.param("bytes=-0", [], id="14.1.2 suffix of nothing"),
            pytest.param("bytes=-1", None, id="14.1.2 suffix is the whole"),
            pytest.param("bytes=0-,-1", None, id="14.1.2 one of several is the whole"),
        ],
    )
    def test_of_empty_content(self, field: str, ranges: list[ByteRange] | None) -> None:
        assert parse_range(field, 0) == ranges

    def test_17_15_as_many_ranges_as_allowed_are_served(self) -> None:
        field = "bytes=" + ",".join(f"{start}-{start}" for start in range(0, 2 * MOST_RANGES, 2))

        assert len(parse_range(field, 10_000) or []) == MOST_RANGES

    def test_17_15_more_ranges_than_allowed_are_ignored(self) -> None:
        field = "bytes=" + ",".join(["0-0"] * (MOST_RANGES + 1))

        assert parse_range(field, 10_000) is None

    @unhurried
    @given(st.text() | st.text("0123456789-, ").map("bytes={}".format), st.integers(0, 30))
    @example("bytes=0-1,1-2,5-9,-3,4-", 10)
    def test_any_text_gives_parts_of_the_content_that_do_not_overlap(
        self, field: str, size: int
    ) -> None:
        parts = parse_range(field, size) or []

        positions = [position for part in parts for position in range(part.start, part.end + 1)]
        assert all(part.length > 0 for part in parts)
        assert len(positions) == len(set(positions)) == sum(part.length for part in parts)
        assert set(positions) <= set(range(size))

    @unhurried
    @given(
        st.lists(
            st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted), min_size=1, max_size=8
        )
    )
    def test_exactly_the_bytes_asked_for_are_given(self, asked: list[list[int]]) -> None:
        field = "bytes=" + ",".join(f"{start}-{end}" for start, end in asked)

        parts = parse_range(field, 30)

        assert parts is not None
        given_bytes = {byte for start, end in parts for byte in range(start, end + 1)}
        assert given_bytes == {
            byte for start, end in asked for byte in range(start, end + 1) if byte < 30
        }


class TestContentRange:
    def test_14_4_part_of_the_content(self) -> None:
        assert content_range(ByteRange(42, 1233), 1234) == "bytes 42-1233/1234"

    def test_15_5_17_unsatisfied(self) -> None:
        assert unsatisfied_range(47022) == "bytes */47022"

    def test_14_1_2_both_ends_of_a_range_count(self) -> None:
        assert ByteRange(0, 499).length == 500


MODIFIED = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
MODIFIED_TEXT = "Sun, 06 Nov 1994 08:49:37 GMT"
CURRENT = EntityTag("v1")
WESTWARD = timezone(timedelta(hours=-7))


class TestIfRange:
    @pytest.mark.parametrize(
        ("field", "etag", "modified", "matches"),
        [
            pytest.param('"v1"', CURRENT, None, True, id="13.1.5 same tag"),
            pytest.param(' "v1"\t', CURRENT, None, True, id="5.5 white space"),
            pytest.param('"v2"', CURRENT, MODIFIED, False, id="13.1.5 other tag"),
            pytest.param('W/"v1"', CURRENT, MODIFIED, False, id="13.1.5 weak tag sent"),
            pytest.param('"v1"', EntityTag("v1", True), None, False, id="13.1.5 weak tag held"),
            pytest.param('W/"v1"', EntityTag("v1", True), None, False, id="13.1.5 both weak"),
            pytest.param('"v1"', None, MODIFIED, False, id="13.1.5 no tag held"),
            pytest.param(MODIFIED_TEXT, None, MODIFIED, True, id="13.1.5 same date"),
            pytest.param(MODIFIED_TEXT, CURRENT, MODIFIED, True, id="13.1.5 date beside a tag"),
            pytest.param(
                "Sunday, 06-Nov-94 08:49:37 GMT", None, MODIFIED, True, id="5.6.7 RFC 850"
            ),
            pytest.param("Sun Nov  6 08:49:37 1994", None, MODIFIED, True, id="5.6.7 asctime"),
            pytest.param(
                MODIFIED_TEXT, None, MODIFIED.replace(microsecond=9), True, id="8.8.2 fraction"
            ),
            pytest.param(
                MODIFIED_TEXT, None, MODIFIED.replace(tzinfo=None), True, id="naive is UTC"
            ),
            pytest.param(MODIFIED_TEXT, None, MODIFIED.astimezone(WESTWARD), True, id="other zone"),
            pytest.param(
                MODIFIED_TEXT,
                None,
                MODIFIED + timedelta(seconds=1),
                False,
                id="13.1.5 earlier date",
            ),
            pytest.param(
                MODIFIED_TEXT, None, MODIFIED - timedelta(seconds=1), False, id="13.1.5 later date"
            ),
            pytest.param(MODIFIED_TEXT, CURRENT, None, False, id="13.1.5 no date held"),
            pytest.param("v1", CURRENT, MODIFIED, False, id="bare tag"),
            pytest.param("*", CURRENT, MODIFIED, False, id="13.1.5 no wildcard"),
            pytest.param('"v1", "v2"', CURRENT, MODIFIED, False, id="13.1.5 no list"),
            pytest.param("", CURRENT, MODIFIED, False, id="nothing"),
            pytest.param("Sun, 06 Nov 1994", CURRENT, MODIFIED, False, id="no date"),
        ],
    )
    def test_13_1_5(
        self, field: str, etag: EntityTag | None, modified: datetime | None, matches: bool
    ) -> None:
        assert if_range_matches(field, etag, modified) is matches

    @pytest.mark.parametrize(
        ("age", "matches"),
        [
            pytest.param(timedelta(0), False, id="in the same second"),
            pytest.param(timedelta(seconds=0.999), False, id="before the second is over"),
            pytest.param(timedelta(seconds=1), True, id="when the second is over"),
            pytest.param(timedelta(seconds=-5), False, id="in the future"),
        ],
    )
    def test_8_8_2_2_a_date_is_weak_until_its_second_is_over(
        self, age: timedelta, matches: bool
    ) -> None:
        answer = if_range_matches(MODIFIED_TEXT, None, MODIFIED, now=MODIFIED + age)

        assert answer is matches

    def test_the_last_moment_of_all_is_compared_like_any(self) -> None:
        last = datetime.max.replace(tzinfo=UTC)

        assert not if_range_matches("Fri, 31 Dec 9999 23:59:59 GMT", None, last)

    @unhurried
    @given(st.text())
    def test_any_text_is_judged(self, field: str) -> None:
        assert if_range_matches(field, CURRENT, MODIFIED) in (True, False)


def assembled(multipart: MultipartByteRanges) -> bytes:
    """Return the content as an adapter sends it."""
    pieces = (
        CONTENT[piece.start : piece.end + 1] if isinstance(piece, ByteRange) else piece
        for piece in multipart
    )
    return b"".join(pieces)


def parts_read_by_mail(multipart: MultipartByteRanges) -> list[Message]:
    """Return the parts as another reader of MIME understands them."""
    head = f"Content-Type: {multipart.content_type}\r\n\r\n".encode("latin-1")
    parts = message_from_bytes(head + assembled(multipart)).get_payload()
    assert isinstance(parts, list)
    return [part for part in parts if isinstance(part, Message)]


class TestMultipartByteRanges:
    def test_14_6_content_is_delimited_by_the_boundary(self) -> None:
        parts = (ByteRange(65, 67), ByteRange(97, 98))
        multipart = MultipartByteRanges(parts, len(CONTENT), "text/plain", "SEPARATOR")

        assert multipart.content_type == "multipart/byteranges; boundary=SEPARATOR"
        assert assembled(multipart) == (
            b"--SEPARATOR\r\nContent-Type: text/plain\r\nContent-Range: bytes 65-67/1024\r\n\r\n"
            b"ABC\r\n"
            b"--SEPARATOR\r\nContent-Type: text/plain\r\nContent-Range: bytes 97-98/1024\r\n\r\n"
            b"ab\r\n"
            b"--SEPARATOR--\r\n"
        )

    def test_15_3_7_2_parts_without_a_type_have_no_content_type(self) -> None:
        multipart = multipart_byteranges([ByteRange(0, 0), ByteRange(2, 2)], len(CONTENT))

        assert b"Content-Type" not in assembled(multipart)
        assert assembled(multipart).count(b"Content-Range: bytes ") == 2

    @pytest.mark.parametrize("parts", [[], [ByteRange(0, 1)]])
    def test_15_3_7_2_fewer_than_two_parts_are_refused(self, parts: list[ByteRange]) -> None:
        with pytest.raises(ValueError, match="two parts or more"):
            multipart_byteranges(parts, 10)

    def test_each_answer_has_a_boundary_of_its_own(self) -> None:
        parts = [ByteRange(0, 0), ByteRange(2, 2)]

        one, two = multipart_byteranges(parts, 10), multipart_byteranges(parts, 10)

        assert one.boundary != two.boundary

    @unhurried
    @given(
        st.lists(
            st.tuples(st.integers(0, 1023), st.integers(0, 1023)).map(sorted),
            min_size=2,
            max_size=6,
        )
    )
    def test_its_length_is_known_and_its_parts_are_read_again(self, ends: list[list[int]]) -> None:
        parts = [ByteRange(start, end) for start, end in ends]

        multipart = multipart_byteranges(parts, len(CONTENT), "application/octet-stream")

        assert multipart.content_length == len(assembled(multipart))
        assert [part["Content-Range"] for part in parts_read_by_mail(multipart)] == [
            content_range(part, len(CONTENT)) for part in parts
        ]

    def test_14_6_text_parts_carry_exactly_their_bytes(self) -> None:
        parts = [ByteRange(48, 57), ByteRange(65, 90)]

        multipart = multipart_byteranges(parts, len(CONTENT), "text/plain")

        texts = [part.get_payload() for part in parts_read_by_mail(multipart)]
        assert texts == ["0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
