"""The exceptions that applications catch or raise, in one place.

`ValidationError` is Pydantic's. Where Pydantic is not installed it is a class of the same
shape, so that code which names it works; nothing but such code raises it then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from restmachine.errors import (
    AcceptsParsingError,
    ContentNegotiationError,
    DependencyResolutionError,
    RestFrameworkError,
    RouteNotFoundError,
)

__all__ = [
    "AcceptsParsingError",
    "ContentNegotiationError",
    "DependencyResolutionError",
    "RestFrameworkError",
    "RouteNotFoundError",
    "ValidationError",
]

if TYPE_CHECKING:
    from pydantic import ValidationError
else:
    try:
        from pydantic import ValidationError
    except ModuleNotFoundError:

        class ValidationError(RestFrameworkError):
            """What a validation refused."""

            def __init__(self, message: str = "Validation failed") -> None:
                super().__init__(message)
                self.message = message

            def errors(self, **options: Any) -> list[dict[str, Any]]:
                """Return what was refused, one mapping for each mistake."""
                return [{"msg": self.message}]

            def json(self, **options: Any) -> dict[str, Any]:
                """Return the same in the shape of an error body."""
                return {"detail": self.errors()}
