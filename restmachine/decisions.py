"""How a request is answered: the Webmachine v3 decision diagram, as data.

One row for each decision: its id on the chart, the question, and where yes and no lead: to
another row, to a status, or to an effect. The order of HTTP is stated here and nowhere
else. Where RFC 9110 differs from the chart the RFC wins, and the row says so.

A status that the handler states itself wins over the one in which the diagram ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from restmachine.dependencies import BUILT_IN_PARSERS, NOTHING, Preparation
from restmachine.errors import BadRequest
from restmachine.exchange import Exchange
from restmachine.negotiation import best_charset, best_encoding, best_language, best_media_type
from restmachine.policies import is_preflight
from restmachine.preconditions import (
    etag_in_if_match,
    etag_in_if_none_match,
    if_match_is_any,
    if_none_match_is_any,
    modified_since,
    modified_since_is_date,
    modified_since_is_future,
    modified_since_unmodified,
    unmodified_since_applies,
)
from restmachine.questions import Question, ask, callback, header, method
from restmachine.representations import essence, is_json
from restmachine.request import KNOWN_METHODS

if TYPE_CHECKING:
    from restmachine.plan import Plan

Target = str | int
"""Where an edge leads: the id of a row, or a status, which ends the diagram."""

START = "A1"


class Decision(NamedTuple):
    """A row that asks."""

    question: Question
    yes: Target
    no: Target


class Effect(NamedTuple):
    """A row that calls the handler and goes on with what it answered."""

    text: str
    then: Target


def content_type_is_known(exchange: Exchange) -> bool:
    """Answer B5: whether something here reads the content's media type."""
    field = exchange.field(b"content-type")
    if field is None:
        return not exchange.has_content
    kind = essence(field)
    return is_json(kind) or kind in BUILT_IN_PARSERS or kind in exchange.plan.parsers


def content_is_too_large(exchange: Exchange) -> bool:
    """Answer B4: whether the content is longer than the route takes.

    Raises:
        BadRequest: The stated length is no number (RFC 9112 section 6.3).
    """
    length = exchange.field(b"content-length")
    if length is None:
        return False
    if not length.isdecimal():
        raise BadRequest("Content-Length is not a number.")
    return int(length[:20]) > exchange.plan.max_content


LONGEST_CACHED = 500
"""A cache must not hold longer texts for whoever sends them; in bytes."""


@lru_cache(maxsize=1024)
def preferred_media_type(accept: bytes, offered: tuple[str, ...]) -> str | None:
    """Return the media type that Accept prefers, chosen once: clients repeat their fields.

    Hot path: the field is neither decoded nor parsed again
    (bench_plan.py::bench_bare_get_with_accept).
    """
    return best_media_type(accept.decode("latin-1"), offered)


def acceptable_media_type(exchange: Exchange) -> bool:
    """Answer C4, and keep the media type that Accept prefers (section 12.5.1)."""
    accept, offered = exchange.fields[b"accept"], exchange.plan.media_types
    if len(accept) <= LONGEST_CACHED:
        exchange.media_type = preferred_media_type(accept, offered)
    else:
        exchange.media_type = best_media_type(exchange.list_field(b"accept"), offered)
    return exchange.media_type is not None


def acceptable_language(exchange: Exchange) -> bool:
    """Answer D5, and keep the language that Accept-Language prefers (section 12.5.4)."""
    offered = exchange.plan.options.languages
    exchange.language = best_language(exchange.list_field(b"accept-language"), offered)
    return exchange.language is not None


def acceptable_charset(exchange: Exchange) -> bool:
    """Answer E6, and keep the charset that Accept-Charset prefers (section 12.5.2)."""
    offered = exchange.plan.options.charsets
    exchange.charset = best_charset(exchange.list_field(b"accept-charset"), offered)
    return exchange.charset is not None


def acceptable_encoding(exchange: Exchange) -> bool:
    """Answer F7, and keep the coding that Accept-Encoding prefers (section 12.5.3)."""
    offered = exchange.plan.options.encodings
    exchange.encoding = best_encoding(exchange.list_field(b"accept-encoding"), offered)
    return exchange.encoding is not None


def resource_was_created(exchange: Exchange) -> bool:
    """Answer P11: whether a PUT filled an absent resource, or a Location was given."""
    if exchange.method == "PUT" and exchange.plan.options.creates:
        return any(not check.answer(exchange) for check in exchange.plan.checks["resource_exists"])
    stated = (exchange.own_headers, exchange.response_fields)
    return any(fields is not None and "Location" in fields for fields in stated)


def response_has_content(exchange: Exchange) -> bool:
    """Answer O20: whether the handler gave something to send."""
    return exchange.result is not None


def _etag(plan: Plan) -> Preparation:
    return plan.preparation_of("generate_etag")


def _date(plan: Plan) -> Preparation:
    return plan.preparation_of("last_modified")


