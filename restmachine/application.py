"""The application: a router with a life, which compiles what was recorded and answers.

Compiling happens at startup, or at the first request, and finds every configuration
mistake. Recording something afterwards compiles anew.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, perf_counter
from typing import Any

from restmachine.compiled import Compiled
from restmachine.errors import ConfigurationError
from restmachine.exchange import CLIENT_CLOSED, DirectExchange, Exchange, Portal
from restmachine.hooks import Observer, one_step, stepped
from restmachine.plan import Plan
from restmachine.recipes import Recipe
from restmachine.registry import Registry
from restmachine.request import Request
from restmachine.resources import Resource, wire_functions, wire_resources
from restmachine.response import Response
from restmachine.router import ConfigurationWarning, Router
from restmachine.routing import Template
from restmachine.serving import drain, drain_on_loop, respond, respond_on_loop
from restmachine.settings import check_challenge, check_seconds, check_whole_number
from restmachine.streaming import is_stream
from restmachine.workers import DEFAULT_THREADS, BackgroundLoop, LoopPortal, WorkerPool

__all__ = ["ConfigurationWarning", "RestApplication"]

logger = logging.getLogger("restmachine")


class RestApplication(Router):
    """Routes, dependencies and callbacks, and the way from a request to its response.

    Args:
        blocking: Whether sync functions may block, and so run on worker threads under ASGI.
            A route or dependency may say otherwise.
        threads: How many worker threads there are at most.
        challenge: What WWW-Authenticate says with a 401 (RFC 9110 section 11.6.1).
        max_content: The longest content of a request, in bytes; more is 413.
        max_form_fields: The most fields of a form; more is 413.
        max_uri: The longest path and query, in bytes; more is 414.
        max_headers: The longest header fields, in bytes, where they are read; more is 431.
        drain_seconds: How long shutdown waits for requests in flight, and then for workers.
        clock: Tells seconds, by which answers that the server keeps grow old.

    Attributes:
        plans: Everything compiled, None while that is to be done; `compiled` does it.

    Raises:
        ConfigurationError: One of these cannot be.
    """

    def __init__(
        self,
        *,
        blocking: bool = True,
        threads: int = DEFAULT_THREADS,
        challenge: str = "Bearer",
        max_content: int = 10 * 1024 * 1024,
        max_form_fields: int = 1000,
        max_uri: int = 8 * 1024,
        max_headers: int = 32 * 1024,
        drain_seconds: float = 10.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__()
        owner = "RestApplication"
        check_whole_number(owner, "threads", threads, 1)
        check_whole_number(owner, "max_content", max_content, 0)
        check_whole_number(owner, "max_form_fields", max_form_fields, 0)
        check_whole_number(owner, "max_uri", max_uri, 1)
        check_whole_number(owner, "max_headers", max_headers, 1)
        check_seconds(owner, "drain_seconds", drain_seconds)
        check_challenge(owner, challenge)
        self._settings = Registry(
            blocking=blocking,
            challenge=challenge,
            max_content=max_content,
            max_form_fields=max_form_fields,
            max_uri=max_uri,
            max_headers=max_headers,
            clock=clock,
        )
        self._observers: list[Observer] = []
        self._resources: dict[str, Resource] = {}
        self.plans: Compiled | None = None
        self._lock = threading.RLock()
        self._made: list[Resource] = []
        self._started = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background: BackgroundLoop | None = None
        self.max_uri = max_uri
        self.drain_seconds = drain_seconds
        self.workers = WorkerPool(threads)

    @contextmanager
    def dependency_overrides(self, **functions: Callable[..., Any]) -> Iterator[None]:
        """Replace dependencies by name while a test runs.

        The scope of each stays as it was.

        Raises:
            ConfigurationError: A name is not that of a dependency.
        """
        known = self._all_recipes()
        for name in functions:
            if name not in known:
                raise ConfigurationError(
                    f'"{name}" cannot be overridden: no dependency has that name.'
                )
        former, resources = self._recipes.copy(), self._resources
        for name, function in functions.items():
            self._recipes[name] = Recipe(function, name, known[name].scope)
        self._changed()
        try:
            yield
        finally:
            for name in functions:
                del self._recipes[name]
                if name in former:
                    self._recipes[name] = former[name]
            self._resources = resources
            self._changed()

    def observe(self, observer: Observer) -> None:
        """Let an observer hear of every request from now on.

        Raises:
            ConfigurationError: It is none.
        """
        if not isinstance(observer, Observer):
            raise ConfigurationError(
                f"{observer!r} cannot observe: hand over an instance of a subclass of "
                "restmachine.Observer."
            )
        self._observers.append(observer)
        self._changed()

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
            for name in self._startup_names():
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
            for name in self._startup_names():
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
        await asyncio.to_thread(self.workers.close, self.drain_seconds)
        for function in self._at_shutdown():
            await _logged(function.get_async(on_loop=True), function)
        for resource in reversed(self._made.copy()):
            await _logged(resource.finish_async(), resource)
        self._end()

    def shutdown_sync(self) -> None:
        """Do what `shutdown` does, from a program without an event loop."""
        portal = self._portal()
        self.workers.close(self.drain_seconds)
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
        """Return the shutdown functions, without those that take only what was never made."""
        functions = self._wire_shutdown(self._all_recipes())
        return [function for function in functions if function.has_purpose]

    def _wire_shutdown(self, recipes: dict[str, Recipe]) -> list[Resource]:
        shutdown = [recipe for router in self._everyone() for recipe in router._shutdown]
        return wire_functions(shutdown, recipes.values(), self._made, self._resources)

    def _end(self) -> None:
        self._made.clear()
        self._started = False
        self._loop = None
        if self._background is not None:
            self._background.close()
            self._background = None

    @property
    def compiled(self) -> Compiled:
        """Everything compiled, which happens now if something changed.

        Raises:
            ConfigurationError: The application cannot work as it was declared.
        """
        compiled = self.plans
        if compiled is None:
            with self._lock:
                compiled = self.plans
                if compiled is None:
                    with _without_collections():
                        compiled = self._compile()
                    self.plans = compiled
        return compiled

    def dispatch(self, method: str, path: str) -> tuple[Plan, list[str]]:
        """Return the plan for a method and path, and the values of the path's parameters."""
        return (self.plans or self.compiled).dispatch(method, path)

    def execute(self, request: Request) -> Response:
        """Answer a request on the calling thread, async code included.

        No event loop is needed. A stream is read to its end before its dependencies are
        torn down.
        """
        exchange = self.exchange_for(request)
        plan = exchange.plan
        exchange.portal = self._portal() if plan.may_await or plan.streams_content else None
        if plan.observed:
            with _observed(exchange):
                one_step(exchange.steps, self._answer, exchange)
        else:
            self._answer(exchange)
        return _response(exchange)

    def _answer(self, exchange: Exchange) -> None:
        respond(exchange)
        if is_stream(exchange.content):
            if exchange.portal is None and isinstance(exchange.content, AsyncIterable):
                exchange.portal = self._portal()
            drain(exchange)

    async def aexecute(self, request: Request) -> Response:
        """Answer a request on the running event loop; sync code runs on worker threads."""
        exchange = self.exchange_for(request)
        answering = self._answer_on_loop(exchange)
        if exchange.plan.observed:
            with _observed(exchange):
                steps = exchange.steps
                await (answering if steps is None else stepped(answering, steps))
        else:
            await answering
        return _response(exchange)

    async def _answer_on_loop(self, exchange: Exchange) -> None:
        await respond_on_loop(exchange, self.workers)
        if is_stream(exchange.content):
            await drain_on_loop(exchange, self.workers)

    def exchange_for(self, request: Request) -> DirectExchange:
        """Return the exchange in which a request will be answered, routed and measured."""
        plan, values = self.dispatch(str(request.method), request.path)
        if request.target_bytes > plan.max_uri:
            plan = plan.refusing(414)
        return DirectExchange(plan, request, values)

    def _portal(self) -> Portal:
        """Return the way to the loop on which async resources live."""
        if self._loop is not None and self._loop.is_running():
            return LoopPortal(self._loop)
        with self._lock:
            if self._background is None:
                self._background = BackgroundLoop()
            return self._background.portal

    def _changed(self) -> None:
        with self._lock:
            self.plans = None
            super()._changed()

    def _all_recipes(self) -> dict[str, Recipe]:
        recipes: dict[str, Recipe] = {}
        self._collect_recipes(recipes, frozenset())
        return recipes

    def _startup_names(self) -> list[str]:
        """Return what startup makes, in order of registration, mounted routers last."""
        names = [name for router in self._everyone() for name in router._startup]
        return list(dict.fromkeys(names))

    def _compile(self) -> Compiled:
        recipes = self._all_recipes()
        self._resources = wire_resources(recipes.values(), self._made, self._resources)
        self._wire_shutdown(recipes)
        callbacks: dict[str, list[str]] = {}
        for router in self._everyone():
            for kind, names in router._callbacks.items():
                known = callbacks.setdefault(kind, [])
                known += [name for name in names if name not in known]
        parsers: dict[str, Recipe] = {}
        for router in self._everyone():
            parsers = router._parsers | parsers
        policies = [(Template(place), router._policy) for place, router in self._places("")]
        registry = replace(
            self._settings,
            recipes=recipes,
            callbacks=callbacks,
            parsers=parsers,
            policies=sorted(policies, key=lambda policy: policy[0].depth),
            resources=self._resources,
            observers=self._observers,
            caches={},
        )
        compiled = Compiled(registry, self.routes)
        compiled.warn_of_idle_checks()
        return compiled


