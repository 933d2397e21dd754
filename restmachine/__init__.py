"""A REST framework: HTTP decided by a diagram, facts supplied by injection."""

from http import HTTPStatus

from restmachine.application import ConfigurationWarning, RestApplication
from restmachine.asgi import ASGIAdapter, create_asgi_app
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

__all__ = [
    "ASGIAdapter",
    "BadRequest",
    "BytesStreamBuffer",
    "ConfigurationError",
    "ConfigurationWarning",
    "Conflict",
    "ContentRenderer",
    "ContentTooLarge",
    "DependencyScope",
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
    "create_asgi_app",
]
