"""What follows the end of a plan: error handlers, response policies, default header fields.

An `Ending` is compiled only for plans to which something of that kind applies. Whatever
fails in it is logged and left out, so that the default answer remains.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from restmachine.binding import Getter
from restmachine.dependencies import Call, Need, Preparation, Source, Wiring
from restmachine.errors import (
    ClientDisconnected,
    ConfigurationError,
    RequestHeaderFieldsTooLarge,
)
from restmachine.exchange import IDENTIFIERS, Exchange
from restmachine.headers import MultiValueHeaders, Pair, merge_vary
from restmachine.negotiation import best_media_type
from restmachine.outcome import add_fields, explain, state_problem, with_defaults
from restmachine.policies import ResponsePolicy
from restmachine.problems import phrase
from restmachine.recipes import Kind, Recipe, handler_recipe
from restmachine.registry import Policy

logger = logging.getLogger("restmachine")

# What an error handler and a function for header fields get beside what all functions do.
# The content of a request that failed may never come, so it is not waited for.
_OF_ERRORS: Mapping[str, Source] = {
    "request": Source(lambda x: x.message),
    "message": Source(lambda x: x.detail if isinstance(x.detail, str) else phrase(x.status)),
    "status_code": Source(lambda x: x.status),
}
_OF_HEADERS: Mapping[str, Source] = {
    "request": Source(lambda x: x.message),
    "headers": Source(lambda x: x.default_headers),
}


# No client may fill the log with what it sends, or by leaving.
_CLIENTS_DOING = (ClientDisconnected, RequestHeaderFieldsTooLarge)


class Task(NamedTuple):
    """A user's function of an ending, and what is done with its value."""

    name: str
    before: Preparation
    get: Getter
    get_later: Callable[[Exchange], Awaitable[Any]]
    use: Callable[[Exchange, Any], None]
    blocks: bool
    awaits: bool

    @classmethod
    def of_call(cls, call: Call, use: Callable[[Exchange, Any], None]) -> Task:
        """Return the task of calling a function."""
        before = call.before
        return cls(
            call.name,
            before,
            call.run,
            call.run_async,
            use,
            blocks=before.blocks or call.blocks,
            awaits=before.awaits or call.kind.is_async,
        )

    @classmethod
    def of_need(cls, need: Need, use: Callable[[Exchange, Any], None]) -> Task:
        """Return the task of making a dependency."""
        before = Preparation.of([need])

        async def get_later(exchange: Exchange) -> Any:
            return need.get(exchange)

        return cls(need.name, before, need.get, get_later, use, before.blocks, before.awaits)

    def run(self, exchange: Exchange) -> None:
        """Run it on a thread that may block; a failure is logged."""
        try:
            self.use(exchange, self.get(exchange))
        except Exception as error:
            self._log(error)

    async def run_later(self, exchange: Exchange) -> None:
        """Run it on the event loop; a failure is logged."""
        try:
            await self.before.run(exchange)
            self.use(exchange, await self.get_later(exchange))
        except Exception as error:
            self._log(error)

    def _log(self, error: Exception) -> None:
        _tell(self.name, error)


def _tell(name: str, error: Exception) -> None:
    if not isinstance(error, _CLIENTS_DOING):
        logger.error('"%s" failed and is left out of the response', name, exc_info=error)


class _Handler(NamedTuple):
    """An error handler of one policy: for which statuses, and which media type it gives."""

    codes: frozenset[int]
    media_type: str | None
    task: Task


