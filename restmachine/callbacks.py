"""The decorators of the decisions' callbacks; they record under the kind of question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class CallbackDecorators(ABC):
    """What may answer the decisions of the diagram instead of their defaults.

    A callback applies to a route that reaches it through parameters; a `default_*` one to
    every route. The guides' names (`service_available`, `etag`) stand beside the real ones.
    """

    @abstractmethod
    def _callback(self, kind: str, function: Function) -> Function:
        """Record a callback for the routes that reach it."""

    @abstractmethod
    def _default(self, kind: str, function: Function) -> Function:
        """Record a callback for every route."""

    def resource_exists(self, function: Function) -> Function:
        """Decision G7: None means that the resource is absent; else it is the resource."""
        return self._callback("resource_exists", function)

    def authorized(self, function: Function) -> Function:
        """Decision B8: a falsy value is 401."""
        return self._callback("authorized", function)

    def forbidden(self, function: Function) -> Function:
        """Decision B7: None or True is 403."""
        return self._callback("forbidden", function)

    def generate_etag(self, function: Function) -> Function:
        """Give the entity tag of the current representation, or None."""
        return self._callback("generate_etag", function)

    etag = generate_etag

    def last_modified(self, function: Function) -> Function:
        """Give the moment of the last change, or None."""
        return self._callback("last_modified", function)

    def moved_permanently(self, function: Function) -> Function:
        """Decisions K5 and I4: the new URI, which is 301."""
        return self._callback("moved_permanently", function)

    def moved_temporarily(self, function: Function) -> Function:
        """Decision L5: the present URI, which is 307."""
        return self._callback("moved_temporarily", function)

    def previously_existed(self, function: Function) -> Function:
        """Decision K7: whether an absent resource once was there, which is 410."""
        return self._callback("previously_existed", function)

    def allow_missing_post(self, function: Function) -> Function:
        """Decisions M7 and N5: whether an absent resource takes a POST."""
        return self._callback("allow_missing_post", function)

    def conflict(self, function: Function) -> Function:
        """Decisions O14 and P3: whether the content conflicts, which is 409."""
        return self._callback("conflict", function)

    def delete_completed(self, function: Function) -> Function:
        """Decision M20b: whether the deletion is done; otherwise 202."""
        return self._callback("delete_completed", function)

    def multiple_choices(self, function: Function) -> Function:
        """Decision O18: whether the client must choose, which is 300."""
        return self._callback("multiple_choices", function)

    def default_service_available(self, function: Function) -> Function:
        """Decision B13 for every route: falsy is 503."""
        return self._default("service_available", function)

    service_available = default_service_available

    def default_known_method(self, function: Function) -> Function:
        """Decision B12 for every route: falsy is 501."""
        return self._default("known_method", function)

    known_method = default_known_method

    def default_uri_too_long(self, function: Function) -> Function:
        """Decision B11 for every route: true is 414."""
        return self._default("uri_too_long", function)

    uri_too_long = default_uri_too_long

    def default_method_allowed(self, function: Function) -> Function:
        """Decision B10 for every route: falsy is 405."""
        return self._default("method_allowed", function)

    def default_malformed_request(self, function: Function) -> Function:
        """Decision B9 for every route: true is 400."""
        return self._default("malformed_request", function)

    malformed_request = default_malformed_request

    def default_authorized(self, function: Function) -> Function:
        """Decision B8 for every route: falsy is 401."""
        return self._default("authorized", function)

    def default_forbidden(self, function: Function) -> Function:
        """Decision B7 for every route: true is 403."""
        return self._default("forbidden", function)

    def default_content_headers_valid(self, function: Function) -> Function:
        """Decision B6 for every route: falsy is 400."""
        return self._default("content_headers_valid", function)

    valid_content_headers = default_content_headers_valid

    def default_resource_exists(self, function: Function) -> Function:
        """Decision G7 for every route: falsy is 404."""
        return self._default("resource_exists", function)