@contextmanager
def _without_collections() -> Iterator[None]:
    """Make many objects that stay, without a look among them for garbage.

    That would take as long again while they are made (bench_startup.py::bench_compiling_100), and
    once more as soon as it may happen. So they are old from the start: only a full collection
    looks at them, as at all that has stayed for a while.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():  # else what the user froze would thaw
                gc.freeze()
                gc.unfreeze()  # into the oldest generation
            gc.enable()


@contextmanager
def _observed(exchange: Exchange) -> Iterator[None]:
    """Tell observers of the start and the end of an exchange, whatever comes between."""
    hears = exchange.plan.hears
    status, sent_bytes = CLIENT_CLOSED, 0
    exchange.marks = [perf_counter()]
    if hears.request_started is not None:
        hears.request_started(exchange, exchange.marks[0])
    if hears.follow is not None:
        exchange.steps = hears.follow(exchange)
    try:
        yield
        status, sent_bytes = exchange.status, len(_content(exchange))
        if hears.response_started is not None:
            hears.response_started(exchange, status, perf_counter())
    finally:
        exchange.finished = perf_counter()
        if hears.request_finished is not None:
            hears.request_finished(exchange, status, sent_bytes, exchange.finished)


def _content(exchange: Exchange) -> bytes:
    content: bytes = b"" if exchange.method == "HEAD" else exchange.content
    return content


def _response(exchange: Exchange) -> Response:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.head]
    return Response(exchange.status, _content(exchange) or None, pairs)


async def _logged(awaitable: Any, resource: Resource) -> None:
    """Await one part of the shutdown; its failure is logged and stops no other."""
    try:
        await awaitable
    except Exception:
        logger.exception("%s failed at shutdown", resource.recipe)
