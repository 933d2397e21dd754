"""The values in fields: tags, dates, weights and media types, by section of RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restmachine.headers import (
    EntityTag,
    MediaType,
    format_http_date,
    parse_entity_tags,
    parse_http_date,
    parse_quality_list,
    parse_weight,
)

unhurried = settings(deadline=None)
latin_1 = st.text(st.characters(max_codepoint=0xFF))
tokens = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=12)
field_values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
).map(str.strip)


class TestEntityTag:
    @pytest.mark.parametrize(
        ("one", "other", "strongly", "weakly"),
        [
            pytest.param('W/"1"', 'W/"1"', False, True, id="8.8.3.2 both weak"),
            pytest.param('W/"1"', 'W/"2"', False, False, id="8.8.3.2 weak and different"),
            pytest.param('W/"1"', '"1"', False, True, id="8.8.3.2 one weak"),
            pytest.param('"1"', 'W/"1"', False, True, id="8.8.3.2 the other weak"),
            pytest.param('"1"', '"1"', True, True, id="8.8.3.2 both strong"),
            pytest.param('"a"', '"A"', False, False, id="8.8.3 case matters"),
            pytest.param('""', '""', True, True, id="8.8.3 empty"),
        ],
    )
    def test_8_8_3_2_comparison(self, one: str, other: str, strongly: bool, weakly: bool) -> None:
        tag, second = EntityTag.parse(one), EntityTag.parse(other)

        assert tag is not None
        assert tag.matches_strongly(second) is strongly
        assert tag.matches_weakly(second) is weakly

    def test_no_tag_matches_an_absent_one(self) -> None:
        tag = EntityTag("a")

        assert not tag.matches_strongly(None)
        assert not tag.matches_weakly(None)

    @pytest.mark.parametrize(
        ("text", "tag"),
        [
            pytest.param('"xyzzy"', EntityTag("xyzzy"), id="8.8.3 strong"),
            pytest.param('W/"xyzzy"', EntityTag("xyzzy", weak=True), id="8.8.3 weak"),
            pytest.param('""', EntityTag(""), id="8.8.3 empty"),
            pytest.param('"a,b"', EntityTag("a,b"), id="8.8.3 comma"),
            pytest.param('"W/"', EntityTag("W/"), id="8.8.3 W/ inside"),
            pytest.param('"a\\b"', EntityTag("a\\b"), id="8.8.3 backslash is no escape"),
            pytest.param('"\xe9"', EntityTag("\xe9"), id="8.8.3 obs-text"),
            pytest.param("xyzzy", None, id="bare"),
            pytest.param('w/"a"', None, id="8.8.3 W is case-sensitive"),
            pytest.param('W/ "a"', None, id="space after W/"),
            pytest.param('"a b"', None, id="space inside"),
            pytest.param('"a"b"', None, id="quote inside"),
            pytest.param('"a', None, id="never closed"),
            pytest.param('"a"\n', None, id="line break after"),
            pytest.param('"a\x7f"', None, id="DEL"),
            pytest.param('"\u0141"', None, id="beyond Latin-1"),
            pytest.param("", None, id="nothing"),
        ],
    )
    def test_parse_is_strict(self, text: str, tag: EntityTag | None) -> None:
        assert EntityTag.parse(text) == tag

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("abc", '"abc"'),
            ('"abc"', '"abc"'),
            ('W/"abc"', 'W/"abc"'),
            ("W/abc", 'W/"abc"'),
            ("a,b", '"a,b"'),
            ('""', '""'),
        ],
    )
    def test_of_takes_a_tag_as_a_developer_gives_it(self, value: str, written: str) -> None:
        assert str(EntityTag.of(value)) == written

    @pytest.mark.parametrize("value", ["", "W/", "a b", 'a"b', '"a', "a\n", "\x7f", "\u0141"])
    def test_of_refuses_what_no_entity_tag_may_have(self, value: str) -> None:
        with pytest.raises(ValueError, match="is not an entity tag"):
            EntityTag.of(value)

    @unhurried
    @given(st.from_regex(r"[!#-~\x80-\xff]*", fullmatch=True), st.booleans())
    def test_a_written_tag_is_read_again(self, opaque: str, weak: bool) -> None:
        tag = EntityTag(opaque, weak)

        assert EntityTag.parse(str(tag)) == tag
        assert EntityTag.of(str(tag)) == tag
        assert parse_entity_tags(f'"before", {tag} ,"after"')[1] == tag


class TestParseEntityTags:
    @pytest.mark.parametrize(
        ("field", "tags"),
        [
            pytest.param('"xyzzy"', ['"xyzzy"'], id="13.1.1 one"),
            pytest.param(
                '"xyzzy", "r2d2xxxx", "c3piozzzz"',
                ['"xyzzy"', '"r2d2xxxx"', '"c3piozzzz"'],
                id="13.1.1 several",
            ),
            pytest.param(
                'W/"xyzzy", W/"r2d2xxxx"', ['W/"xyzzy"', 'W/"r2d2xxxx"'], id="13.1.2 weak"
            ),
            pytest.param('"a,b","c"', ['"a,b"', '"c"'], id="8.8.3 comma inside a tag"),
            pytest.param('",",","', ['","', '","'], id="8.8.3 nothing but commas"),
            pytest.param('"a","b"', ['"a"', '"b"'], id="5.6.1 no white space"),
            pytest.param('"a"\t ,\t "b" ', ['"a"', '"b"'], id="5.6.1 white space"),
            pytest.param(', ,"a",, ,"b",', ['"a"', '"b"'], id="5.6.1.2 empty members"),
            pytest.param('""', ['""'], id="8.8.3 empty tag"),
            pytest.param("abc, W/def", ['"abc"', 'W/"def"'], id="bare tags get quotes"),
            pytest.param('"a b", "c"', ['"c"'], id="space inside is left out"),
            pytest.param('"a"x, "c"', ['"c"'], id="text after a tag is left out"),
            pytest.param('w/"a", "c"', ['"c"'], id="lower-case w/ is left out"),
            pytest.param('"a, "c"', ['"c"'], id="an open quote is left out"),
            pytest.param('"c", "a', ['"c"'], id="an open quote at the end is left out"),
            pytest.param('*, "c"', ['"c"'], id="* in a list is left out"),
            pytest.param("*", [], id="13.1.1 * lists nothing"),
            pytest.param("", [], id="nothing"),
            pytest.param(" , ", [], id="only empty members"),
        ],
    )
    def test_list(self, field: str, tags: list[str]) -> None:
        assert [str(tag) for tag in parse_entity_tags(field)] == tags

    @unhurried
    @given(st.text() | st.text('W/"a, *\t'))
    @example('"' * 1000)
    @example('"a,' * 1000)
    def test_any_text_gives_only_tags_that_may_be_sent(self, field: str) -> None:
        tags = parse_entity_tags(field)

        assert [EntityTag.parse(str(tag)) for tag in tags] == list(tags)


NOVEMBER = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


class TestParseHttpDate:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", NOVEMBER, id="5.6.7 IMF-fixdate"),
            pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", NOVEMBER, id="5.6.7 RFC 850"),
            pytest.param("Sun Nov  6 08:49:37 1994", NOVEMBER, id="5.6.7 asctime"),
            pytest.param(
                "Wed Nov 16 08:49:37 1994", NOVEMBER.replace(day=16), id="asctime, two digits"
            ),
            pytest.param("Sun, 06-Nov-1994 08:49:37 GMT", NOVEMBER, id="hyphens, full year"),
            pytest.param("Sun, 06-Nov-94 08:49:37 GMT", NOVEMBER, id="hyphens, short day name"),
            pytest.param(" \tSun, 06 Nov 1994 08:49:37 GMT ", NOVEMBER, id="5.5 white space"),
            pytest.param("Mon, 06 Nov 1994 08:49:37 GMT", NOVEMBER, id="another day's name"),
            pytest.param(
                "Thu, 29 Feb 2024 23:59:59 GMT",
                datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
                id="leap day",
            ),
            pytest.param(
                "Sat, 31 Dec 2016 23:59:60 GMT",
                datetime(2017, 1, 1, tzinfo=UTC),
                id="5.6.7 leap second",
            ),
            pytest.param(
                "Mon, 01 Jan 0001 00:00:00 GMT", datetime(1, 1, 1, tzinfo=UTC), id="first year"
            ),
        ],
    )
    def test_it_reads(self, text: str, moment: datetime) -> None:
        parsed = parse_http_date(text)

        assert parsed == moment
        assert parsed is not None
        assert parsed.tzinfo is UTC

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("0", id="a number"),
            pytest.param("yesterday", id="a word"),
            pytest.param("1994-11-06T08:49:37Z", id="ISO 8601"),
            pytest.param("Sun, 06 Nov 1994 08:49:37", id="no zone"),
            pytest.param("Sun, 06 Nov 1994 08:49:37 UTC", id="5.6.7 UTC"),
            pytest.param("Sun, 06 Nov 1994 08:49:37 +0000", id="5.6.7 offset"),
            pytest.param("Sun, 06 Nov 1994 08:49:37 gmt", id="5.6.7 case matters: zone"),
            pytest.param("sun, 06 Nov 1994 08:49:37 GMT", id="5.6.7 case matters: day"),
            pytest.param("Sun, 06 NOV 1994 08:49:37 GMT", id="5.6.7 case matters: month"),
            pytest.param("Sun, 6 Nov 1994 08:49:37 GMT", id="one digit"),
            pytest.param("Sun,  6 Nov 1994 08:49:37 GMT", id="padded with a space"),
            pytest.param("Son, 06 Nov 1994 08:49:37 GMT", id="no such day name"),
            pytest.param("Sun, 06 Okt 1994 08:49:37 GMT", id="no such month"),
            pytest.param("Sun, 31 Nov 1994 08:49:37 GMT", id="no such day"),
            pytest.param("Wed, 29 Feb 2023 08:49:37 GMT", id="no leap year"),
            pytest.param("Sun, 00 Nov 1994 08:49:37 GMT", id="day zero"),
            pytest.param("Sun, 06 Nov 0000 08:49:37 GMT", id="year zero"),
            pytest.param("Sun, 06 Nov 1994 24:00:00 GMT", id="hour 24"),
            pytest.param("Sun, 06 Nov 1994 08:60:37 GMT", id="minute 60"),
            pytest.param("Sun, 06 Nov 1994 08:49:61 GMT", id="second 61"),
            pytest.param("Fri, 31 Dec 9999 23:59:60 GMT", id="beyond the last year"),
            pytest.param("Sun, 06 Nov 19940 8:49:37 GMT", id="digits in the wrong place"),
            pytest.param("Sun, 06 Nov 99999 08:49:37 GMT", id="five-digit year"),
            pytest.param("Sun, 06-Nov-994 08:49:37 GMT", id="three-digit year"),
            pytest.param("Sunday, 06 Nov 1994 08:49:37 GMT", id="long day name, spaces"),
            pytest.param("Sun Nov 06 08:49:37 94", id="asctime, short year"),
            pytest.param("Sun Nov 6 08:49:37 1994", id="asctime, no padding"),
            pytest.param("Sun Nov  6 08:49:37 1994 GMT", id="asctime with a zone"),
            pytest.param("Sun, \u0660\u0666 Nov 1994 08:49:37 GMT", id="Arabic digits"),
            pytest.param("Sun, 06 Nov 1994 08:49:37 GMT\n", id="line break"),
            pytest.param("Sun, 06 Nov 1994 08:49:37 GMT, x", id="text after it"),
            pytest.param('"Sun, 06 Nov 1994 08:49:37 GMT"', id="quoted"),
            pytest.param("9" * 100_000, id="absurdly long"),
        ],
    )
    def test_none_for(self, text: str) -> None:
        assert parse_http_date(text) is None

    @pytest.mark.parametrize(
        ("date", "now", "year"),
        [
            pytest.param("06-Nov-94 08:49:37", datetime(1994, 1, 1), 1994, id="this year"),
            pytest.param("06-Nov-94 08:49:37", datetime(2024, 1, 1), 1994, id="30 years ago"),
            pytest.param("06-Nov-30 08:49:37", datetime(2024, 1, 1), 2030, id="6 years ahead"),
            pytest.param(
                "06-Nov-74 08:49:37", datetime(2024, 11, 6, 8, 49, 37), 2074, id="50 years"
            ),
            pytest.param(
                "06-Nov-74 08:49:37", datetime(2024, 11, 6, 8, 49, 36), 1974, id="a second more"
            ),
            pytest.param("07-Nov-74 00:00:00", datetime(2024, 11, 6), 1974, id="a day more"),
            pytest.param("06-Nov-75 08:49:37", datetime(2024, 12, 31), 1975, id="51 years"),
            pytest.param("06-Nov-05 08:49:37", datetime(2090, 1, 1), 2105, id="next century"),
            pytest.param("06-Nov-99 08:49:37", datetime(2010, 1, 1), 1999, id="last century"),
            pytest.param("06-Nov-00 08:49:37", datetime(2000, 1, 1), 2000, id="century itself"),
            pytest.param("29-Feb-00 00:00:00", datetime(2024, 2, 29), 2000, id="leap days"),
        ],
    )
    def test_5_6_7_two_digit_year(self, date: str, now: datetime, year: int) -> None:
        parsed = parse_http_date(f"Sunday, {date} GMT", now=now.replace(tzinfo=UTC))

        assert parsed is not None
        assert parsed.year == year

    def test_5_6_7_two_digit_year_is_judged_by_the_clock(self) -> None:
        next_year = datetime.now(UTC).year + 1

        parsed = parse_http_date(f"Sunday, 06-Nov-{next_year % 100:02} 08:49:37 GMT")

        assert parsed is not None
        assert parsed.year == next_year

    @unhurried
    @given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} .*"))
    def test_any_text_is_a_date_or_none(self, text: str) -> None:
        moment = parse_http_date(text)

        assert moment is None or moment.tzinfo is UTC


class TestFormatHttpDate:
    @pytest.mark.parametrize(
        "moment",
        [
            pytest.param(NOVEMBER, id="5.6.7 example"),
            pytest.param(NOVEMBER.replace(tzinfo=None), id="naive is UTC"),
            pytest.param(NOVEMBER.replace(microsecond=999_999), id="8.8.2 fractions dropped"),
            pytest.param(
                datetime(1994, 11, 6, 18, 19, 37, tzinfo=timezone(timedelta(hours=9.5))),
                id="5.6.7 another zone",
            ),
        ],
    )
    def test_it_writes_the_moment_in_gmt(self, moment: datetime) -> None:
        assert format_http_date(moment) == "Sun, 06 Nov 1994 08:49:37 GMT"

    def test_5_6_7_years_have_four_digits(self) -> None:
        assert format_http_date(datetime(7, 1, 1)) == "Mon, 01 Jan 0007 00:00:00 GMT"

    @unhurried
    @given(st.datetimes(timezones=st.just(UTC)))
    def test_a_written_date_is_read_again_without_its_fraction(self, moment: datetime) -> None:
        assert parse_http_date(format_http_date(moment)) == moment.replace(microsecond=0)

    @unhurried
    @given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))
    def test_it_agrees_with_the_format_of_mail(self, moment: datetime) -> None:
        assert format_http_date(moment) == format_datetime(moment, usegmt=True)


class TestParseWeight:
    @pytest.mark.parametrize(
        ("text", "weight"),
        [
            pytest.param("0", 0.0, id="12.4.2 zero"),
            pytest.param("0.", 0.0, id="12.4.2 zero with a point"),
            pytest.param("0.000", 0.0, id="12.4.2 zero with decimals"),
            pytest.param("0.5", 0.5, id="12.4.2 one decimal"),
            pytest.param("0.001", 0.001, id="12.4.2 smallest"),
            pytest.param("1", 1.0, id="12.4.2 one"),
            pytest.param("1.000", 1.0, id="12.4.2 one with decimals"),
            pytest.param("0.3339", 0.333, id="a fourth decimal"),
            pytest.param("0." + "3" * 100_000, 0.333, id="absurdly many decimals"),
            pytest.param(".5", 0.5, id="no leading zero"),
            pytest.param("00.5", 0.5, id="two leading zeros"),
            pytest.param("1.5", 1.0, id="above one"),
            pytest.param("999", 1.0, id="far above one"),
            pytest.param("1e3", None, id="exponent"),
            pytest.param("-1", None, id="negative"),
            pytest.param("+1", None, id="sign"),
            pytest.param("nan", None, id="nan"),
            pytest.param("inf", None, id="infinity"),
            pytest.param("0,5", None, id="decimal comma"),
            pytest.param("0.5.5", None, id="two points"),
            pytest.param("", None, id="nothing"),
            pytest.param(".", None, id="only a point"),
            pytest.param("9" * 100_000, None, id="absurdly long"),
            pytest.param("\u0661", None, id="Arabic digit"),
            pytest.param("0x1", None, id="hexadecimal"),
            pytest.param("1_0", None, id="underscore"),
        ],
    )
    def test_weight(self, text: str, weight: float | None) -> None:
        assert parse_weight(text) == weight


class TestParseQualityList:
    @pytest.mark.parametrize(
        ("field", "members"),
        [
            pytest.param(
                "da, en-gb;q=0.8, en;q=0.7",
                [("da", 1.0), ("en-gb", 0.8), ("en", 0.7)],
                id="12.5.4 example",
            ),
            pytest.param(
                "compress;q=0.5, gzip;q=1.0", [("compress", 0.5), ("gzip", 1.0)], id="12.5.3"
            ),
            pytest.param("*;q=0", [("*", 0.0)], id="12.4.3 wildcard"),
            pytest.param("", [], id="12.5.3 empty field"),
            pytest.param(", ,a,,", [("a", 1.0)], id="5.6.1.2 empty members"),
            pytest.param("a;q=0.1 , b\t;\tq=0.2", [("a", 0.1), ("b", 0.2)], id="5.6.3 space"),
            pytest.param("a;Q=0.3", [("a", 0.3)], id="5.6.6 name in upper case"),
            pytest.param("GZip, EN-gb", [("gzip", 1.0), ("en-gb", 1.0)], id="folded"),
            pytest.param("a;x=1;q=0.3", [("a", 0.3)], id="another parameter first"),
            pytest.param("a;q=0.3;q=0.9", [("a", 0.3)], id="the first weight counts"),
            pytest.param("a;", [("a", 1.0)], id="empty parameter"),
            pytest.param("a, a;q=0.5", [("a", 1.0), ("a", 0.5)], id="duplicates are kept"),
            pytest.param("a;q=x, b;q=-1, c;q=, d", [("d", 1.0)], id="unreadable weights"),
            pytest.param("a b, c/d, (e), \xe9, f", [("f", 1.0)], id="unreadable values"),
            pytest.param(";q=1, a", [("a", 1.0)], id="weight of nothing"),
        ],
    )
    def test_list(self, field: str, members: list[tuple[str, float]]) -> None:
        assert parse_quality_list(field) == members

    @unhurried
    @given(st.text() | st.text("ab*;q=01., \t"))
    def test_any_text_gives_weights_between_0_and_1(self, field: str) -> None:
        assert all(0 <= weight <= 1 for _, weight in parse_quality_list(field))


class TestMediaType:
    @pytest.mark.parametrize(
        ("text", "media_type"),
        [
            pytest.param("text/html", MediaType("text", "html"), id="8.3.1 bare"),
            pytest.param(
                "text/html;charset=utf-8",
                MediaType("text", "html", (("charset", "utf-8"),)),
                id="8.3.1 parameter",
            ),
            pytest.param(
                'Text/HTML;Charset="utf-8"',
                MediaType("text", "html", (("charset", "utf-8"),)),
                id="8.3.1 case and quotes",
            ),
            pytest.param(
                'text/html; charset="UTF-8"',
                MediaType("text", "html", (("charset", "UTF-8"),)),
                id="8.3.1 values keep their case",
            ),
            pytest.param("*/*", MediaType("*", "*"), id="12.5.1 any"),
            pytest.param("text/*", MediaType("text", "*"), id="12.5.1 any text"),
            pytest.param(
                "application/vnd.api+json", MediaType("application", "vnd.api+json"), id="suffix"
            ),
            pytest.param(" a/b \t", MediaType("a", "b"), id="5.5 white space"),
            pytest.param("a/b \t; c=d", MediaType("a", "b", (("c", "d"),)), id="5.6.6 white space"),
            pytest.param("a/b;;c=d; ;", MediaType("a", "b", (("c", "d"),)), id="5.6.6 empty"),
            pytest.param(
                r'a/b;c="\"x\\, ;=\y"', MediaType("a", "b", (("c", r'"x\, ;=y'),)), id="5.6.4"
            ),
            pytest.param('a/b;c=""', MediaType("a", "b", (("c", ""),)), id="5.6.4 empty"),
            pytest.param(
                'a/b;c="\xe9\t"', MediaType("a", "b", (("c", "\xe9\t"),)), id="5.6.4 obs-text"
            ),
            pytest.param(
                "a/b;c=1;C=2", MediaType("a", "b", (("c", "1"), ("c", "2"))), id="duplicates"
            ),
        ],
    )
    def test_parse(self, text: str, media_type: MediaType) -> None:
        assert MediaType.parse(text) == media_type

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("text", id="no subtype"),
            pytest.param("text/", id="empty subtype"),
            pytest.param("/html", id="empty type"),
            pytest.param("text / html", id="white space around the slash"),
            pytest.param("text/html/x", id="two slashes"),
            pytest.param("text/html, a/b", id="a list"),
            pytest.param("text/html;charset", id="no value"),
            pytest.param("text/html;charset=", id="empty value"),
            pytest.param("text/html;charset =utf-8", id="5.6.6 space before ="),
            pytest.param("text/html;charset= utf-8", id="5.6.6 space after ="),
            pytest.param("text/html;=utf-8", id="no name"),
            pytest.param('text/html;charset="utf-8', id="open quote"),
            pytest.param('text/html;charset="utf-8"x', id="text after a quoted value"),
            pytest.param('text/html;charset="a\nb"', id="line break"),
            pytest.param('text/html;charset="a\0b"', id="NUL"),
            pytest.param("text/html;charset=utf 8", id="space in a token"),
            pytest.param("text/h\xe9", id="no token"),
            pytest.param("text/html charset=utf-8", id="no semicolon"),
        ],
    )
    def test_parse_gives_none_for(self, text: str) -> None:
        assert MediaType.parse(text) is None

    def test_a_long_text_is_read_as_well(self) -> None:
        boundary = "b" * 5000

        media_type = MediaType.parse(f"multipart/form-data; boundary={boundary}")

        assert media_type == MediaType("multipart", "form-data", (("boundary", boundary),))

    def test_essence_and_parameter_read_its_parts(self) -> None:
        media_type = MediaType("text", "html", (("charset", "utf-8"), ("charset", "x")))

        assert media_type.essence == "text/html"
        assert media_type.parameter("Charset") == "utf-8"
        assert media_type.parameter("level") is None

    @unhurried
    @given(tokens, tokens, st.lists(st.tuples(tokens, field_values), max_size=4))
    def test_quoted_values_are_read_as_they_were_meant(
        self, kind: str, subtype: str, parameters: list[tuple[str, str]]
    ) -> None:
        quoted = [
            (name, value.replace("\\", r"\\").replace('"', r"\"")) for name, value in parameters
        ]
        text = f"{kind}/{subtype}" + "".join(f'; {name}="{value}"' for name, value in quoted)

        media_type = MediaType.parse(text)

        expected = tuple((name.lower(), value) for name, value in parameters)
        assert media_type == MediaType(kind.lower(), subtype.lower(), expected)

    @unhurried
    @given(st.text() | latin_1 | st.text('a/b;c="\\ \t'))
    def test_any_text_is_a_media_type_or_none(self, text: str) -> None:
        media_type = MediaType.parse(text)

        assert media_type is None or MediaType.parse(media_type.essence) is not None