class Defaults:
    """The functions for header fields of a plan where each asks for nothing and needs no thread.

    The fast ways call these without an exchange; the tasks of an `Ending` are their plain twin
    (bench_features.py::bench_default_headers_on).
    """

    __slots__ = ("_calls",)

    def __init__(self, calls: Sequence[tuple[str, Callable[[], Any], bool]]) -> None:
        self._calls = tuple(calls)

    async def added_to(self, head: list[Pair], status: int) -> list[Pair]:
        """Return the fields of a response with those that the functions give."""
        fields = MultiValueHeaders()
        for name, function, awaits in self._calls:
            try:
                value = function()
                if awaits:
                    value = await value
                if len(self._calls) == 1 and value.__class__ is dict and _is_text(value):
                    return with_defaults(head, _encoded(tuple(value.items())), status)
                _join(fields, value)
            except Exception as error:
                _tell(name, error)
        return with_defaults(head, fields.encoded(), status) if fields else head


def _is_text(fields: Mapping[Any, Any]) -> bool:
    """Return whether all is text, of which equal ones are alike."""
    return all(name.__class__ is value.__class__ is str for name, value in fields.items())


@lru_cache(maxsize=256)
def _encoded(fields: tuple[tuple[str, str], ...]) -> list[Pair]:
    return MultiValueHeaders(fields).encoded()


def _find_defaults(calls: Sequence[Call]) -> Defaults | None:
    """Return the functions as the fast ways call them, None if they cannot."""
    simple = (Kind.PLAIN, Kind.COROUTINE)
    found = [
        (call.name, call.bare, call.kind.is_async)
        for call in calls
        if call.bare is not None and not call.blocks and call.kind in simple and not call.verify
    ]
    return Defaults(found) if len(found) == len(calls) else None


class Ending:
    """What a plan does between its end and the response.

    Attributes:
        always: Whether something is asked for every response.
        defaults: That, if the fast ways can do it; None else.
        is_constant: Whether every response is given the same fields, and nothing else is done.
    """

    def __init__(
        self,
        levels: Sequence[Sequence[_Handler]],
        identifiers: Sequence[Task],
        headers: Sequence[Task],
        policy: ResponsePolicy | None,
        defaults: Defaults | None = None,
    ) -> None:
        self._levels = tuple(tuple(level) for level in levels)
        self._identifiers = tuple(identifiers)
        self._headers = tuple(headers)
        self._policy = policy
        everything = [
            *identifiers,
            *(handler.task for level in levels for handler in level),
            *headers,
        ]
        self.blocks = any(task.blocks for task in everything)
        self.awaits = any(task.awaits for task in everything)
        self.always = bool(headers) or (policy is not None and policy.csp is not None)
        self.defaults = defaults
        self.is_constant = not everything and (policy is None or policy.is_constant)

    def concerns(self, exchange: Exchange) -> bool:
        """Return whether anything follows for this response; error handlers cost others little."""
        return self.always or self._policy is not None or _is_unhandled(exchange)

    def run(self, exchange: Exchange) -> None:
        """Call the functions for this response on a thread that may block; then `state`."""
        for task in self._tasks(exchange):
            task.run(exchange)

    async def run_later(self, exchange: Exchange) -> None:
        """Call the functions for this response on the event loop; then `state`."""
        for task in self._tasks(exchange):
            await task.run_later(exchange)

    def state(self, exchange: Exchange) -> None:
        """State the fields that a response lacks, once it is known what it is."""
        if self._policy is not None:
            self._policy.put(exchange)
        add_fields(exchange)

    def blocks_now(self, exchange: Exchange) -> bool:
        """Return whether finishing this response may block."""
        return self.blocks and any(task.blocks for task in self._tasks(exchange))

    def _tasks(self, exchange: Exchange) -> list[Task]:
        tasks: list[Task] = []
        if _is_unhandled(exchange):
            tasks.extend(self._identifiers)
            handler = self._handler(exchange)
            if handler is not None:
                tasks.append(handler.task)
        if not exchange.has_default_headers:
            tasks.extend(self._headers)
        return tasks

    def _handler(self, exchange: Exchange) -> _Handler | None:
        """Return the handler of the innermost policy that has one.

        One that names the status comes before a catch-all, and of these one for the media
        type that the client prefers before one for any.
        """
        for level in self._levels:
            naming = [handler for handler in level if exchange.status in handler.codes]
            catching = [handler for handler in level if not handler.codes]
            for group in (naming, catching):
                found = _preferred(group, exchange.accept)
                if found is not None:
                    return found
        return None


