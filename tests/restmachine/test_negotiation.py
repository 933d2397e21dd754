"""Proactive negotiation, by section of RFC 9110."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restmachine.negotiation import (
    best_charset,
    best_encoding,
    best_language,
    best_media_type,
)

Best = Callable[[str | None, Sequence[str]], str | None]

unhurried = settings(deadline=None)
every_field = pytest.mark.parametrize(
    "best", [best_media_type, best_language, best_encoding, best_charset]
)

BUILT_IN = ("application/json", "text/html", "text/plain")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


class TestEveryField:
    @every_field
    @pytest.mark.parametrize("field", [None, "", "a", "*", "*/*", "a;q=0"])
    def test_nothing_is_chosen_from_nothing(self, best: Best, field: str | None) -> None:
        assert best(field, ()) is None

    @every_field
    def test_a_list_of_offers_will_do(self, best: Best) -> None:
        assert best("identity", ["identity"]) == best("identity", ("identity",))

    @every_field
    def test_an_enormous_field_is_judged_like_any(self, best: Best) -> None:
        nobody = "x/x;q=0.1, x;q=0.1, " * 2000

        assert best(f"{nobody} b, a/b", ("a", "b", "a/b")) == best("b, a/b", ("a", "b", "a/b"))

    @every_field
    @unhurried
    @given(
        field=st.text() | st.text('ab/*;q=01.,- "\\'),
        offered=st.lists(st.sampled_from(["a", "b", "a/b", "a/b;a=b", "a-b", "identity"])),
    )
    def test_any_text_chooses_one_of_the_offers_or_none(
        self, best: Best, field: str, offered: list[str]
    ) -> None:
        choice = best(field, offered)

        assert choice is None or choice in offered


class TestBestMediaType:
    @pytest.mark.parametrize(
        ("accept", "offered", "best"),
        [
            pytest.param(None, BUILT_IN, "application/json", id="12.5.1 no field"),
            pytest.param("", BUILT_IN, "application/json", id="12.5.1 empty field"),
            pytest.param(" \t", BUILT_IN, "application/json", id="white space"),
            pytest.param(",,", BUILT_IN, "application/json", id="5.6.1.2 empty members"),
            pytest.param("*/*", BUILT_IN, "application/json", id="12.5.1 anything"),
            pytest.param("*/* ;q=0.1", BUILT_IN, "application/json", id="anything, reluctantly"),
            pytest.param("text/html", BUILT_IN, "text/html", id="12.5.1 one type"),
            pytest.param("TEXT/Html", BUILT_IN, "text/html", id="8.3.1 asked in capitals"),
            pytest.param("text/html", ["Text/HTML"], "Text/HTML", id="8.3.1 offered in capitals"),
            pytest.param("text/*", BUILT_IN, "text/html", id="12.5.1 any subtype"),
            pytest.param("image/png", BUILT_IN, None, id="15.5.7 nothing acceptable"),
            pytest.param("image/*", BUILT_IN, None, id="15.5.7 no such type"),
            pytest.param("image/png, text/plain", BUILT_IN, "text/plain", id="second choice"),
            pytest.param(
                "text/plain;q=0.5, text/html", BUILT_IN, "text/html", id="12.4.2 default weight"
            ),
            pytest.param(
                "text/html;q=0.4, text/plain;q=0.6", BUILT_IN, "text/plain", id="12.4.2 weights"
            ),
            pytest.param(
                "text/html;q=0.001, text/plain;q=0.002", BUILT_IN, "text/plain", id="thousandths"
            ),
            pytest.param("text/html;Q=0, */*", BUILT_IN, "application/json", id="q in capitals"),
            pytest.param("application/json;q=0", BUILT_IN, None, id="12.4.2 q=0 only"),
            pytest.param("application/json;q=0, */*", BUILT_IN, "text/html", id="12.4.2 q=0"),
            pytest.param("*/*;q=0", BUILT_IN, None, id="12.4.2 nothing at all"),
            pytest.param("text/*;q=0, */*", ["text/html"], None, id="12.4.2 range excluded"),
            pytest.param("text/html, */*;q=0", BUILT_IN, "text/html", id="12.4.2 nothing else"),
            pytest.param(
                "text/*, text/html;q=0", BUILT_IN, "text/plain", id="12.5.1 specific over range"
            ),
            pytest.param(
                "text/html;q=0, text/*", BUILT_IN, "text/plain", id="12.5.1 whatever the order"
            ),
            pytest.param(
                "*/*, text/*;q=0.2, text/plain;q=0.9",
                ["text/html", "text/plain"],
                "text/plain",
                id="12.5.1 each by its most specific range",
            ),
            pytest.param(BROWSER, BUILT_IN, "text/html", id="a browser"),
            pytest.param(
                BROWSER, ["application/json"], "application/json", id="browser, JSON only"
            ),
            pytest.param("text/plain, text/html", BUILT_IN, "text/html", id="tie: offered order"),
            pytest.param("text/html, application/json", BUILT_IN, "application/json", id="tie"),
            pytest.param(
                "application/json, text/plain, */*",
                ["text/html", "application/json"],
                "application/json",
                id="tie: named before any",
            ),
            pytest.param(
                "text/*, */*", ["image/png", "text/html"], "text/html", id="tie: type before any"
            ),
            pytest.param(
                "text/html;level=1",
                ["text/html", "text/html;level=1"],
                "text/html;level=1",
                id="12.5.1 parameter",
            ),
            pytest.param("text/html;level=1", ["text/html"], None, id="12.5.1 parameter missing"),
            pytest.param(
                "text/html;level=1", ["text/html;level=2"], None, id="12.5.1 parameter differs"
            ),
            pytest.param(
                "text/html", ["text/html;level=1"], "text/html;level=1", id="12.5.1 offered more"
            ),
            pytest.param(
                "text/html;q=0.2;level=1, text/html;q=0.1",
                ["text/html", "text/html;level=1"],
                "text/html;level=1",
                id="12.5.1 q before a parameter",
            ),
            pytest.param(
                'text/html;level="1"', ["text/html; Level=1"], "text/html; Level=1", id="5.6.6"
            ),
            pytest.param(
                'a/b;x="1,2;q=0", c/d;q=0.1',
                ["c/d", 'a/b;x="1,2;q=0"'],
                'a/b;x="1,2;q=0"',
                id="5.6.4 comma and q in quotes",
            ),
            pytest.param(
                r'a/b;x="\",", c/d;q=0.1',
                ["c/d", r'a/b;x="\","'],
                r'a/b;x="\","',
                id="5.6.4 escaped quote",
            ),
            pytest.param(
                "text/html;charset=UTF-8", ["text/html"], "text/html", id="8.3.2 UTF-8 is meant"
            ),
            pytest.param(
                "text/html;charset=UTF-8",
                ["text/html; charset=utf-8"],
                "text/html; charset=utf-8",
                id="8.3.2 charset has no case",
            ),
            pytest.param(
                "text/html;charset=utf-8",
                ["text/html; charset=UTF-8"],
                "text/html; charset=UTF-8",
                id="8.3.2 charset offered in capitals",
            ),
            pytest.param(
                "text/html;charset=latin1", ["text/html"], None, id="8.3.2 another charset"
            ),
            pytest.param("text/html;q=x", BUILT_IN, "application/json", id="no weight readable"),
            pytest.param("text/html;q=", BUILT_IN, "application/json", id="empty weight"),
            pytest.param("text/html;q=-1, text/plain", BUILT_IN, "text/plain", id="negative"),
            pytest.param("text/html;q=7, text/plain", BUILT_IN, "text/html", id="above one"),
            pytest.param("html, text/plain", BUILT_IN, "text/plain", id="unreadable type"),
            pytest.param("*/html, text/plain", BUILT_IN, "text/plain", id="any type, one subtype"),
            pytest.param("*;q=.2, text/plain;q=.1", BUILT_IN, "text/plain", id="a lone star"),
            pytest.param("text/html;q=0.5, text/html", BUILT_IN, "text/html", id="twice"),
            pytest.param(
                "text/html;q=0.1, text/plain;q=0.5, text/html",
                BUILT_IN,
                "text/html",
                id="twice: the higher weight",
            ),
            pytest.param('a/b;c="x, text/plain', BUILT_IN, "application/json", id="open quote"),
            pytest.param("text/html", ["nonsense", "text/html"], "text/html", id="odd offer"),
            pytest.param("text/html;q=0.1", ["nonsense"], None, id="only an odd offer"),
        ],
    )
    def test_choice(self, accept: str | None, offered: Sequence[str], best: str | None) -> None:
        assert best_media_type(accept, offered) == best

    @pytest.mark.parametrize("better", range(4))
    @pytest.mark.parametrize("step", [1, -1])
    def test_12_5_1_example_of_precedence(self, better: int, step: int) -> None:
        accept = (
            "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, "
            "text/plain;format=fixed;q=0.4, */*;q=0.5"
        )
        by_weight = [
            "text/plain;format=flowed",
            "text/plain",
            "image/jpeg",
            "text/plain;format=fixed",
            "text/html",
        ]

        pair = by_weight[better : better + 2][::step]

        assert best_media_type(accept, pair) == by_weight[better]

    @pytest.mark.parametrize("members", [*permutations(["a/b;q=0", "a/*;q=0.5", "*/*;q=0.1"])])
    def test_12_5_1_the_order_of_members_does_not_matter(self, members: tuple[str, ...]) -> None:
        accept = ",".join(members)

        assert best_media_type(accept, ["a/b"]) is None
        assert best_media_type(accept, ["c/d", "a/c", "a/b"]) == "a/c"


class TestBestLanguage:
    @pytest.mark.parametrize(
        ("accept_language", "offered", "best"),
        [
            pytest.param(None, ["de", "en"], "de", id="12.5.4 no field"),
            pytest.param("", ["de", "en"], "de", id="empty field"),
            pytest.param(";;", ["de", "en"], "de", id="nothing readable"),
            pytest.param("en", ["de", "en"], "en", id="12.5.4 one language"),
            pytest.param("EN-gb", ["de", "en-GB"], "en-GB", id="4647-2 tags have no case"),
            pytest.param("fr", ["de", "en"], None, id="12.5.4 nothing acceptable"),
            pytest.param(
                "da, en-gb;q=0.8, en;q=0.7", ["en", "en-GB"], "en-GB", id="12.5.4 example"
            ),
            pytest.param("da, en-gb;q=0.8, en;q=0.7", ["en-US", "de"], "en-US", id="12.5.4 or any"),
            pytest.param("en", ["de", "en-GB"], "en-GB", id="4647-3.3.1 a range begins a tag"),
            pytest.param("en", ["eng", "en-x"], "en-x", id="4647-3.3.1 at a hyphen"),
            pytest.param("de-de", ["de-Latn-DE"], None, id="4647-3.3.1 not across subtags"),
            pytest.param("de-de", ["de-DE-1996"], "de-DE-1996", id="4647-3.3.1 example"),
            pytest.param("de;q=0.5, en", ["de", "en"], "en", id="12.4.2 weights"),
            pytest.param("de;q=0", ["de"], None, id="12.4.2 excluded"),
            pytest.param("en-GB;q=0, en", ["en-GB", "en-US"], "en-US", id="longest range counts"),
            pytest.param("en, en-GB;q=0", ["en-GB", "en-US"], "en-US", id="in either order"),
            pytest.param("*", ["de", "en"], "de", id="4647-3.3.1 any"),
            pytest.param("fr, *;q=0.1", ["de", "en"], "de", id="any other"),
            pytest.param("en, *", ["de", "en"], "en", id="named before any"),
            pytest.param("*, en", ["de", "en"], "en", id="named before any, listed later"),
            pytest.param("en;q=0.5, *", ["en", "de"], "de", id="any other at a higher weight"),
            pytest.param("en, *;q=0", ["de", "en-US"], "en-US", id="12.4.2 no other"),
            pytest.param("en, *;q=0", ["de"], None, id="12.4.2 no other at all"),
            pytest.param("en, de", ["de", "en"], "en", id="12.5.4 listed earlier"),
            pytest.param("en, de", ["de"], "de", id="the later one if need be"),
            pytest.param("de-AT", ["en", "de"], "de", id="4647-3.4 lookup"),
            pytest.param("zh-Hant-CN-x-wadegile", ["en", "zh-Hant"], "zh-Hant", id="4647-3.4 long"),
            pytest.param("de-AT", ["de-DE"], None, id="4647-3.4 no sibling"),
            pytest.param("de-AT, fr;q=0.5", ["fr", "de"], "de", id="lookup keeps the weight"),
            pytest.param("de-AT;q=0.4, fr;q=0.5", ["de", "fr"], "fr", id="lookup, lower weight"),
            pytest.param("de-AT;q=0.1, de-CH;q=0.9, fr;q=0.5", ["fr", "de"], "de", id="best range"),
            pytest.param("fr, de-AT", ["de", "fr"], "fr", id="lookup, listed later"),
            pytest.param("en-GB", ["en", "en-GB"], "en-GB", id="exact before lookup"),
            pytest.param("de-AT, de;q=0", ["de"], None, id="12.4.2 excluded before lookup"),
            pytest.param("de-AT;q=0, de", ["de"], "de", id="a narrower exclusion"),
            pytest.param("de-AT;q=0, *", ["de"], "de", id="narrower exclusion, any other"),
            pytest.param("de-AT;q=0", ["de"], None, id="narrower exclusion asks for nothing"),
            pytest.param("de-AT, *;q=0", ["de"], "de", id="lookup before any"),
            pytest.param("en;q=x, de", ["en", "de"], "de", id="unreadable weight"),
            pytest.param("en;q=0.1, de;q=0.5, en", ["de", "en"], "en", id="twice: higher weight"),
        ],
    )
    def test_choice(
        self, accept_language: str | None, offered: Sequence[str], best: str | None
    ) -> None:
        assert best_language(accept_language, offered) == best


class TestBestEncoding:
    @pytest.mark.parametrize(
        ("accept_encoding", "offered", "best"),
        [
            pytest.param(None, ["gzip", "identity"], "identity", id="12.5.3 no field: plain"),
            pytest.param(None, ["gzip", "Identity"], "Identity", id="no field, capitals"),
            pytest.param(None, ["gzip", "br"], "gzip", id="12.5.3 no field: any"),
            pytest.param("", ["gzip", "identity"], "identity", id="12.5.3 empty field"),
            pytest.param("", ["gzip"], None, id="12.5.3 empty field, no plain form"),
            pytest.param(";;", ["gzip", "identity"], "identity", id="nothing readable"),
            pytest.param("gzip", ["identity", "gzip"], "gzip", id="12.5.3 one coding"),
            pytest.param("GZip", ["identity", "gzip"], "gzip", id="8.4.1 codings have no case"),
            pytest.param("gzip", ["identity", "GZIP"], "GZIP", id="8.4.1 offered in capitals"),
            pytest.param("gzip;q=0.001", ["identity", "gzip"], "gzip", id="any listed first"),
            pytest.param("br", ["gzip", "identity"], "identity", id="12.5.3 plain by default"),
            pytest.param("br", ["gzip"], None, id="12.5.3 nothing acceptable"),
            pytest.param("gzip;q=0.5, br", ["gzip", "br"], "br", id="12.4.2 weights"),
            pytest.param("gzip, br", ["br", "gzip"], "br", id="tie: offered order"),
            pytest.param("compress;q=0.5, gzip;q=1.0", ["compress", "gzip"], "gzip", id="example"),
            pytest.param(
                "gzip;q=1.0, identity; q=0.5, *;q=0", ["identity"], "identity", id="example 2"
            ),
            pytest.param("gzip;q=1.0, identity; q=0.5, *;q=0", ["br"], None, id="example 2, other"),
            pytest.param("*", ["gzip", "identity"], "gzip", id="12.5.3 any"),
            pytest.param("*;q=0.1, gzip", ["br", "gzip"], "gzip", id="12.5.3 any other"),
            pytest.param("*;q=0.9, gzip;q=0.1", ["gzip", "br"], "br", id="any other preferred"),
            pytest.param("identity;q=0", ["identity"], None, id="12.5.3 plain excluded"),
            pytest.param("identity;q=0, gzip", ["identity", "gzip"], "gzip", id="excluded, coded"),
            pytest.param("*;q=0", ["identity"], None, id="12.5.3 plain excluded by *"),
            pytest.param("*;q=0", ["gzip", "identity"], None, id="12.5.3 everything excluded"),
            pytest.param("*;q=0, identity;q=0.1", ["gzip", "identity"], "identity", id="but plain"),
            pytest.param("gzip;q=0", ["gzip"], None, id="12.4.2 excluded"),
            pytest.param("gzip;q=0", ["gzip", "identity"], "identity", id="12.4.2 excluded, plain"),
            pytest.param(
                "gzip;q=0.5, identity", ["gzip", "identity"], "identity", id="plain asked"
            ),
            pytest.param("x-gzip", ["gzip"], "gzip", id="8.4.1.3 old name asked"),
            pytest.param("gzip", ["x-gzip"], "x-gzip", id="8.4.1.3 old name offered"),
            pytest.param("x-compress;q=0, *", ["compress"], None, id="8.4.1.1 old name excluded"),
            pytest.param("gzip;q=x, br", ["gzip", "br"], "br", id="unreadable weight"),
        ],
    )
    def test_choice(
        self, accept_encoding: str | None, offered: Sequence[str], best: str | None
    ) -> None:
        assert best_encoding(accept_encoding, offered) == best


class TestBestCharset:
    @pytest.mark.parametrize(
        ("accept_charset", "offered", "best"),
        [
            pytest.param(None, ["utf-8", "latin1"], "utf-8", id="12.5.2 no field"),
            pytest.param("", ["utf-8", "latin1"], "utf-8", id="empty field"),
            pytest.param(";;", ["utf-8", "latin1"], "utf-8", id="nothing readable"),
            pytest.param("latin1", ["utf-8", "latin1"], "latin1", id="12.5.2 one charset"),
            pytest.param("UTF-8", ["utf-8"], "utf-8", id="8.3.2 charsets have no case"),
            pytest.param("utf-8", ["UTF-8"], "UTF-8", id="8.3.2 offered in capitals"),
            pytest.param(
                "iso-8859-5, unicode-1-1;q=0.8",
                ["unicode-1-1", "iso-8859-5"],
                "iso-8859-5",
                id="example",
            ),
            pytest.param("koi8-r", ["utf-8"], None, id="12.5.2 nothing acceptable"),
            pytest.param("koi8-r, *;q=0.1", ["utf-8"], "utf-8", id="12.5.2 any other"),
            pytest.param("utf-8;q=0, *", ["utf-8", "latin1"], "latin1", id="12.4.2 excluded"),
            pytest.param("latin1, utf-8", ["utf-8", "latin1"], "utf-8", id="tie: offered order"),
        ],
    )
    def test_choice(
        self, accept_charset: str | None, offered: Sequence[str], best: str | None
    ) -> None:
        assert best_charset(accept_charset, offered) == best
