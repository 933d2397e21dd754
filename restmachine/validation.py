"""Pydantic, an extra: what it refuses, and the models that handlers say they return."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

from restmachine.errors import InvalidResponseError, MissingExtraError
from restmachine.recipes import result_type


def require_pydantic(feature: str) -> None:
    """Make sure that Pydantic is there.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pydantic  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        raise MissingExtraError(feature, "pydantic", "validation") from None


def is_validation_error(error: BaseException) -> bool:
    """Return whether an exception is Pydantic's, without importing Pydantic."""
    return type(error).__name__ == "ValidationError" and type(error).__module__.startswith(
        "pydantic"
    )


def validation_details(error: Any) -> list[dict[str, Any]]:
    """Return what Pydantic found, safe for JSON and without the values that were sent.

    Those may be long or secret, and stand in an error once for each missing member.
    """
    details = []
    for found in error.errors(include_url=False, include_input=False):
        detail: dict[str, Any] = {
            "type": _sendable(found["type"]),
            "loc": [part if isinstance(part, int) else _sendable(part) for part in found["loc"]],
            "msg": _sendable(found["msg"]),
        }
        if "ctx" in found:
            detail["ctx"] = {key: _sendable(value) for key, value in found["ctx"].items()}
        details.append(detail)
    return details


def _sendable(value: Any) -> str:
    """Return the text of a value, with what is no text in UTF-8 spelt out."""
    return str(value).encode(errors="backslashreplace").decode()


class ReturnedModel:
    """The model, or list of models, that a handler declares to return."""

    def __init__(self, annotation: Any) -> None:
        from pydantic import TypeAdapter

        self._adapter = TypeAdapter(annotation)
        self._name = getattr(annotation, "__name__", str(annotation))

    def fields_of(self, value: Any) -> Any:
        """Return what is sent of a handler's result: the fields of the declared model alone.

        Raises:
            InvalidResponseError: The result is no such model, which is the server's fault.
        """
        try:
            model = self._adapter.validate_python(value)
            return self._adapter.dump_python(model, mode="json")
        except ValueError as error:
            raise InvalidResponseError(
                f"The handler declares to return {self._name}, and its result is none."
            ) from error


def returned_model(handler: Callable[..., Any]) -> ReturnedModel | None:
    """Return the model that a handler's annotation declares, None when it declares none."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:  # then nobody can have defined a model
        return None
    annotation = result_type(handler)
    declared = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    if isinstance(declared, type) and issubclass(declared, pydantic.BaseModel):
        return ReturnedModel(annotation)
    return None
