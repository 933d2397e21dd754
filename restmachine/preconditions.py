"""Conditional requests (RFC 9110 section 13): the answers that the chart's rows ask for.

Each function answers one row, whose id its docstring names, from the request's fields and
the validators of the selected representation. Where only the handler's answer will tell these
(a file, fields that it states) a GET goes on, and `status_of_preconditions` judges the answer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from restmachine.exchange import Exchange
from restmachine.headers import ANY_TAG, EntityTag, parse_entity_tags, parse_http_date

CONDITIONAL_FIELDS: Final = (
    b"if-match",
    b"if-none-match",
    b"if-modified-since",
    b"if-unmodified-since",
)


def if_match_is_any(exchange: Exchange) -> bool:
    """Answer G9: whether If-Match is ``*``, true of whatever exists (section 13.1.1)."""
    return _is_any(exchange, b"if-match")


def etag_in_if_match(exchange: Exchange) -> bool:
    """Answer G11: whether If-Match lists the current entity tag.

    The comparison is strong, so a weak tag never matches (section 13.1.1). A client may have
    read any of the representations: each one's tag stands for the same version. A GET of which
    no tag is known yet goes on, and is judged by its answer.
    """
    tags = exchange.variant_tags
    if not tags and _is_read(exchange):
        exchange.unfinished = True
        return True
    listed = parse_entity_tags(exchange.list_field(b"if-match") or "")
    return any(sent.matches_strongly(tag) for tag in tags for sent in listed)


def unmodified_since_applies(exchange: Exchange) -> bool:
    """Answer H11: whether If-Unmodified-Since is a date that can be compared.

    It is ignored when it is no date, or nothing is known of the modification
    (section 13.1.4).
    """
    return _modified(exchange) is not None and _date(exchange, b"if-unmodified-since") is not None


def modified_since_unmodified(exchange: Exchange) -> bool:
    """Answer H12: whether the representation changed after If-Unmodified-Since."""
    return _is_later(_modified(exchange), _date(exchange, b"if-unmodified-since"))


def if_none_match_is_any(exchange: Exchange) -> bool:
    """Answer I13: whether If-None-Match is ``*``, false of whatever exists (13.1.2).

    A GET of which no tag is known yet goes on, and is judged by its answer: that there is
    something to answer with may be known to the handler alone.
    """
    if not _is_any(exchange, b"if-none-match"):
        return False
    if _is_read(exchange) and exchange.resource_tag is None:
        exchange.unfinished = True
        return False
    return True


def etag_in_if_none_match(exchange: Exchange) -> bool:
    """Answer K13: whether If-None-Match lists the current entity tag, compared weakly."""
    current = exchange.etag
    if current is None:
        return False
    listed = parse_entity_tags(exchange.list_field(b"if-none-match") or "")
    return any(tag.matches_weakly(current) for tag in listed)


def modified_since_is_date(exchange: Exchange) -> bool:
    """Answer L14: whether If-Modified-Since is a date (section 13.1.3)."""
    return _date(exchange, b"if-modified-since") is not None


def modified_since_is_future(exchange: Exchange) -> bool:
    """Answer L15: whether If-Modified-Since lies ahead, and so proves nothing."""
    return _is_later(_date(exchange, b"if-modified-since"), datetime.now(UTC))


def modified_since(exchange: Exchange) -> bool:
    """Answer L17: whether the representation changed after If-Modified-Since.

    One of which no modification is known counts as changed.
    """
    modified = _modified(exchange)
    return modified is None or _is_later(modified, _date(exchange, b"if-modified-since"))


def status_of_preconditions(exchange: Exchange) -> int:
    """Return 200, 304 or 412 for a GET whose answer is ready, by the validators it states.

    Where a handler gives a file, or fields of its own, the rows from G8 on had no validators
    to ask. The order is that of section 13.2.2. Answers outside of 2xx, and to other methods,
    are not judged (section 13.2.1).
    """
    if not _is_read(exchange) or not 200 <= exchange.status < 300:
        return 200
    head = dict(exchange.head)
    etag = EntityTag.parse(head.get(b"etag", b"").decode("latin-1"))
    modified = parse_http_date(head.get(b"last-modified", b"").decode("latin-1"))
    fields = exchange.fields
    if b"if-match" in fields:
        listed = parse_entity_tags(exchange.list_field(b"if-match") or "")
        tags = [etag, *exchange.variant_tags]
        matches = any(sent.matches_strongly(tag) for tag in tags for sent in listed)
        if not matches and not if_match_is_any(exchange):
            return 412
    elif _is_later(modified, _date(exchange, b"if-unmodified-since")):
        return 412
    if b"if-none-match" in fields:
        listed = parse_entity_tags(exchange.list_field(b"if-none-match") or "")
        matches = any(tag.matches_weakly(etag) for tag in listed)
        return 304 if matches or _is_any(exchange, b"if-none-match") else 200
    since = _date(exchange, b"if-modified-since")
    if since is None or modified is None or since > datetime.now(UTC) or modified > since:
        return 200
    return 304


def _is_read(exchange: Exchange) -> bool:
    return exchange.method in ("GET", "HEAD")


def _is_any(exchange: Exchange, name: bytes) -> bool:
    return (exchange.field(name) or "").strip() == ANY_TAG


def _date(exchange: Exchange, name: bytes) -> datetime | None:
    return parse_http_date(exchange.field(name) or "")


def _modified(exchange: Exchange) -> datetime | None:
    """Return the modification date in UTC, in whole seconds as HTTP has them (8.8.2)."""
    modified = exchange.last_modified
    if modified is None:
        return None
    if modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    return modified.astimezone(UTC).replace(microsecond=0)


def _is_later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other
