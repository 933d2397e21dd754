"""Which responses a shared cache may store, and for how long (RFC 9111 sections 3 and 4).

Pure functions of a response; `restmachine.response_cache` keeps what they return.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from restmachine.exchange import Exchange

Pair = tuple[bytes, bytes]
Key = tuple[Hashable, tuple[bytes, ...], tuple[bytes | None, ...], Hashable]
"""The URI, the fields that Vary names, what the request says in these, and the validators."""

_FORBIDDING = frozenset({"no-cache", "no-store", "private"})


class StoredResponse(NamedTuple):
    """A response as it is sent again.

    Attributes:
        head: Its fields but Age.
        content: Its content; None tells that answers for this key are not for others.
        born: The reading of the clock at which its age was 0.
        fresh_until: The reading at which it is no longer sent.
        size: What it takes, in bytes.
    """

    head: Sequence[Pair]
    content: bytes | None
    born: float
    fresh_until: float
    size: int


def stored_form(
    exchange: Exchange, former: frozenset[Pair], key: Key, now: float, max_age: int
) -> tuple[Key, StoredResponse] | None:
    """Return an answer as it may be stored, and under which key; None if it may not.

    Args:
        former: The fields that were stated before the handler, which are not stored.
        key: The one by which it was looked for, before its Vary was known.
        now: The reading of the clock.
        max_age: For how many seconds it is fresh if it does not say so itself.
    """
    content, is_part = exchange.content, exchange.own_part is not None
    if exchange.status != 200 or content.__class__ is not bytes or is_part:
        return None
    vary = listed(exchange.head, b"vary")
    directives = _directives(exchange.head)
    if "*" in vary or directives.keys() & _FORBIDDING:
        return None
    head = [pair for pair in exchange.head if pair not in former]
    if any(name == b"set-cookie" for name, _ in head):
        return None
    born = now - _seconds(dict(head).get(b"age", b"0").decode("latin-1"))
    stated = directives.get("s-maxage", directives.get("max-age"))
    fresh_until = born + (max_age if stated is None else _seconds(stated))
    if fresh_until <= now:
        return None
    head = [pair for pair in head if pair[0] != b"age"]
    names = tuple(sorted(name.encode("latin-1") for name in vary))
    sent = tuple([exchange.fields.get(name) for name in names])
    size = len(content) + sum(map(size_of, head)) + size_of(sent)
    return (key[0], names, sent, key[3]), StoredResponse(head, content, born, fresh_until, size)


def size_of(parts: Iterable[bytes | None]) -> int:
    """Return how many bytes parts of a message have together."""
    return sum(len(part) for part in parts if part is not None)


def listed(head: Iterable[Pair], field: bytes) -> set[str]:
    """Return the members of a list of tokens, in lower case."""
    joined = b",".join(value for name, value in head if name == field).decode("latin-1")
    return {member.strip().lower() for member in joined.split(",")} - {""}


def _directives(head: Iterable[Pair]) -> dict[str, str]:
    """Return the directives of Cache-Control, with their arguments (RFC 9111 section 5.2)."""
    found = {}
    for directive in listed(head, b"cache-control"):
        name, _, argument = directive.partition("=")
        found[name.strip()] = argument.strip(' \t"')
    return found


def _seconds(text: str) -> int:
    """Return a number of seconds, 0 for what is none: that is stale (section 4.2.1)."""
    return int(text[:10]) if text.isascii() and text.isdigit() else 0
