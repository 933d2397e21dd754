"""The application: its decorators record, then everything is compiled; no HTTP logic.

Compiling happens at startup, or at the first request, and finds every configuration
mistake. Recording something afterwards compiles anew.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, overload

from restmachine.decorators import marks_of
from restmachine.errors import ConfigurationError, MissingExtraError
from restmachine.exchange import DirectExchange, Exchange, Portal
from restmachine.hooks import Observer, notify
from restmachine.plan import Plan, Registry
from restmachine.recipes import DependencyScope, Recipe
from restmachine.representations import HTMLRenderer, JSONRenderer, PlainTextRenderer
from restmachine.request import KNOWN_METHODS, HTTPMethod, Request
from restmachine.resources import Resource, wire_resources
from restmachine.response import Response
from restmachine.routing import Node, Route, RouteOptions, Table, Template
from restmachine.serving import drain, drain_on_loop, respond, respond_on_loop
from restmachine.streaming import is_stream
from restmachine.workers import DEFAULT_THREADS, BackgroundLoop, LoopPortal, WorkerPool

logger = logging.getLogger("restmachine")

Function = TypeVar("Function", bound=Callable[..., Any])


class Decorator(Protocol):
    """Records a function and returns it unchanged."""

    def __call__(self, function: Function, /) -> Function:
        """Record it."""


class ConfigurationWarning(UserWarning):
    """The application works, but hardly as it was meant."""


class RestApplication:
    """Routes, dependencies and callbacks, and the way from a request to its response.

    Args:
        blocking: Whether sync functions may block, and so run on worker threads under ASGI.
            A route or dependency may say otherwise.
        threads: How many worker threads there are at most.
        challenge: What WWW-Authenticate says with a 401 (RFC 9110 section 11.6.1).
        max_content: The longest content of a request, in bytes; more is 413.
    """

    def __init__(
        self,
        *,
        blocking: bool = True,
        threads: int = DEFAULT_THREADS,
        challenge: str = "Bearer",
        max_content: int = 10 * 1024 * 1024,
    ) -> None:
        self._registry = Registry(blocking=blocking, challenge=challenge, max_content=max_content)
        for renderer in (JSONRenderer(), HTMLRenderer(), PlainTextRenderer()):
            self._registry.renderers[renderer.media_type] = renderer
        self._routes: dict[tuple[str, str], Route] = {}
        self._startup: list[str] = []
        self._shutdown: list[Recipe] = []
        self._compiled: _Compiled | None = None
        self._lock = threading.RLock()
        self._made: list[Resource] = []
        self._started = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background: BackgroundLoop | None = None
        self.workers = WorkerPool(threads)

    # ---- routes --------------------------------------------------------------------------

    def route(
        self,
        method: HTTPMethod | str,
        path: str,
        *,
        bypass_state_machine: bool = False,
        blocking: bool | None = None,
        creates: bool = False,
        max_content: int | None = None,
        languages: tuple[str, ...] = (),
        charsets: tuple[str, ...] = (),
        encodings: tuple[str, ...] = (),
    ) -> Decorator:
        """Declare the handler for a method and a path template.

        Args:
            bypass_state_machine: Ask no decision; routing, injection and teardown remain.
            blocking: Whether the sync functions of this route may block.
            creates: A PUT to an absent resource makes it, and answers 201.
            max_content: The longest content in bytes.
            languages, charsets, encodings: What the handler offers; it gets the choice as
                `language`, `charset` and `encoding`.

        Raises:
            ConfigurationError: The method or the template is not one.
        """
        name = str(method).upper()
        if name not in KNOWN_METHODS:
            raise ConfigurationError(
                f"{method!r} is not an HTTP method; use one of {', '.join(HTTPMethod)}."
            )
        template = Template(path)

        def record(handler: Function) -> Function:
            options = RouteOptions(
                bypass=bypass_state_machine,
                blocking=blocking,
                creates=creates,
                max_content=max_content,
                languages=languages,
                charsets=charsets,
                encodings=encodings,
            )
            for mark, value in marks_of(handler).items():
                setattr(options, mark, value)
            route = Route(name, template, handler, options)
            if (name, template.path) in self._routes:
                warnings.warn(
                    f"A second handler for {route} replaces the first.",
                    ConfigurationWarning,
                    stacklevel=2,
                )
            self._routes[name, template.path] = route
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

    @property
    def routes(self) -> list[Route]:
        """The routes in the order in which they were declared."""
        return list(self._routes.values())

    # ---- dependencies --------------------------------------------------------------------

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

    def validates(self, function: Function) -> Function:
        """Register a dependency that returns a Pydantic model; what it refuses is 422.

        Raises:
            MissingExtraError: Pydantic is not installed.
        """
        try:
            import pydantic  # noqa: F401 - only whether it is there
        except ModuleNotFoundError:
            raise MissingExtraError("@app.validates", "pydantic", "validation") from None
        return self._record(function, Recipe(function))

    @contextmanager
    def dependency_overrides(self, **functions: Callable[..., Any]) -> Iterator[None]:
        """Replace dependencies by name while a test runs.

        The scope of each stays as it was.

        Raises:
            ConfigurationError: A name is not that of a dependency.
        """
        recipes = self._registry.recipes
        for name in functions:
            if name not in recipes:
                raise ConfigurationError(
                    f'"{name}" cannot be overridden: no dependency has that name.'
                )
        former = {name: recipes[name] for name in functions}
        for name, function in functions.items():
            recipes[name] = Recipe(function, name, former[name].scope)
        self._changed()
        try:
            yield
        finally:
            recipes.update(former)
            self._changed()

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

    def observe(self, observer: Observer) -> None:
        """Let an observer hear of every request from now on."""
        self._registry.observers.append(observer)
        self._changed()

    # ---- callbacks -----------------------------------------------------------------------

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

    def default_known_method(self, function: Function) -> Function:
        """Decision B12 for every route: falsy is 501."""
        return self._default("known_method", function)

    def default_uri_too_long(self, function: Function) -> Function:
        """Decision B11 for every route: true is 414."""
        return self._default("uri_too_long", function)

    def default_method_allowed(self, function: Function) -> Function:
        """Decision B10 for every route: falsy is 405."""
        return self._default("method_allowed", function)

    def default_malformed_request(self, function: Function) -> Function:
        """Decision B9 for every route: true is 400."""
        return self._default("malformed_request", function)

    def default_authorized(self, function: Function) -> Function:
        """Decision B8 for every route: falsy is 401."""
        return self._default("authorized", function)

    def default_forbidden(self, function: Function) -> Function:
        """Decision B7 for every route: true is 403."""
        return self._default("forbidden", function)

    def default_content_headers_valid(self, function: Function) -> Function:
        """Decision B6 for every route: falsy is 400."""
        return self._default("content_headers_valid", function)

    def default_resource_exists(self, function: Function) -> Function:
        """Decision G7 for every route: falsy is 404."""
        return self._default("resource_exists", function)

    # ---- life ----------------------------------------------------------------------------

    async def startup(self) -> None:
        """Compile, then run what `on_startup` registered, in order; once.

        Raises:
            ConfigurationError: The application cannot work as it was declared.
            Exception: Whatever a startup function raises, once what was made is shut down.
        """
        if self._started:
            return
        self._loop = asyncio.get_running_loop()
        compiled = self.compiled
        try:
            for name in self._startup:
                await compiled.resources[name].get_async(on_loop=True)
        except BaseException:
            await self.shutdown()
            raise
        self._started = True

    def startup_sync(self) -> None:
        """Do what `startup` does, from a program without an event loop."""
        if self._started:
            return
        compiled = self.compiled
        try:
            for name in self._startup:
                compiled.resources[name].get(self._portal())
        except BaseException:
            self.shutdown_sync()
            raise
        self._started = True

    async def shutdown(self) -> None:
        """Let the workers end, run what `on_shutdown` registered, then finish session generators.

        The last one made is finished first.
        """
        # In a thread: what a worker still does may need this loop to end.
        await asyncio.to_thread(self.workers.close)
        for function in self._at_shutdown():
            await _logged(function.get_async(on_loop=True), function)
        for resource in reversed(self._made.copy()):
            await _logged(resource.finish_async(), resource)
        self._end()

    def shutdown_sync(self) -> None:
        """Do what `shutdown` does, from a program without an event loop."""
        portal = self._portal()
        self.workers.close()
        for function in self._at_shutdown():
            try:
                function.get(portal)
            except Exception:
                logger.exception("%s failed", function.recipe)
        for resource in reversed(self._made.copy()):
            try:
                resource.finish(portal)
            except Exception:
                logger.exception("Finishing %s failed", resource.recipe)
        self._end()

    def _at_shutdown(self) -> list[Resource]:
        """Return the shutdown functions whose resources were made."""
        recipes = [*self._registry.recipes.values(), *self._shutdown]
        wired = wire_resources(recipes, [], self.compiled.resources)
        functions = [wired[recipe.name] for recipe in self._shutdown]
        return [function for function in functions if function.can_be_made]

    def _end(self) -> None:
        self._made.clear()
        self._started = False
        self._loop = None
        if self._background is not None:
            self._background.close()
            self._background = None

    # ---- requests ------------------------------------------------------------------------

    @property
    def compiled(self) -> _Compiled:
        """Everything compiled, which happens now if something changed.

        Raises:
            ConfigurationError: The application cannot work as it was declared.
        """
        compiled = self._compiled
        if compiled is None:
            with self._lock:
                compiled = self._compiled
                if compiled is None:
                    compiled = self._compile()
                    self._compiled = compiled
        return compiled

    def dispatch(self, method: str, path: str) -> tuple[Plan, list[str]]:
        """Return the plan for a method and path, and the values of the path's parameters."""
        compiled = self._compiled or self.compiled
        return compiled.table.find(method, path) or compiled.dispatch_rest(method, path)

    def execute(self, request: Request) -> Response:
        """Answer a request on the calling thread, async code included.

        No event loop is needed. A stream is read to its end before its dependencies are
        torn down.
        """
        exchange = self._exchange(request)
        plan = exchange.plan
        exchange.portal = self._portal() if plan.may_await or plan.streams_content else None
        respond(exchange)
        if is_stream(exchange.content):
            if exchange.portal is None and isinstance(exchange.content, AsyncIterable):
                exchange.portal = self._portal()
            drain(exchange)
        return self._response(exchange)

    async def aexecute(self, request: Request) -> Response:
        """Answer a request on the running event loop; sync code runs on worker threads."""
        exchange = self._exchange(request)
        await respond_on_loop(exchange, self.workers)
        if is_stream(exchange.content):
            await drain_on_loop(exchange, self.workers)
        return self._response(exchange)

    def _exchange(self, request: Request) -> DirectExchange:
        plan, values = self.dispatch(str(request.method), request.path)
        exchange = DirectExchange(plan, request, values)
        request.path_params = {**request.path_params, **exchange.path_params}
        if plan.observed:
            exchange.notes = {}
            notify(plan.hears["request_started"], exchange)
        return exchange

    def _response(self, exchange: Exchange) -> Response:
        content = b"" if exchange.method == "HEAD" else exchange.content
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.head]
        if exchange.plan.observed:
            notify(exchange.plan.hears["response_started"], exchange, exchange.status)
            finished = exchange.plan.hears["request_finished"]
            notify(finished, exchange, exchange.status, len(content))
        return Response(exchange.status, content or None, pairs)

    def _portal(self) -> Portal:
        """Return the way to the loop on which async resources live."""
        if self._loop is not None and self._loop.is_running():
            return LoopPortal(self._loop)
        with self._lock:
            if self._background is None:
                self._background = BackgroundLoop()
            return self._background.portal

    # ---- recording -----------------------------------------------------------------------

    def _record(self, function: Function, recipe: Recipe) -> Function:
        self._registry.recipes[recipe.name] = recipe
        self._changed()
        return function

    def _callback(self, kind: str, function: Function) -> Function:
        names = self._registry.callbacks.setdefault(kind, [])
        if function.__name__ not in names:
            names.append(function.__name__)
        return self._record(function, Recipe(function))

    def _default(self, kind: str, function: Function) -> Function:
        self._registry.defaults[kind] = Recipe(function)
        self._changed()
        return function

    def _changed(self) -> None:
        with self._lock:
            if self._compiled is not None:
                self._registry.resources = self._compiled.resources
            self._compiled = None

    def _compile(self) -> _Compiled:
        registry = self._registry
        registry.resources = wire_resources(
            registry.recipes.values(), self._made, registry.resources
        )
        compiled = _Compiled(registry, self.routes)
        compiled.warn_of_idle_checks()
        return compiled