def _stated_by_304(plan: Plan) -> Preparation:
    """Return what makes both validators where a 304 may follow: it states both."""
    if plan.method in ("GET", "HEAD"):
        return _etag(plan).joined(_date(plan))
    return NOTHING


def _etag_and_304(plan: Plan) -> Preparation:
    return _etag(plan).joined(_stated_by_304(plan))


def _without_etag(plan: Plan) -> bool | None:
    return None if "generate_etag" in plan.checks else False


def _without_late_etag(plan: Plan) -> bool | None:
    return None if plan.method in ("GET", "HEAD") else _without_etag(plan)


def _without_date(plan: Plan) -> bool | None:
    return None if "last_modified" in plan.checks else False


def _has_date(plan: Plan) -> bool:
    return "last_modified" in plan.checks


def _is_safe_and_dated(plan: Plan) -> bool:
    return plan.method in ("GET", "HEAD") and _has_date(plan)


def _without_preflights(plan: Plan) -> bool | None:
    return None if plan.policy is not None and plan.policy.answers_preflights else False


def _never_creates(plan: Plan) -> bool | None:
    if plan.method == "PUT":
        return None if plan.options.creates and "resource_exists" in plan.checks else False
    return None if plan.method == "POST" else False


# fmt: off
DIAGRAM: Mapping[str, Decision | Effect] = {
    # A: a row of ours. The chart begins with a resource; here the path must find one.
    "A1":  Decision(ask(lambda x: x.plan.matched, text="Does a route match the path?",
                        settle=lambda plan: plan.matched),           yes="A2",  no=404),
    # A browser sends no credentials with it and takes only a success (Fetch, "CORS-preflight").
    "A2":  Decision(ask(is_preflight, text="A CORS preflight?", settle=_without_preflights),
                                                                     yes=204,   no="B13"),

    # B: may this request be served at all?
    "B13": Decision(callback("service_available", default=True),     yes="B12", no=503),
    "B12": Decision(callback("known_method",
                        default=lambda plan: plan.method in KNOWN_METHODS), yes="B11", no=501),
    # A URI beyond the application's own limit does not come this far: see `Plan.refusing`.
    "B11": Decision(callback("uri_too_long", default=False),         yes=414,   no="B10"),
    "B10": Decision(callback("method_allowed",
                        default=lambda plan: plan.method in plan.allowed),  yes="B9", no=405),
    "B9":  Decision(callback("malformed_request", default=False),    yes=400,   no="B8"),
    "B8":  Decision(callback("authorized", default=True),            yes="B7",  no=401),
    "B7":  Decision(callback("forbidden", default=False),            yes=403,   no="B6"),
    # The chart answers 501; a Content-* field that makes no sense is the client's error
    # (RFC 9110 sections 9.3.4 and 15.5.1).
    "B6":  Decision(callback("content_headers_valid", default=True), yes="B5",  no=400),
    "B5":  Decision(ask(content_type_is_known,
                        settle=lambda plan: None if plan.parses_content else True),
                                                                     yes="B4",  no=415),
    "B4":  Decision(ask(content_is_too_large,
                        settle=lambda plan: None
                        if plan.reads_content or plan.streams_content else False),
                                                                     yes=413,   no="B3"),
    # The chart answers 200; nothing is sent, which RFC 9110 section 9.3.7 calls 204.
    "B3":  Decision(ask(lambda x: x.method == "OPTIONS" and x.plan.handler is None,
                        text="OPTIONS, without a handler of its own?",
                        settle=lambda plan: plan.method == "OPTIONS" and plan.handler is None),
                                                                     yes=204,   no="C3"),

    # C to F: is there a representation that the client accepts?
    "C3":  Decision(header("Accept", when=lambda plan: plan.negotiates), yes="C4", no="D4"),
    "C4":  Decision(ask(acceptable_media_type),                      yes="D4",  no=406),
    "D4":  Decision(header("Accept-Language", when=lambda plan: bool(plan.options.languages)),
                                                                     yes="D5",  no="E5"),
    "D5":  Decision(ask(acceptable_language),                        yes="E5",  no=406),
    "E5":  Decision(header("Accept-Charset", when=lambda plan: bool(plan.options.charsets)),
                                                                     yes="E6",  no="F6"),
    "E6":  Decision(ask(acceptable_charset),                         yes="F6",  no=406),
    "F6":  Decision(header("Accept-Encoding", when=lambda plan: bool(plan.options.encodings)),
                                                                     yes="F7",  no="G7"),
    "F7":  Decision(ask(acceptable_encoding),                        yes="G7",  no=406),

    # G, H: does the resource exist, in the version that the client means?
    "G7":  Decision(callback("resource_exists", default=True),       yes="G8",  no="I7"),
    "G8":  Decision(header("If-Match"),                              yes="G9",  no="H10"),
    # The chart goes on to H10; RFC 9110 section 13.2.2 skips If-Unmodified-Since here.
    "G9":  Decision(ask(if_match_is_any, text="Is If-Match *?"),     yes="I12", no="G11"),
    # A GET goes on, here and in I13, where no tag is known before its handler has answered:
    # what it gives may be a file with a tag of its own, or nothing.
    "G11": Decision(ask(etag_in_if_match, text="Is the current tag in If-Match?",
                        settle=_without_late_etag, before=_etag),
                                                                     yes="I12", no=412),
    "H10": Decision(header("If-Unmodified-Since", when=_has_date),   yes="H11", no="I12"),
    "H11": Decision(ask(unmodified_since_applies, text="Can If-Unmodified-Since be compared?",
                        settle=_without_date, before=_date),
                                                                     yes="H12", no="I12"),
    "H12": Decision(ask(modified_since_unmodified, text="Modified since If-Unmodified-Since?",
                        settle=_without_date, before=_date),
                                                                     yes=412,   no="I12"),

    # I to L: has the client got it already?
    "I12": Decision(header("If-None-Match"),                         yes="I13", no="L13"),
    "I13": Decision(ask(if_none_match_is_any, text="Does If-None-Match * exclude it?",
                        before=_stated_by_304),
                                                                     yes="J18", no="K13"),
    # The chart goes on to L13; RFC 9110 section 13.1.3 ignores the date beside a tag.
    "K13": Decision(ask(etag_in_if_none_match, text="Is the current tag in If-None-Match?",
                        settle=_without_etag, before=_etag_and_304),
                                                                     yes="J18", no="M16"),
    "J18": Decision(method("GET", "HEAD"),                           yes=304,   no=412),
    "L13": Decision(header("If-Modified-Since", when=_is_safe_and_dated), yes="L14", no="M16"),
    "L14": Decision(ask(modified_since_is_date, text="Is If-Modified-Since a date?"),
                                                                     yes="L15", no="M16"),
    "L15": Decision(ask(modified_since_is_future, text="Does If-Modified-Since lie ahead?"),
                                                                     yes="M16", no="L17"),
    "L17": Decision(ask(modified_since, text="Modified since If-Modified-Since?",
                        before=_stated_by_304),                      yes="M16", no=304),

    # I7 to N5: it does not exist. Did it, does it live elsewhere, may it be made?
    # The chart lets every PUT create; here a route says so (creates=True).
    "I7":  Decision(ask(lambda x: x.method == "PUT" and x.plan.options.creates,
                        text="PUT, to a route that creates?",
                        settle=lambda plan: plan.method == "PUT" and plan.options.creates),
                                                                     yes="I4",  no="K7"),
    "I4":  Decision(callback("moved_permanently", default=False),    yes=301,   no="H7"),
    "K7":  Decision(callback("previously_existed", default=False),   yes="K5",  no="L7"),
    "K5":  Decision(callback("moved_permanently", default=False),    yes=301,   no="L5"),
    "L5":  Decision(callback("moved_temporarily", default=False),    yes=307,   no="M5"),
    "M5":  Decision(method("POST"),                                  yes="N5",  no=410),
    "N5":  Decision(callback("allow_missing_post", default=True),    yes="H7",  no=410),
    "L7":  Decision(method("POST"),                                  yes="M7",  no=404),
    "M7":  Decision(callback("allow_missing_post", default=True),    yes="H7",  no=404),
    # The chart asks H7 first, and only about "*"; RFC 9110 section 13.2.1 lets a condition
    # fail only what would succeed without it, and then no If-Match is true of nothing.
    "H7":  Decision(header("If-Match"),                              yes=412,   no="P3"),
    "P3":  Decision(callback("conflict", default=False, methods=("PUT",)),
                                                                     yes=409,   no="accept"),

    # M to P: do what the method asks, and say what came of it.
    "M16": Decision(method("DELETE"),                                yes="M20", no="N16"),
    "M20": Effect("Delete it",                                       then="M20b"),
    "M20b": Decision(callback("delete_completed", default=True),     yes="O20", no=202),
    "N16": Decision(method("POST"),                                  yes="N11", no="O16"),
    # The chart asks here whether to send the client elsewhere (303): a handler states it.
    "N11": Effect("Process the content",                             then="P11"),
    "O16": Decision(method("PUT", "PATCH"),                          yes="O14", no="produce"),
    "O14": Decision(callback("conflict", default=False, methods=("PUT", "PATCH")),
                                                                     yes=409,   no="accept"),
    "accept":  Effect("Accept the content",                          then="P11"),
    "produce": Effect("Produce a representation",                    then="O20"),
    "P11": Decision(ask(resource_was_created, settle=_never_creates), yes=201,  no="O20"),
    "O20": Decision(ask(response_has_content),                       yes="O18", no=204),
    "O18": Decision(callback("multiple_choices", default=False),     yes=300,   no=200),
}
# fmt: on
