"""The content of an error as an object, which a handler may return.

It is a Pydantic model where Pydantic is installed, and otherwise a class with the same methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from restmachine.problems import ErrorBody
from restmachine.representations import encode_json

__all__ = ["ErrorResponse"]

_MEMBERS = ("error", "message", "details", "request_id", "trace_id")


class _FromValidation:
    """How both kinds of `ErrorResponse` are made of what a validation refused."""

    @classmethod
    def from_validation_error(
        cls,
        error: Any,
        message: str = "Validation failed",
        request_id: str | None = None,
        trace_id: str | None = None,
    ) -> Self:
        """Return the error for a failed validation, its details without URLs."""
        details = None
        if hasattr(error, "errors"):
            details = [_told(found) for found in error.errors()]
        return cls(  # type: ignore[call-arg]  # both kinds take these
            error=message, details=details, request_id=request_id, trace_id=trace_id
        )


def _told(found: dict[str, Any]) -> dict[str, Any]:
    """Return one mistake without its URL; its context may hold exceptions, so as text."""
    told = {key: value for key, value in found.items() if key != "url"}
    if "ctx" in told:
        told["ctx"] = {key: str(value) for key, value in told["ctx"].items()}
    return told


class _PlainErrorResponse(_FromValidation, ErrorBody):
    """An error; returned by a handler it answers with its status."""

    def __init__(
        self,
        error: str | None = None,
        details: Any = None,
        request_id: str | None = None,
        trace_id: str | None = None,
        message: str | None = None,
        status_code: int | None = None,
    ) -> None:
        self.error = error
        self.message = message
        self.details = details
        self.request_id = request_id
        self.trace_id = trace_id
        self.status_code = status_code

    def model_dump(self, *, exclude_none: bool = True, **options: Any) -> dict[str, Any]:
        """Return the members; those that are None only with ``exclude_none=False``."""
        members = {name: getattr(self, name) for name in _MEMBERS}
        return {k: v for k, v in members.items() if v is not None or not exclude_none}

    def model_dump_json(self, *, exclude_none: bool = True, **options: Any) -> str:
        """Return the members as JSON."""
        return encode_json(self.model_dump(exclude_none=exclude_none)).decode()


if TYPE_CHECKING:
    ErrorResponse = _PlainErrorResponse
else:
    try:
        from pydantic import BaseModel, Field
    except ModuleNotFoundError:
        ErrorResponse = type("ErrorResponse", (_PlainErrorResponse,), {"__module__": __name__})
    else:

        class ErrorResponse(_FromValidation, BaseModel, ErrorBody):
            """An error; returned by a handler it answers with its status.

            Attributes:
                error: What happened, in a few words; the phrase of the status unless given.
                status_code: Its status, 500 unless given; it is no part of the content.
            """

            error: str | None = None
            message: str | None = None
            details: Any = None
            request_id: str | None = None
            trace_id: str | None = None
            status_code: int | None = Field(default=None, exclude=True)

            def model_dump_json(self, *, exclude_none: bool = True, **options: Any) -> str:
                """Return the members as JSON, without those that are None."""
                return super().model_dump_json(exclude_none=exclude_none, **options)
