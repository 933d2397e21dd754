"""Proactive negotiation: which of the offered forms the client prefers.

Pure functions over a request's field and what a route offers (RFC 9110 section 12).
Each returns one of the offered texts exactly as it was offered, or None when the client
accepts none of them. A field that is missing, or in which nothing can be read, asks for
nothing; a single member that cannot be read is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from restmachine.headers import MediaType, parse_quality_list, parse_weight

# A client chooses what it sends, so neither the number nor the length of keys may grow.
_LONGEST_CACHED: Final = 256


def best_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return the offered media type that Accept prefers (RFC 9110 section 12.5.1).

    The most specific range that matches a type settles its weight. Of equal weights the
    type that was asked for more specifically wins, so `application/json, */*` prefers
    JSON, and then the one offered first.
    """
    if not accept or accept == "*/*":
        return offered[0] if offered else None
    return _choice(_choose_media_type, accept, offered)


def best_language(accept_language: str | None, offered: Sequence[str]) -> str | None:
    """Return the offered language that Accept-Language prefers (RFC 9110 section 12.5.4).

    A range matches what it begins, as basic filtering has it (RFC 4647 section 3.3.1); a
    language which no range but `*` begins may also be what is left of a longer range, as
    lookup has it (3.4): who asks for `de-AT` is served `de`. Of equal weights the language
    listed earlier wins, then the one offered first; `*` comes after any that is named.
    """
    if not accept_language:
        return offered[0] if offered else None
    return _choice(_choose_language, accept_language, offered)


def best_encoding(accept_encoding: str | None, offered: Sequence[str]) -> str | None:
    """Return the offered content coding that Accept-Encoding prefers (section 12.5.3).

    Offer "identity" for content that may also be sent without a coding: it is acceptable
    unless `identity;q=0` or `*;q=0` excludes it, preferred only when nothing listed is
    offered. A request without the field accepts any coding, yet gets none if it may; an
    empty field asks for none.
    """
    if accept_encoding is None:
        return _named("identity", offered) or (offered[0] if offered else None)
    return _choice(_choose_encoding, accept_encoding, offered)


def best_charset(accept_charset: str | None, offered: Sequence[str]) -> str | None:
    """Return the offered charset that Accept-Charset prefers (RFC 9110 section 12.5.2).

    The field is deprecated; a server may as well send UTF-8 and not ask. Of equal weights
    the charset offered first wins.
    """
    if not accept_charset:
        return offered[0] if offered else None
    return _choice(_choose_charset, accept_charset, offered)


_Choose = Callable[[str, tuple[str, ...]], str | None]


def _choice(choose: _Choose, field: str, offered: Sequence[str]) -> str | None:
    """Return what *choose* prefers, remembered if the field is of ordinary length."""
    if len(field) > _LONGEST_CACHED:
        return choose(field, tuple(offered))
    return _cached_choice(choose, field, tuple(offered))


@lru_cache(maxsize=1024)
def _cached_choice(choose: _Choose, field: str, offered: tuple[str, ...]) -> str | None:
    return choose(field, offered)


_Rank = tuple[float, ...]


def _preferred(offered: tuple[str, ...], rank: Callable[[str], _Rank]) -> str | None:
    """Return the first offer of the highest rank; a rank begins with the weight, 0 is out."""
    best = max(offered, key=rank, default=None)
    return best if best is not None and rank(best)[0] > 0 else None


class _MediaRange(NamedTuple):
    """A member of Accept. Its specificity grows from `*/*` by subtype and parameters."""

    specificity: tuple[int, int]
    weight: float
    pattern: MediaType

    def matches(self, offer: MediaType) -> bool:
        pattern = self.pattern
        return (
            pattern.type in ("*", offer.type)
            and pattern.subtype in ("*", offer.subtype)
            and all(_has_parameter(offer, name, value) for name, value in pattern.parameters)
        )


