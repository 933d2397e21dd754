"""What an application and its routers recorded, as plans are compiled from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any, NamedTuple

from restmachine.errors import ConfigurationError
from restmachine.exchange import Exchange
from restmachine.hooks import Observer
from restmachine.policies import Level
from restmachine.recipes import Function, Kind, Recipe
from restmachine.representations import (
    ContentRenderer,
    HTMLRenderer,
    JSONRenderer,
    PlainTextRenderer,
)
from restmachine.request import Request
from restmachine.resources import Resource
from restmachine.response_cache import ResponseCache
from restmachine.routing import Template

VALIDATORS = ("generate_etag", "last_modified")
"""The kinds of callbacks that give a validator (RFC 9110 section 8.8)."""

BUILT_IN_RENDERERS: Mapping[str, ContentRenderer] = {
    renderer.media_type: renderer
    for renderer in (JSONRenderer(), HTMLRenderer(), PlainTextRenderer())
}


class FunctionRenderer(ContentRenderer):
    """A renderer made of a function of the data, and perhaps of the request.

    Raises:
        ConfigurationError: The function is async, or takes more than that.
    """

    def __init__(self, media_type: str, function: Function) -> None:
        super().__init__(media_type)
        recipe = Recipe(function)
        if recipe.kind is not Kind.PLAIN or not 1 <= len(recipe.parameters) <= 2:
            raise ConfigurationError(
                f"The renderer {recipe} of {media_type} must be a plain function of the data, "
                "or of data and request. Below a handler, @app.provides takes more."
            )
        self._function = function
        self._takes_request = len(recipe.parameters) == 2

    def render(self, data: Any, request: Request) -> str | bytes:
        """Return the content for *data*."""
        rendered: str | bytes = (
            self._function(data, request) if self._takes_request else self._function(data)
        )
        return rendered

    def encode(self, data: Any, exchange: Exchange) -> bytes:
        """Return the content as bytes; the request is made only for who wants it."""
        if self._takes_request:
            return super().encode(data, exchange)
        content = self._function(data)
        return content.encode() if isinstance(content, str) else bytes(content)


@dataclass
class Policy:
    """What one router wants for every path at or below where it is mounted.

    Attributes:
        defaults: The callbacks that every route asks, by kind.
        error_handlers: The statuses that each handles, none for all, and the function.
        error_types: The content types that an error handler gives.
        header_functions: Give header fields for every response.
        identifiers: The names of the request for which there is a provider.
        renderers: Renderers by media type, beside the built-in ones or in their place.
        level: The response policies, which hold for its routes and for paths without one.
    """

    defaults: dict[str, Recipe] = field(default_factory=dict)
    error_handlers: list[tuple[frozenset[int], Function]] = field(default_factory=list)
    error_types: dict[Function, list[str]] = field(default_factory=dict)
    header_functions: list[Recipe] = field(default_factory=list)
    identifiers: set[str] = field(default_factory=set)
    renderers: dict[str, ContentRenderer] = field(default_factory=dict)
    level: Level = field(default_factory=Level)


class Callback(NamedTuple):
    """A callback that may apply to a route.

    Attributes:
        order: Its place among all.
        taken: The request dependencies that a validator takes, which applies where all of them are
            reached; of others itself.
    """

    order: int
    kind: str
    name: str
    taken: frozenset[str]


@dataclass
class Registry:
    """What an application recorded: recipes, and settings for every route.

    Attributes:
        recipes: Dependencies by name.
        callbacks: The names of the recipes that are callbacks, by kind.
        policies: What holds at and below each prefix, the outer ones first.
        resources: Session dependencies by name, wired when the application is built.
        renderers: Renderers by media type, the default one first.
        parsers: What parses the content of a request, by media type.
        challenge: What WWW-Authenticate says with a 401.
        max_content: The longest content of a request, in bytes.
        max_form_fields: The most fields that a form may have.
        max_uri: The longest path and query, in bytes.
        max_headers: The longest header fields that are read, in bytes.
        clock: Tells seconds, by which stored responses grow old.
        caches: The stored responses of each route that has any, by the identity of the route.
    """

    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    callbacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    policies: Sequence[tuple[Template, Policy]] = ()
    resources: Mapping[str, Resource] = field(default_factory=dict)
    renderers: Mapping[str, ContentRenderer] = field(
        default_factory=lambda: dict(BUILT_IN_RENDERERS)
    )
    parsers: Mapping[str, Recipe] = field(default_factory=dict)
    observers: Sequence[Observer] = ()
    blocking: bool = True
    challenge: str = "Bearer"
    max_content: int = 10 * 1024 * 1024
    max_form_fields: int = 1000
    max_uri: int = 8 * 1024
    max_headers: int = 32 * 1024
    clock: Callable[[], float] = monotonic
    caches: dict[int, ResponseCache] = field(default_factory=dict)

    @cached_property
    def applying(self) -> Mapping[str, Sequence[Callback]]:
        """The callbacks that may apply where a dependency is reached, by its name.

        To ask every callback of every route would take time that grows with the square of them
        (bench_startup.py::bench_compiling_100_resources).
        """
        found: dict[str, list[Callback]] = {}
        named = [(kind, name) for kind, names in self.callbacks.items() for name in names]
        for order, (kind, name) in enumerate(named):
            taken = self._taken_by(name) if kind in VALIDATORS else ()
            callback = Callback(order, kind, name, frozenset(taken or [name]))
            for each in {name, *taken}:
                found.setdefault(each, []).append(callback)
        return found

    def _taken_by(self, name: str) -> Sequence[str]:
        taken = [parameter.name for parameter in self.recipes[name].parameters]
        return [
            each for each in taken if each in self.recipes and self.recipes[each].scope == "request"
        ]

    def policies_at(self, segments: Sequence[str | None]) -> tuple[Policy, ...]:
        """Return what holds for a path or template, given its segments, the outer ones first."""
        return tuple(policy for prefix, policy in self.policies if prefix.covers(segments))