def _is_unhandled(exchange: Exchange) -> bool:
    """Return whether the framework answers with an error, and not the handler."""
    return exchange.status >= 400 and not exchange.handled


def _preferred(handlers: Sequence[_Handler], accept: str | None) -> _Handler | None:
    typed: dict[str, _Handler] = {
        handler.media_type: handler
        for handler in reversed(handlers)
        if handler.media_type is not None
    }
    offered = [handler.media_type for handler in handlers if handler.media_type is not None]
    media_type = best_media_type(accept, offered)
    if media_type is not None:
        return typed[media_type]
    return next((handler for handler in handlers if handler.media_type is None), None)


def build_ending(
    wiring: Wiring,
    policies: Sequence[Policy],
    recipes: Mapping[str, Recipe],
    content_names: Collection[str],
    stated: ResponsePolicy | None,
) -> Ending | None:
    """Return what follows a plan's end, None when nothing does.

    Args:
        content_names: The names by which functions ask for the content of the request.
        stated: The response policy that holds, None for none.

    Raises:
        ConfigurationError: Something of it asks for content which the route does not read.
    """
    asked = {*wiring.asked}
    reached = set(wiring.reached)
    provided = {name for policy in policies for name in policy.identifiers}
    identifiers = [
        Task.of_need(wiring.need(name), _identify(name))
        for name in IDENTIFIERS
        if name in recipes and recipes[name].scope == "request" and name in reached | provided
    ]
    levels = [_handlers(wiring, policy) for policy in reversed(policies)]
    calls = [
        wiring.call(recipe, str(recipe), own=_OF_HEADERS)
        for policy in policies
        for recipe in policy.header_functions
    ]
    headers = [Task.of_call(call, _default) for call in calls]
    if not identifiers and not headers and not any(levels) and stated is None:
        return None
    late = sorted((wiring.asked - asked).intersection(content_names))
    if late:
        raise ConfigurationError(
            f'An error handler, or a function for header fields, asks for "{late[0]}". The content '
            "of a request that failed may never come, so it is there only on routes that read it. "
            f'Remove "{late[0]}", or ask for "request".'
        )
    is_asked = stated is not None and stated.csp is not None
    defaults = None if is_asked or not calls else _find_defaults(calls)
    return Ending(levels, identifiers, headers, stated, defaults)


def _handlers(wiring: Wiring, policy: Policy) -> list[_Handler]:
    handlers = []
    for codes, function in policy.error_handlers:
        recipe = handler_recipe(function)
        call = wiring.call(recipe, f'the error handler "{recipe.name}"', own=_OF_ERRORS)
        for content_type in policy.error_types.get(function, (None,)):
            task = Task.of_call(call, _explain(content_type))
            media_type = None if content_type is None else content_type.partition(";")[0].strip()
            handlers.append(_Handler(codes, media_type, task))
    return handlers


def _explain(content_type: str | None) -> Callable[[Exchange, Any], None]:
    return lambda exchange, value: explain(exchange, value, content_type)


def _identify(name: str) -> Callable[[Exchange, Any], None]:
    def use(exchange: Exchange, value: Any) -> None:
        exchange.identify(name, str(value))
        state_problem(exchange)

    return use


def _default(exchange: Exchange, value: Any) -> None:
    """Keep what a function for header fields returned."""
    _join(exchange.default_headers, value)


def _join(former: MultiValueHeaders, value: Any) -> None:
    """Add default header fields to others; a later one wins, Vary is joined."""
    if value is None:
        return
    new = MultiValueHeaders(value)
    if "Vary" in new and "Vary" in former:
        new["Vary"] = merge_vary(former.joined("Vary"), *(new.joined("Vary") or "").split(","))
    former.update(new)
