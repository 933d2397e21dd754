"""What a handler may say about its own route, directly below the route decorator.

The decorators only leave a mark: the function stays the same object, with its name and
signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from restmachine.errors import ConfigurationError
from restmachine.settings import CacheSettings, check_whole_number

Handler = TypeVar("Handler", bound=Callable[..., Any])

_MARKS = "__restmachine_options__"


def marks_of(handler: Callable[..., Any]) -> dict[str, Any]:
    """Return the route options that a handler's decorators set."""
    return dict(getattr(handler, _MARKS, {}))


def mark(handler: Handler, **options: Any) -> Handler:
    """Set route options of a handler, and return it."""
    setattr(handler, _MARKS, {**marks_of(handler), **options})
    return handler


def skip_content_negotiation(handler: Handler) -> Handler:
    """Always answer JSON, whatever Accept says."""
    return mark(handler, negotiates=False)


def skip_auth_check(handler: Handler) -> Handler:
    """Ask neither who the client is nor whether it may (decisions B8 and B7)."""
    return mark(handler, authorizes=False)


def cache_response(
    *,
    max_age: int,
    public: bool = False,
    server: bool = False,
    entries: int = 1024,
    max_bytes: int = 16 * 1024 * 1024,
) -> Callable[[Handler], Handler]:
    """State for how long a successful answer stays fresh (RFC 9111 section 5.2.2).

    With *server* the application itself keeps answers of a GET and sends them again, also to HEAD,
    with their Age: one for each URI and each value of the fields that Vary names. Requests
    for the same that come together run the handler once, and the others wait for its answer.
    Callbacks are asked for every request, and conditions and ranges are judged by what is stored.

    Kept is an answer 200 that is whole: no stream or file, none with Set-Cookie, none whose
    Cache-Control says `no-store`, `no-cache` or `private`. Its own `s-maxage` or `max-age` goes
    before *max_age*. A request with content, with Authorization or a Cookie goes past what is kept.
    Whatever else of the request decides the answer, Vary must name.

    Args:
        max_age: Seconds.
        public: Shared caches may keep the answer even where authorization protects the
            route; otherwise it is `private` there, and the server may not keep it either. What
            the server keeps is then also for requests with Authorization or a Cookie.
        server: Keep answers on the server; they live as long as the application is not changed.
        entries: How many answers of the route are kept at most; that used last stays longest.
        max_bytes: How much their contents and fields take at most.

    Raises:
        ConfigurationError: *max_age* is not a whole number of seconds, or another is no number.
            When the application is built: the route keeps what may not be for everybody.
    """
    if not isinstance(max_age, int) or isinstance(max_age, bool) or max_age < 0:
        raise ConfigurationError(
            f"@cache_response was given max_age={max_age!r}: give whole seconds, 0 or more."
        )
    settings = None
    if server:
        check_whole_number("@cache_response(server=True)", "max_age", max_age, 1)
        check_whole_number("@cache_response", "entries", entries, 1)
        check_whole_number("@cache_response", "max_bytes", max_bytes, 1)
        settings = CacheSettings(max_age, entries, max_bytes)
    stated = f"max-age={max_age}, public" if public else f"max-age={max_age}"

    def decorate(handler: Handler) -> Handler:
        return mark(handler, cache_control=stated, cache_public=public, cache_settings=settings)

    return decorate
