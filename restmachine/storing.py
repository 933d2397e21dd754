"""Which responses a shared cache may store, and for how long (RFC 9111 sections 3 and 4).

Pure functions of a response; `restmachine.response_cache` keeps what they return.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from restmachine.cors import ALLOWED_ORIGIN
from restmachine.exchange import Exchange
from restmachine.headers import MultiValueHeaders, Pair, merged

Key = tuple[Hashable, tuple[bytes, ...], tuple[bytes | None, ...], Hashable]
"""The URI, the fields that Vary names, what the request says in these, and the validators."""

_OF_CONTENT = frozenset({b"content-type", b"content-length", b"content-encoding"})
_FORBIDDING = frozenset({"no-cache", "no-store", "private"})


class StoredResponse(NamedTuple):
    """A response as it is sent again.

    Attributes:
        head: Its fields but Age, those aside that were stated before the handler.
        parts: What these are put together from.
        content: Its content; None tells that answers for this key are not for others.
        born: The reading of the clock at which its age was 0.
        fresh_until: The reading at which it is no longer sent.
        size: What it takes, in bytes.
    """

    head: Sequence[Pair]
    parts: Parts
    content: bytes | None
    born: float
    fresh_until: float
    size: int


class Parts(NamedTuple):
    """The fields of a response by who states them; what comes later replaces what came before.

    Attributes:
        plain: Those of the route.
        late: Those of what the handler asks for.
        own: The handler's.
        content: Those that tell of the content as it was sent, whoever stated them.
    """

    plain: Sequence[Pair]
    late: Sequence[Pair]
    own: Sequence[Pair]
    content: Sequence[Pair]

    def joined(self, former: Sequence[Pair] = ()) -> list[Pair]:
        """Return the head, with the fields that were stated before the handler."""
        head = merged([*self.plain], MultiValueHeaders.received([*former, *self.late]))
        head = merged(head, MultiValueHeaders.received([*self.own]))
        return [*(pair for pair in head if pair[0] not in _OF_CONTENT), *self.content]


def stored_form(
    exchange: Exchange,
    plain: Sequence[Pair],
    former: Sequence[Pair],
    key: Key,
    vary: Iterable[bytes],
    now: float,
    max_age: int,
) -> tuple[Key, StoredResponse] | None:
    """Return an answer as it may be stored, and under which key; None if it may not.

    Args:
        plain: The fields of the route alone.
        former: The fields that were stated before the handler, which are not stored.
        key: The one by which it was looked for, before its Vary was known.
        vary: The fields by which answers of the route vary, whatever this one says.
        now: The reading of the clock.
        max_age: For how many seconds it is fresh if it does not say so itself.
    """
    content, is_part = exchange.content, exchange.own_part is not None
    if exchange.status != 200 or content.__class__ is not bytes or is_part:
        return None
    if exchange.csp is not None and exchange.csp.nonce is not None:
        return None  # the content may have the nonce, which is for one request
    named = listed(exchange.head, b"vary")
    if listed(exchange.head, ALLOWED_ORIGIN) - {"*"}:
        named.add("origin")  # an answer that names an origin is for that one
    directives = _directives(exchange.head)
    if "*" in named or directives.keys() & _FORBIDDING:
        return None
    parts = Parts(
        _without_age(plain),
        _without_age((Counter(_encoded(exchange.response_fields)) - Counter(former)).elements()),
        _without_age(_encoded(exchange.own_headers)),
        [pair for pair in exchange.head if pair[0] in _OF_CONTENT],
    )
    head = parts.joined()
    if any(name == b"set-cookie" for name, _ in head):
        return None
    born = now - _seconds(dict(exchange.head).get(b"age", b"0").decode("latin-1"))
    stated = directives.get("s-maxage", directives.get("max-age"))
    fresh_until = born + (max_age if stated is None else _seconds(stated))
    if fresh_until <= now:
        return None
    names = tuple(sorted({name.encode("latin-1") for name in named}.union(vary)))
    sent = tuple([exchange.fields.get(name) for name in names])
    key = (key[0], names, sent, key[3])
    size = len(content) + 2 * size_of(head) + size_of(key)
    return key, StoredResponse(head, parts, content, born, fresh_until, size)


def _encoded(fields: MultiValueHeaders | None) -> list[Pair]:
    return [] if fields is None else fields.encoded()


def _without_age(pairs: Iterable[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair[0] != b"age"]


def size_of(parts: object) -> int:
    """Return how many bytes the texts have together that tuples and lists hold."""
    if isinstance(parts, bytes | str):
        return len(parts)
    return sum(map(size_of, parts)) if isinstance(parts, tuple | list) else 0


def tokens(head: Iterable[Pair], field: bytes) -> list[str]:
    """Return the members of a list of tokens in their order, in lower case."""
    joined = b",".join(value for name, value in head if name == field).decode("latin-1")
    return [token for member in joined.split(",") if (token := member.strip().lower())]


def listed(head: Iterable[Pair], field: bytes) -> set[str]:
    """Return the members of a list of tokens, in lower case."""
    return set(tokens(head, field))


def _directives(head: Iterable[Pair]) -> dict[str, str]:
    """Return the directives of Cache-Control, with their arguments (RFC 9111 section 5.2).

    Of those that contradict each other the first one counts (section 4.2.1).
    """
    found: dict[str, str] = {}
    for directive in tokens(head, b"cache-control"):
        name, _, argument = directive.partition("=")
        found.setdefault(name.strip(), argument.strip(' \t"'))
    return found


def _seconds(text: str) -> int:
    """Return a number of seconds, 0 for what is none: that is stale (section 4.2.1)."""
    return int(text[:10]) if text.isascii() and text.isdigit() else 0