class _Compiled:
    """Every plan of an application as it stands; made whole, then only added to."""

    def __init__(self, registry: Registry, routes: list[Route]) -> None:
        self._registry = registry
        self.resources = registry.resources
        self.table: Table[Plan] = Table()
        for route in routes:
            plan = Plan(registry, route.method, route, route.path, (route.method,))
            self.table.add(route.template, route.method, plan)
        self._unmatched = Plan(registry, "", None, None, ())
        self._others: dict[tuple[str, str], Plan] = {}

    def dispatch_rest(self, method: str, path: str) -> tuple[Plan, list[str]]:
        """Return the plan for what no route declares: HEAD, OPTIONS, 405, 501 and 404."""
        nodes = self.table.matches(path)
        if not nodes:
            return self._unmatched, []
        template = nodes[0].template
        assert template is not None
        if method == "HEAD" and (found := self.table.find("GET", path)) is not None:
            get, values = found
            assert get.route is not None
            return self._other(method, get.route.path, get.route, nodes), values
        return self._other(method, template.path, None, nodes), []

    def _other(
        self, method: str, template: str, route: Route | None, nodes: list[Node[Plan]]
    ) -> Plan:
        allowed = {method for node in nodes for method in node.targets} | {"OPTIONS"}
        if "GET" in allowed:
            allowed.add("HEAD")
        key = (method, " ".join([template, *(str(id(node)) for node in nodes)]))
        plan = self._others.get(key)
        if plan is None:
            plan = Plan(self._registry, method, route, template, sorted(allowed))
            if method in KNOWN_METHODS:  # a client must not fill the memory with its own
                self._others[key] = plan
        return plan

    def warn_of_idle_checks(self) -> None:
        """Warn of `authorized` and `forbidden` functions that protect no route."""
        asked = {
            check.need.name
            for node in self.table.nodes()
            for plan in node.targets.values()
            for kind in ("authorized", "forbidden")
            for check in plan.checks.get(kind, ())
        }
        for kind in ("authorized", "forbidden"):
            for name in self._registry.callbacks.get(kind, ()):
                if name not in asked:
                    warnings.warn(
                        f'No route reaches the {kind} function "{name}", so it protects '
                        f"nothing. Name it as a parameter, or use @app.default_{kind}.",
                        ConfigurationWarning,
                        stacklevel=2,
                    )


async def _logged(awaitable: Any, resource: Resource) -> None:
    """Await one part of the shutdown; its failure is logged and stops no other."""
    try:
        await awaitable
    except Exception:
        logger.exception("%s failed at shutdown", resource.recipe)
