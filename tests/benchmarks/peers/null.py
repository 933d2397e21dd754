"""Nothing at all: what the driver itself costs."""

from collections.abc import Awaitable, Callable
from typing import Any


async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """Send no answer."""


def small() -> Any:
    """Return the application of nothing."""
    return app


def wide(routes: int) -> Any:
    """Return the same, as it has no routes."""
    return app


def nested(depth: int) -> Any:
    """Return the same, as it needs nothing."""
    return app
