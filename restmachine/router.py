"""Routers: their decorators record, and whatever they are mounted on compiles it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, overload

from restmachine.callbacks import CallbackDecorators
from restmachine.cors import CORSConfig
from restmachine.csp import CSPConfig, Provider
from restmachine.decorators import marks_of
from restmachine.errors import ConfigurationError, DuplicateDependencyError
from restmachine.parsing import model_recipe, parser_recipe
from restmachine.policies import Name, PolicyDecorators, StatedPolicy, stands_above
from restmachine.recipes import DependencyScope, Recipe, handler_recipe
from restmachine.registry import FunctionRenderer, Policy
from restmachine.representations import ContentRenderer
from restmachine.request import KNOWN_METHODS, HTTPMethod, as_method
from restmachine.routing import Provided, Route, RouteOptions, Table, Template, answered_methods
from restmachine.settings import check_whole_number, choices
from restmachine.validation import require_pydantic

Function = TypeVar("Function", bound=Callable[..., Any])


class Decorator(Protocol):
    """Records a function and returns it unchanged."""

    def __call__(self, function: Function, /) -> Function:
        """Record it."""


class ConfigurationWarning(UserWarning):
    """The application works, but hardly as it was meant."""


def normalize_path(prefix: str, path: str) -> str:
    """Return a path below a prefix, with one slash in front and none doubled."""
    joined = re.sub("/{2,}", "/", f"/{prefix}/{path}")
    return joined if path or joined == "/" else joined.rstrip("/")


def with_charset(content_type: str, charset: str | None) -> str:
    """Return a content type that states a charset, if there is one to state."""
    return f"{content_type}; charset={charset}" if charset else content_type


class Router(CallbackDecorators, PolicyDecorators):
    """Routes, dependencies and callbacks, to be mounted on an application or a router.

    Names are shared by everything that is mounted together: an outer router's dependency
    replaces an inner one's of the same name. What holds for every route, a `default_*`
    callback for instance, holds at and below the prefix under which it is mounted.

    Args:
        app: Gets what is recorded here, routes excepted, without mounting.
    """

    def __init__(self, app: Router | None = None) -> None:
        self._own_routes: dict[tuple[str, Any], Route] = {}
        self._recipes: dict[str, Recipe] = {}
        self._callbacks: dict[str, list[str]] = {}
        self._parsers: dict[str, Recipe] = {}
        self._policy = Policy()
        self._startup: list[str] = []
        self._shutdown: list[Recipe] = []
        self._mounted: list[tuple[str, Router]] = []
        self._attached: list[Router] = []
        self._hosts: list[Router] = []
        self._latest: Route | None = None
        self._table: Table[tuple[Route, Template]] | None = None
        if app is not None:
            app._attached.append(self)
            self._hosts.append(app)

    def route(
        self,
        method: HTTPMethod | str,
        path: str,
        *,
        bypass_state_machine: bool = False,
        blocking: bool | None = None,
        creates: bool = False,
        max_content: int | None = None,
        languages: Sequence[str] = (),
        charsets: Sequence[str] = (),
        encodings: Sequence[str] = (),
    ) -> Decorator:
        """Declare the handler for a method and a path template.

        Args:
            bypass_state_machine: Ask no decision; routing, injection and teardown remain.
            blocking: Whether the sync functions of this route may block.
            creates: A PUT to an absent resource makes it, and answers 201.
            max_content: The longest content in bytes.
            languages, charsets, encodings: What the handler offers; it gets the choice as
                `language`, `charset` and `encoding`. The answer states the language, and text
                is sent in the charset; Content-Encoding is for the handler to state.

        Raises:
            ConfigurationError: The method or the template is not one, or an option cannot be.
        """
        name = str(method).upper()
        if name not in KNOWN_METHODS:
            raise ConfigurationError(
                f"{method!r} is not an HTTP method; use one of {', '.join(HTTPMethod)}."
            )
        template = Template(path)
        owner = f"The route {name} {path}"
        if max_content is not None:
            check_whole_number(owner, "max_content", max_content, 0)
        if creates and name != "PUT":
            raise ConfigurationError(f"{owner} says creates=True, which only a PUT can.")
        spoken = choices(owner, "languages", languages)
        lettered = choices(owner, "charsets", charsets)
        coded = choices(owner, "encodings", encodings)

        def record(handler: Function) -> Function:
            options = RouteOptions(
                bypass=bypass_state_machine,
                blocking=blocking,
                creates=creates,
                max_content=max_content,
                languages=spoken,
                charsets=lettered,
                encodings=coded,
            )
            for mark, value in marks_of(handler).items():
                setattr(options, mark, value)
            route = Route(as_method(name), template, handler, options, path)
            if (name, template.shape) in self._own_routes:
                warnings.warn(
                    f"A second handler for {route} replaces the first.",
                    ConfigurationWarning,
                    stacklevel=2,
                )
            self._own_routes[name, template.shape] = self._latest = route
            self._changed()
            return handler

        return record

    def get(self, path: str, **options: Any) -> Decorator:
        """Declare the handler for GET, and for HEAD unless it has its own; see `route`."""
        return self.route(HTTPMethod.GET, path, **options)

    def head(self, path: str, **options: Any) -> Decorator:
        """Declare the handler for HEAD; see `route`."""
        return self.route(HTTPMethod.HEAD, path, **options)

    def post(self, path: str, **options: Any) -> Decorator:
        """Declare the handler for POST; see `route`."""
        return self.route(HTTPMethod.POST, path, **options)

    def put(self, path: str, **options: Any) -> Decorator:
        """Declare the handler for PUT; see `route`."""
        return self.route(HTTPMethod.PUT, path, **options)

    def patch(self, path: str, **options: Any) -> Decorator:
        """Declare the handler for PATCH; see `route`."""
        return self.route(HTTPMethod.PATCH, path, **options)

    def delete(self, path: str, **options: Any) -> Decorator:
        """Declare the handler for DELETE; see `route`."""
        return self.route(HTTPMethod.DELETE, path, **options)

    def options(self, path: str, **options: Any) -> Decorator:
        """Declare the handler for OPTIONS, which is otherwise answered with Allow."""
        return self.route(HTTPMethod.OPTIONS, path, **options)

    def mount(self, prefix: str, router: Router) -> None:
        """Serve what a router declares, now or later, below a prefix.

        Args:
            prefix: A path template; its parameters are those of every route below.

        Raises:
            ConfigurationError: The prefix is no template or ends in a wildcard, or the
                router would be mounted on itself.
        """
        if Template(prefix).wildcard:
            raise ConfigurationError(f'The prefix "{prefix}" ends in a wildcard: nothing is below.')
        if any(inner is self for inner in router._everyone()):
            raise ConfigurationError("A router cannot be mounted on itself, nor below itself.")
        self._mounted.append((prefix, router))
        router._hosts.append(self)
        self._changed()

    @property
    def routes(self) -> list[Route]:
        """Every route with its full path, those of mounted routers after its own."""
        found = []
        for prefix, routers in self._chains(""):
            levels = tuple(router._policy.level for router in routers)
            found += [route.placed(prefix, levels) for route in routers[-1]._own_routes.values()]
        return found

    def get_all_routes(self, prefix: str = "") -> list[tuple[str, Route]]:
        """Return every route as it was declared, each with its full path below *prefix*."""
        return [
            (normalize_path(place, route.declared_path), route)
            for place, router in self._places(prefix)
            for route in router._own_routes.values()
        ]

    def match_route(self, path: str, method: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route that answers a method on a path, and the path's parameters."""
        table = self._matching()
        found = table.find(str(method), path)
        if found is None and method == "HEAD":
            found = table.find("GET", path)
        if found is None:
            return None
        (route, template), values = found
        return route, dict(zip(template.names, values, strict=True))

    def has_path(self, path: str) -> bool:
        """Return whether a route matches the path, whatever its method."""
        return bool(self._matching().matches(path))

    def get_methods_for_path(self, path: str) -> list[str]:
        """Return the methods that a path answers, by name; `[]` when no route matches."""
        return answered_methods(self._matching().matches(path))

    def _matching(self) -> Table[tuple[Route, Template]]:
        if self._table is None:
            table: Table[tuple[Route, Template]] = Table()
            for path, route in self.get_all_routes():
                template = Template(path)
                table.add(template, str(route.method), (route, template))
            self._table = table
        return self._table

    @overload
    def dependency(self, name: Function) -> Function: ...
    @overload
    def dependency(
        self,
        name: str | None = None,
        scope: str = DependencyScope.REQUEST,
        blocking: bool | None = None,
    ) -> Decorator: ...
    def dependency(
        self,
        name: Any = None,
        scope: str = DependencyScope.REQUEST,
        blocking: bool | None = None,
    ) -> Any:
        """Register a function whose value others get by naming it as a parameter.

        Args:
            name: The name; that of the function unless given.
            scope: `request`, once for each request that asks, or `session`, once for all.
            blocking: Whether a sync function may block its thread.
        """
        if callable(name):
            return self._record(name, Recipe(name))

        def record(function: Function) -> Function:
            return self._record(function, Recipe(function, name, scope, blocking))

        return record

    def accepts(self, content_type: str, scope: str = DependencyScope.REQUEST) -> Decorator:
        """Register a function that parses content of a media type, for every route.

        Its value is what `parsed_body`, `parsed_data`, `json_body`, `form_body`, `text_body`
        and `multipart_body` stand for when a request has content of that type, and what the
        function's own name stands for; content of another type is then 415. It is not called
        when there is no content, and what it raises is 422.

        Args:
            content_type: Without parameters, compared without regard to case.
            scope: Always `request`: content belongs to one.

        Raises:
            ConfigurationError: The media type is none, or the function cannot be a parser.
        """
        if scope != DependencyScope.REQUEST:
            raise ConfigurationError(
                f'A parser of "{content_type}" works on one request: leave out the scope.'
            )

        def record(function: Function) -> Function:
            media_type, recipe = parser_recipe(function, content_type)
            self._parsers[media_type] = recipe
            self._changed()
            return function

        return record

    def validates(self, function: Function) -> Function:
        """Register a dependency that returns a Pydantic model; what it refuses is 422.

        Raises:
            MissingExtraError: Pydantic is not installed.
        """
        require_pydantic("@app.validates")
        return self._record(function, model_recipe(function))

    def provides(
        self,
        content_type: str,
        scope: str = DependencyScope.REQUEST,
        charset: str | None = None,
        *,
        blocking: bool | None = None,
    ) -> Decorator:
        """Register a renderer of the handler above it, for one media type.

        A parameter named like the handler gets the handler's result, others are injected.
        The first one registered answers clients without preference.

        Args:
            scope: Only `request`: a renderer belongs to one response.
            charset: Is stated, and encodes text that is returned.

        Raises:
            ConfigurationError: There is no handler above, or the scope is another one.
        """
        latest = self._latest
        if latest is None:
            raise ConfigurationError("@provides must stand below the handler whose result it gets.")
        if scope != DependencyScope.REQUEST:
            raise ConfigurationError(f'A renderer cannot have the scope "{scope}": use "request".')

        def record(function: Function) -> Function:
            recipe = handler_recipe(function)
            recipe.blocking = recipe.blocking if blocking is None else blocking
            for route in self._own_routes.values():
                if route.handler is latest.handler:
                    route.renderers.append(Provided(recipe, content_type, charset))
            self._changed()
            return function

        return record

    def add_content_renderer(self, renderer: ContentRenderer) -> None:
        """Offer a media type for every route, or replace the renderer of one."""
        self._policy.renderers[renderer.media_type] = renderer
        self._changed()

    def content_renderer(self, media_type: str) -> Decorator:
        """Register a function of the data, and of the request if it wants that, as a renderer.

        It runs where the response is made, so it must not block.

        Raises:
            ConfigurationError: It is async.
        """

        def record(function: Function) -> Function:
            self.add_content_renderer(FunctionRenderer(media_type, function))
            return function

        return record

    def handles_error(self, *codes: Any) -> Any:
        """Register a function that answers errors, of every status unless some are named.

        It is injected like a handler, and also gets `exception` (None when no exception led
        to the error), `message`, `status_code`, and `request` as far as it was read. What
        it returns takes the place of the default content, and the status stays.

        Raises:
            ConfigurationError: A code is not that of an error.
        """
        if len(codes) == 1 and callable(codes[0]):
            return self.handles_error()(codes[0])
        for code in codes:
            if not isinstance(code, int) or not 400 <= code <= 599:
                raise ConfigurationError(f"@handles_error was given {code!r}: name 400 to 599.")

        def record(function: Function) -> Function:
            self._policy.error_handlers.append((frozenset(map(int, codes)), function))
            self._changed()
            return function

        return record

    error_handler = handles_error

    def error_provides(self, content_type: str, charset: str | None = None) -> Decorator:
        """Say which media type an error handler gives; others are asked for other types."""

        def record(function: Function) -> Function:
            types = self._policy.error_types.setdefault(function, [])
            types.append(with_charset(content_type, charset))
            self._changed()
            return function

        return record

    def default_headers(self, function: Any = None, *, blocking: bool | None = None) -> Any:
        """Register a function that gives header fields to every response.

        It is injected like a handler and returns a mapping, None, or changes `headers` in
        place. What a response states itself wins; Vary is joined.
        """
        if function is None:
            return lambda given: self.default_headers(given, blocking=blocking)
        self._policy.header_functions.append(Recipe(function, blocking=blocking))
        self._changed()
        return function

    def request_id(self, function: Function) -> Function:
        """Register what `request_id` is, instead of a random UUID."""
        return self._identifier("request_id", function)

    def trace_id(self, function: Function) -> Function:
        """Register what `trace_id` is, instead of a random UUID."""
        return self._identifier("trace_id", function)

    def _identifier(self, name: str, function: Function) -> Function:
        self._policy.identifiers.add(name)
        return self._record(function, Recipe(function, name))

    def on_startup(self, function: Any = None) -> Any:
        """Register a function to run at startup; its value is a session dependency."""
        if function is None:
            return self.on_startup
        if function.__name__ not in self._startup:
            self._startup.append(function.__name__)
        return self._record(function, Recipe(function, scope=DependencyScope.SESSION))

    def on_shutdown(self, function: Any = None) -> Any:
        """Register a function to run at shutdown; it may ask for session dependencies."""
        if function is None:
            return self.on_shutdown
        # Others may have the same name, and none is asked for by it.
        name = f"{function.__name__} at shutdown, {len(self._shutdown) + 1}"
        self._shutdown.append(Recipe(function, name, DependencyScope.SESSION))
        self._changed()
        return function

    def _record(self, function: Function, recipe: Recipe) -> Function:
        self._recipes[recipe.name] = recipe
        self._changed()
        return function

    def _callback(self, kind: str, function: Function) -> Function:
        names = self._callbacks.setdefault(kind, [])
        if function.__name__ not in names:
            names.append(function.__name__)
        return self._record(function, Recipe(function))

    def _default(self, kind: str, function: Function) -> Function:
        self._policy.defaults[kind] = Recipe(function)
        self._changed()
        return function

    def _state(self, name: Name, config: CORSConfig | CSPConfig) -> StatedPolicy:
        stated = StatedPolicy(self, name, config)
        self._policy.level.policies.append(stated)
        self._changed()
        return stated

    def _decorated(self, name: Name, handler: Callable[..., Any]) -> None:
        for route in self._own_routes.values():
            if route.handler is handler:
                raise stands_above(name, route)
        self._changed()

    def _provide_csp(self, function: Provider) -> None:
        self._policy.level.csp_provider = function
        self._changed()

    def _changed(self) -> None:
        """Forget what was derived from the recording, here and wherever this is mounted."""
        self._table = None
        for host in self._hosts:
            host._changed()

    def _places(self, prefix: str) -> Iterator[tuple[str, Router]]:
        """Yield this router and all that are mounted below it, each with its full prefix."""
        for place, routers in self._chains(prefix):
            yield place, routers[-1]

    def _chains(
        self, prefix: str, outer: tuple[Router, ...] = ()
    ) -> Iterator[tuple[str, tuple[Router, ...]]]:
        """Yield what `_places` does, each router after those that it is mounted on."""
        routers = (*outer, self)
        yield prefix, routers
        for below, router in self._mounted:
            yield from router._chains(normalize_path(prefix, below), routers)

    def _everyone(self) -> Iterator[Router]:
        """Yield this router and all from which it gets recipes, each as often as it is met."""
        yield self
        for router in (*self._attached, *(router for _, router in self._mounted)):
            yield from router._everyone()

    def _collect_recipes(self, found: dict[str, Recipe], outer: frozenset[str]) -> None:
        """Add the recipes of this router and of all below it.

        Raises:
            DuplicateDependencyError: Two routers, neither below the other, use one name.
        """
        for name, recipe in self._recipes.items():
            if name in outer:
                continue
            former = found.setdefault(name, recipe)
            if former.function is not recipe.function:
                raise DuplicateDependencyError(name, former.function, recipe.function)
        known = outer | self._recipes.keys()
        for router in (*self._attached, *(router for _, router in self._mounted)):
            router._collect_recipes(found, known)
