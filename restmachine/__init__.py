"""A REST framework: HTTP decided by a diagram, facts supplied by injection."""

import importlib
import typing
from http import HTTPStatus

from restmachine.adapters import Adapter
from restmachine.application import ConfigurationWarning, RestApplication
from restmachine.asgi import ASGIAdapter, create_asgi_app
from restmachine.cors import CORSConfig
from restmachine.csp import CSPConfig, CSPPreset
from restmachine.errors import (
    BadRequest,
    ConfigurationError,
    Conflict,
    ContentTooLarge,
    Forbidden,
    HTTPError,
    NotFound,
    RestFrameworkError,
    Unauthorized,
    UnprocessableContent,
    UnsupportedMediaType,
)
from restmachine.files import FileResponse
from restmachine.headers import MultiValueHeaders
from restmachine.hooks import Observer
from restmachine.recipes import DependencyScope
from restmachine.representations import (
    ContentRenderer,
    HTMLRenderer,
    JSONRenderer,
    PlainTextRenderer,
)
from restmachine.request import HTTPMethod, Request
from restmachine.response import Response
from restmachine.router import Router
from restmachine.static import StaticRouter
from restmachine.streaming import BytesStreamBuffer, FileStreamWrapper

if typing.TYPE_CHECKING:
    from restmachine.error_models import ErrorResponse
    from restmachine.exceptions import ValidationError

__all__ = [
    "ASGIAdapter",
    "Adapter",
    "BadRequest",
    "BytesStreamBuffer",
    "CORSConfig",
    "CSPConfig",
    "CSPPreset",
    "ConfigurationError",
    "ConfigurationWarning",
    "Conflict",
    "ContentRenderer",
    "ContentTooLarge",
    "DependencyScope",
    "ErrorResponse",
    "FileResponse",
    "FileStreamWrapper",
    "Forbidden",
    "HTMLRenderer",
    "HTTPError",
    "HTTPMethod",
    "HTTPStatus",
    "JSONRenderer",
    "MultiValueHeaders",
    "NotFound",
    "Observer",
    "PlainTextRenderer",
    "Request",
    "Response",
    "RestApplication",
    "RestFrameworkError",
    "Router",
    "StaticRouter",
    "Unauthorized",
    "UnprocessableContent",
    "UnsupportedMediaType",
    "ValidationError",
    "create_asgi_app",
]

# Both import Pydantic, which takes longer than all the rest, so only who asks for them pays.
_LATER = {"ErrorResponse": "error_models", "ValidationError": "exceptions"}


def __getattr__(name: str) -> typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
