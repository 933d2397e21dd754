"""What can go wrong, as one tree.

    RestFrameworkError
    ├── ConfigurationError           a developer's mistake, raised when the application is built
    │   ├── DependencyResolutionError    what a function asks for cannot be found
    │   │   ├── UnknownDependencyError   it asks for a name that nothing provides
    │   │   ├── DependencyCycleError     dependencies ask for each other
    │   │   ├── DuplicateDependencyError two routers mean different things by one name
    │   │   └── DependencyScopeError     a session dependency asks for a request's
    │   ├── InvalidPolicyError       a response policy, CORS or CSP, cannot be as stated
    │   ├── UnprotectedRouteError    a bypass route would skip an authorization check
    │   └── MissingExtraError        an optional package is not installed
    ├── InvalidResponseError         what a handler returned cannot be sent
    ├── ClientDisconnected           the client left before its request was complete
    └── HTTPError                    an outcome with a status (RFC 9110 section 15)
        ├── BadRequest               400
        ├── Unauthorized             401
        ├── Forbidden                403
        ├── NotFound                 404
        │   └── RouteNotFoundError   because no route leads there
        ├── ContentNegotiationError  406
        ├── Conflict                 409
        ├── ContentTooLarge          413
        ├── UnsupportedMediaType     415
        ├── UnprocessableContent     422
        │   └── AcceptsParsingError  because the application's parser failed
        └── RequestHeaderFieldsTooLarge  431

Handlers and dependencies may raise an `HTTPError` to answer with its status.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, ClassVar


class RestFrameworkError(Exception):
    """Base of everything that restmachine raises on purpose."""


class ConfigurationError(RestFrameworkError):
    """The application cannot work as it was declared."""


class DependencyResolutionError(ConfigurationError):
    """What a function asks for cannot be found, or not for it."""


class UnknownDependencyError(DependencyResolutionError):
    """A function asks for a name that nothing provides."""

    def __init__(self, wanted: str, asked_by: str, known: Collection[str]) -> None:
        near = get_close_matches(wanted, known, n=1)
        hint = f'Did you mean "{near[0]}"?' if near else "Add one with @app.dependency()."
        super().__init__(f'{asked_by} asks for "{wanted}", which nothing provides. {hint}')


class DependencyCycleError(DependencyResolutionError):
    """Dependencies ask for each other, so none can be made first."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"Dependencies form a cycle: {' -> '.join(names)}. "
            "Remove one of these parameters, or split what both need into a third dependency."
        )


class DuplicateDependencyError(DependencyResolutionError):
    """Two routers, neither mounted on the other, use one name for different functions."""

    def __init__(self, name: str, one: Any, other: Any) -> None:
        super().__init__(
            f'Two routers each register "{name}": {_place(one)} and {_place(other)}. Dependencies '
            "are shared by everything that is mounted together: rename one, or register the "
            "one that is meant on the application."
        )


class DependencyScopeError(DependencyResolutionError):
    """A session dependency asks for something that belongs to one request."""

    def __init__(self, asked_by: str, wanted: str) -> None:
        super().__init__(
            f'{asked_by} lives as long as the application but asks for "{wanted}", which '
            f"belongs to one request. Give {asked_by} the request scope, or pass the value in "
            "a call."
        )


class InvalidPolicyError(ConfigurationError, ValueError):
    """A response policy, CORS or CSP, cannot be as it was stated."""


class UnprotectedRouteError(ConfigurationError):
    """A bypass route would silently skip an authorization check."""

    def __init__(self, route: str, check: str) -> None:
        super().__init__(
            f'{route} bypasses the decisions, so "{check}" would never be asked. '
            "Remove bypass_state_machine=True, or add @skip_auth_check to say that this is meant."
        )


class MissingExtraError(ConfigurationError, ImportError):
    """A feature needs a package which an extra of this distribution brings."""

    def __init__(self, feature: str, module: str, extra: str) -> None:
        super().__init__(
            f'{feature} needs the package "{module}", which is not installed: '
            f"pip install 'measured-rest[{extra}]'"
        )


class InvalidResponseError(RestFrameworkError):
    """What a handler returned cannot be sent as HTTP; the client sees a 500."""


class ClientDisconnected(RestFrameworkError):  # noqa: N818 - an event, not a mistake
    """The client left; there is nobody to answer."""


def _place(function: Any) -> str:
    """Return where a function comes from."""
    name = getattr(function, "__qualname__", repr(function))
    return f"{getattr(function, '__module__', '')}.{name}"


class HTTPError(RestFrameworkError):
    """An outcome that answers the request with a status and no handler's result.

    Args:
        detail: What the client may know, put into the error body; never a secret.
        headers: Fields that the answer must carry, `Allow` or `Retry-After` for instance.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, detail: Any = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail if detail is not None else self.status.phrase)
        self.detail = detail
        self.headers: Mapping[str, str] = headers or {}


class BadRequest(HTTPError):  # noqa: N818 - the names of HTTP outcomes are RFC 9110's phrases
    """400: the message is malformed (RFC 9110 section 15.5.1)."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(HTTPError):  # noqa: N818
    """401: credentials are missing or not valid (RFC 9110 section 15.5.2)."""

    status = HTTPStatus.UNAUTHORIZED


class Forbidden(HTTPError):  # noqa: N818
    """403: understood and refused (RFC 9110 section 15.5.4)."""

    status = HTTPStatus.FORBIDDEN


class NotFound(HTTPError):  # noqa: N818
    """404: no current representation (RFC 9110 section 15.5.5)."""

    status = HTTPStatus.NOT_FOUND


class RouteNotFoundError(NotFound):
    """404: no route leads to the path; for a handler that routes on by itself."""


class ContentNegotiationError(HTTPError):
    """406: nothing that the client accepts (RFC 9110 section 15.5.7)."""

    status = HTTPStatus.NOT_ACCEPTABLE


class Conflict(HTTPError):  # noqa: N818
    """409: the state of the resource forbids it (RFC 9110 section 15.5.10)."""

    status = HTTPStatus.CONFLICT


class ContentTooLarge(HTTPError):  # noqa: N818
    """413: more content than the route takes (RFC 9110 section 15.5.14)."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaType(HTTPError):  # noqa: N818
    """415: nothing here reads that media type (RFC 9110 section 15.5.16)."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnprocessableContent(HTTPError):  # noqa: N818
    """422: well-formed content whose meaning is not valid (RFC 9110 section 15.5.21)."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class AcceptsParsingError(UnprocessableContent):
    """422: the application's own parser refused the content.

    Args:
        message: What the client may know.
        original_exception: What the parser raised.
    """

    def __init__(
        self,
        message: str = "Failed to parse request body",
        original_exception: BaseException | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.original_exception = original_exception


class RequestHeaderFieldsTooLarge(HTTPError):  # noqa: N818
    """431: longer header fields than the application reads (RFC 6585 section 5)."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
