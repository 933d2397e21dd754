"""What a handler may say about its own route, directly below the route decorator.

The decorators only leave a mark: the function stays the same object, with its name and
signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from restmachine.errors import ConfigurationError

Handler = TypeVar("Handler", bound=Callable[..., Any])

_MARKS = "__restmachine_options__"


def marks_of(handler: Callable[..., Any]) -> dict[str, Any]:
    """Return the route options that a handler's decorators set."""
    return dict(getattr(handler, _MARKS, {}))


def _mark(handler: Handler, **options: Any) -> Handler:
    setattr(handler, _MARKS, {**marks_of(handler), **options})
    return handler


def skip_content_negotiation(handler: Handler) -> Handler:
    """Always answer JSON, whatever Accept says."""
    return _mark(handler, negotiates=False)


def skip_auth_check(handler: Handler) -> Handler:
    """Ask neither who the client is nor whether it may (decisions B8 and B7)."""
    return _mark(handler, authorizes=False)


def cache_response(*, max_age: int, public: bool = False) -> Callable[[Handler], Handler]:
    """State for how long a successful answer stays fresh (RFC 9111 section 5.2.2).

    Args:
        max_age: Seconds.
        public: Shared caches may keep the answer even where authorization protects the
            route; otherwise it is `private` there.

    Raises:
        ConfigurationError: *max_age* is not a whole number of seconds.
    """
    if not isinstance(max_age, int) or isinstance(max_age, bool) or max_age < 0:
        raise ConfigurationError(
            f"@cache_response was given max_age={max_age!r}: give whole seconds, 0 or more."
        )
    stated = f"max-age={max_age}, public" if public else f"max-age={max_age}"

    def mark(handler: Handler) -> Handler:
        return _mark(handler, cache_control=stated, cache_public=public)

    return mark
