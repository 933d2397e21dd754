"""How data becomes content of each media type that a plan offers, with the fields beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from restmachine.exchange import Exchange
from restmachine.headers import Pair, merge_vary
from restmachine.representations import JSON, ContentRenderer, JSONRenderer

if TYPE_CHECKING:
    from restmachine.plan import Plan


class Rendition(NamedTuple):
    """One way in which a plan turns data into content, with the fields that go with it.

    Attributes:
        is_plain_json: It is `encode_json` for lists and dicts.
    """

    encode: Callable[[Any, Exchange], bytes]
    head: tuple[Pair, ...]
    success_head: tuple[Pair, ...]
    is_plain_json: bool


def build_renditions(
    plan: Plan, renderers: Mapping[str, ContentRenderer], own_types: Iterable[str]
) -> dict[str, Rendition]:
    """Return a plan's renditions by media type, the default one first.

    Args:
        own_types: What the route renders itself, the one before the general renderers.
    """
    own = {media_type: renderers.get(media_type, renderers[JSON]) for media_type in own_types}
    offered = {**own, **renderers} if plan.negotiates else {JSON: renderers[JSON]}
    vary = vary_of(plan, several_types=len(offered) > 1)
    cache = cache_control_of(plan)
    renditions = {}
    for media_type, renderer in offered.items():
        head, success = _heads(renderer.content_type, vary, cache)
        is_json = type(renderer) is JSONRenderer
        renditions[media_type] = Rendition(renderer.encode, head, success, is_json)
    return renditions


@lru_cache(maxsize=1024)
def _heads(content_type: str, vary: bytes, cache: bytes) -> tuple[tuple[Pair, ...], ...]:
    """Return the fields of an answer, and those of a successful one; most routes have the same."""
    head: tuple[Pair, ...] = ((b"content-type", content_type.encode("latin-1")),)
    if vary:
        head = (*head, (b"vary", vary))
    return head, (*head, (b"cache-control", cache)) if cache else head


def vary_of(plan: Plan, several_types: bool) -> bytes:
    """Return the fields by which a plan's answer varies (RFC 9110 section 12.5.5)."""
    names = [
        name
        for name, several in (
            ("Accept", several_types),
            ("Accept-Language", plan.options.languages),
            ("Accept-Charset", plan.options.charsets),
            ("Accept-Encoding", plan.options.encodings),
        )
        if several
    ]
    return merge_vary(None, *names).encode("latin-1")


def cache_control_of(plan: Plan) -> bytes:
    """Return the Cache-Control of a successful answer; private behind authorization."""
    stated = plan.options.cache_control
    if not stated:
        return b""
    if plan.protected and not plan.options.cache_public:
        stated += ", private"
    return stated.encode("latin-1")