def _has_parameter(offer: MediaType, name: str, value: str) -> bool:
    own = offer.parameter(name)
    if name == "charset":
        # Text is UTF-8 unless it says otherwise, and names of charsets have no case.
        return (own or "utf-8").lower() == value.lower()
    return own == value


def _choose_media_type(accept: str, offered: tuple[str, ...]) -> str | None:
    ranges = list(_media_ranges(accept))
    if not ranges:
        return offered[0] if offered else None

    def rank(offer: str) -> _Rank:
        media_type = MediaType.parse(offer)
        if media_type is None:
            return (0.0,)
        matching = (member for member in ranges if member.matches(media_type))
        specificity, weight, _ = max(matching, default=_NO_RANGE)
        return (weight, *specificity)

    return _preferred(offered, rank)


_NO_RANGE: Final = _MediaRange((0, 0), 0.0, MediaType("*", "*"))
# Commas separate members, except in a quoted string; an open one takes all that follows.
_find_members = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+').findall


def _media_ranges(accept: str) -> Iterator[_MediaRange]:
    """Read Accept; a parameter named q is the weight wherever it stands."""
    for member in _find_members(accept):
        pattern = MediaType.parse(member)
        if pattern is None or (pattern.type == "*" and pattern.subtype != "*"):
            continue
        weight = parse_weight(pattern.parameter("q") or "1")
        if weight is None:
            continue
        parameters = tuple(pair for pair in pattern.parameters if pair[0] != "q")
        named = (pattern.type != "*") + (pattern.subtype != "*")
        yield _MediaRange((named, len(parameters)), weight, pattern._replace(parameters=parameters))


def _choose_language(accept_language: str, offered: tuple[str, ...]) -> str | None:
    ranges = parse_quality_list(accept_language)
    if not ranges:
        return offered[0] if offered else None
    return _preferred(offered, lambda language: _language_rank(language.lower(), ranges))


def _language_rank(language: str, ranges: list[tuple[str, float]]) -> _Rank:
    """Return the weight, then how early, then how closely *language* was asked for."""
    begun = [
        (len(name), weight, -place)
        for place, (name, weight) in enumerate(ranges)
        if f"{language}-".startswith(f"{name}-")
    ]
    if begun:
        _, weight, place = max(begun)
        return weight, place, 2
    # A range that excludes `de-AT` says nothing about `de`.
    narrower = [
        (weight, -place)
        for place, (name, weight) in enumerate(ranges)
        if weight > 0 and name.startswith(f"{language}-")
    ]
    if narrower:
        return *max(narrower), 1
    return _weights(ranges).get("*", 0.0), -len(ranges), 0


def _choose_encoding(accept_encoding: str, offered: tuple[str, ...]) -> str | None:
    weights = _weights(
        (_CODING_ALIASES.get(name, name), weight)
        for name, weight in parse_quality_list(accept_encoding)
    )

    def rank(coding: str) -> _Rank:
        name = coding.lower()
        name = _CODING_ALIASES.get(name, name)
        unlisted = _UNLISTED_IDENTITY if name == "identity" else 0.0
        return (weights.get(name, weights.get("*", unlisted)),)

    return _preferred(offered, rank)


# RFC 9110 section 8.4.1 holds these to be the same.
_CODING_ALIASES: Final = {"x-gzip": "gzip", "x-compress": "compress"}
# Acceptable, yet less than the smallest weight that can be written.
_UNLISTED_IDENTITY: Final = 0.0001


def _choose_charset(accept_charset: str, offered: tuple[str, ...]) -> str | None:
    weights = _weights(parse_quality_list(accept_charset))
    if not weights:
        return offered[0] if offered else None
    return _preferred(
        offered, lambda charset: (weights.get(charset.lower(), weights.get("*", 0.0)),)
    )


def _weights(members: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the weight of each name, the highest of one that is listed twice."""
    weights: dict[str, float] = {}
    for name, weight in members:
        weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def _named(name: str, offered: Sequence[str]) -> str | None:
    return next((offer for offer in offered if offer.lower() == name), None)
