"""The graph of dependencies, and the compiled call of a user's function.

A `Wiring` belongs to one plan: it gives every request dependency that the plan reaches a
place in `Exchange.values`, and turns a recipe into a `Call` that finds its arguments
without looking at a signature again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from types import MappingProxyType
from typing import Any
from uuid import UUID

from restmachine.errors import DependencyCycleError, NotFound, UnknownDependencyError
from restmachine.exchange import MISSING, Exchange
from restmachine.hooks import Listeners, notify
from restmachine.recipes import (
    DependencyScope,
    Function,
    Kind,
    Parameter,
    Recipe,
    start,
    start_async,
)
from restmachine.request import Request
from restmachine.resources import Resource

__all__ = ["Call", "DependencyScope", "Need", "Preparation", "Source", "Wiring"]

Getter = Callable[[Exchange], Any]


@dataclass(slots=True, frozen=True)
class Source:
    """A name that the framework provides: how it is found, and whether it takes the content."""

    get: Getter
    reads_content: bool = False


_NOTHING: Mapping[str, Source] = MappingProxyType({})


class Need:
    """One request dependency of a plan: its place, and how its value is made."""

    __slots__ = ("awaits", "blocks", "call", "name", "slot")

    def __init__(self, slot: int, recipe: Recipe, call: Call) -> None:
        self.slot = slot
        self.name = recipe.name
        self.call = call
        self.awaits = recipe.kind.is_async
        self.blocks = call.blocks

    def get(self, exchange: Exchange) -> Any:
        """Return the value of this request, made on first use; this may block."""
        value = exchange.values[self.slot]
        if value is MISSING:
            value = exchange.values[self.slot] = self.call.run(exchange)
        return value


class Preparation:
    """What must be made before something of a plan can run, in order.

    Attributes:
        needs: The request dependencies.
        resources: The session dependencies.
        reads_content: Whether the content of the request must have been read.
    """

    __slots__ = ("needs", "reads_content", "resources")

    def __init__(
        self,
        needs: Iterable[Need] = (),
        resources: Iterable[Resource] = (),
        reads_content: bool = False,
    ) -> None:
        self.needs = tuple(dict.fromkeys(needs))
        self.resources = tuple(dict.fromkeys(resources))
        self.reads_content = reads_content

    @classmethod
    def of(cls, needs: Iterable[Need]) -> Preparation:
        """Return how to make these dependencies with all that they need themselves."""
        whole = cls()
        for need in needs:
            own = need.call.before
            whole = whole.joined(cls((*own.needs, need), own.resources, own.reads_content))
        return whole

    def joined(self, other: Preparation) -> Preparation:
        """Return both, this one first."""
        return Preparation(
            (*self.needs, *other.needs),
            (*self.resources, *other.resources),
            self.reads_content or other.reads_content,
        )

    @property
    def blocks(self) -> bool:
        """Whether it may block a thread."""
        return any(need.blocks for need in self.needs)

    @property
    def awaits(self) -> bool:
        """Whether it may await."""
        return self.reads_content or bool(self.resources) or any(need.awaits for need in self.needs)

    async def run(self, exchange: Exchange, until_blocking: bool = False) -> None:
        """Make everything on the event loop, or all before the first that may block."""
        if self.reads_content and exchange.unread:
            await exchange.read_content()
        for resource in self.resources:
            if resource.value is MISSING:
                await resource.get_async()
        values = exchange.values
        for need in self.needs:
            if until_blocking and need.blocks:
                return
            if values[need.slot] is MISSING:
                values[need.slot] = await need.call.run_async(exchange)


class Call:
    """A user's function whose arguments were found when the plan was compiled."""

    __slots__ = ("before", "blocks", "invoke", "kind", "name")

    def __init__(self, recipe: Recipe, invoke: Getter, blocks: bool, before: Preparation) -> None:
        self.name = recipe.name
        self.kind = recipe.kind
        self.invoke = invoke
        self.blocks = blocks
        self.before = before

    def run(self, exchange: Exchange) -> Any:
        """Return the function's value, blocking where it must."""
        kind = self.kind
        if kind is Kind.PLAIN:
            return self.invoke(exchange)
        if kind is Kind.COROUTINE:
            return exchange.wait_for(self.invoke(exchange))
        generator = self.invoke(exchange)
        if kind is Kind.GENERATOR:
            value = start(self.name, generator)
        else:
            value = exchange.wait_for(start_async(self.name, generator))
        exchange.close_later(self.name, generator, kind.is_async)
        return value

    async def run_async(self, exchange: Exchange) -> Any:
        """Return the function's value; what it needs has been prepared."""
        if self.kind is Kind.COROUTINE:
            return await self.invoke(exchange)
        if self.kind is not Kind.ASYNC_GENERATOR:
            return self.run(exchange)
        generator = self.invoke(exchange)
        value = await start_async(self.name, generator)
        exchange.close_later(self.name, generator, True)
        return value


class ObservedCall(Call):
    """A call of a dependency that tells observers how long it took."""

    __slots__ = ("_listeners",)

    def __init__(self, call: Call, listeners: Listeners) -> None:
        for attribute in Call.__slots__:
            setattr(self, attribute, getattr(call, attribute))
        self._listeners = listeners

    def run(self, exchange: Exchange) -> Any:
        """Return the function's value and tell of it."""
        started = perf_counter()
        value = super().run(exchange)
        notify(self._listeners, exchange, self.name, perf_counter() - started)
        return value

    async def run_async(self, exchange: Exchange) -> Any:
        """Return the function's value and tell of it."""
        if not self.kind.is_async:
            return self.run(exchange)
        started = perf_counter()
        value = await super().run_async(exchange)
        notify(self._listeners, exchange, self.name, perf_counter() - started)
        return value


class Wiring:
    """Finds the arguments of every function that one plan calls."""

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        resources: Mapping[str, Resource],
        sources: Mapping[str, Source],
        path_names: Sequence[str],
        blocking: bool,
        listeners: Listeners = (),
    ) -> None:
        self._recipes = recipes
        self._resources = resources
        self._sources = sources
        self._path_names = path_names
        self._blocking = blocking
        self._listeners = listeners
        self._needs: dict[str, Need] = {}

    @property
    def size(self) -> int:
        """How many places an exchange of this plan has."""
        return len(self._needs)

    @property
    def reached(self) -> Collection[str]:
        """The names of the request dependencies that the calls made so far reach."""
        return self._needs.keys()

    @property
    def places(self) -> Collection[Need]:
        """The places given so far."""
        return self._needs.values()

    def call(
        self,
        recipe: Recipe,
        asked_by: str,
        chain: tuple[str, ...] = (),
        own: Mapping[str, Source] = _NOTHING,
    ) -> Call:
        """Compile the call of a recipe.

        Args:
            own: What this function gets by name before all else, and those it asks do not.

        Raises:
            UnknownDependencyError, DependencyCycleError.
        """
        found = _Arguments()
        for parameter in recipe.parameters:
            name = "request" if parameter.annotation is Request else parameter.name
            if name in own:
                found.add(parameter, own[name].get, own[name].reads_content)
            else:
                self._argument(parameter, asked_by, chain, found)
        blocking = self._blocking if recipe.blocking is None else recipe.blocking
        by_name = len(found.getters) < len(recipe.parameters)
        before = Preparation.of(found.needs).joined(
            Preparation((), found.resources, found.reads_content)
        )
        return Call(recipe, bind(recipe.function, found.getters, by_name), blocking, before)

    def need(self, name: str, chain: tuple[str, ...] = ()) -> Need:
        """Return the place of a registered request dependency."""
        if name in chain:
            raise DependencyCycleError((*chain[chain.index(name) :], name))
        if name not in self._needs:
            self.add(self._recipes[name], (*chain, name))
        return self._needs[name]

    def add(self, recipe: Recipe, chain: tuple[str, ...] = (), key: str = "") -> Need:
        """Give a recipe a place of its own, under another *key* if others must not ask for it."""
        call = self.call(recipe, str(recipe), chain)
        if self._listeners:
            call = ObservedCall(call, self._listeners)
        need = self._needs[key or recipe.name] = Need(len(self._needs), recipe, call)
        return need

    def _argument(
        self, parameter: Parameter, asked_by: str, chain: tuple[str, ...], found: _Arguments
    ) -> None:
        name = parameter.name
        if name == "request" or parameter.annotation is Request:
            source = self._sources["request"]
            found.add(parameter, source.get, source.reads_content)
        elif name in self._path_names:
            found.add(parameter, path_getter(self._path_names.index(name), parameter.annotation))
        elif name in self._resources:
            found.add_resource(parameter, self._resources[name])
        elif name in self._recipes:
            found.add_need(parameter, self.need(name, chain))
        elif name in self._sources:
            source = self._sources[name]
            found.add(parameter, source.get, source.reads_content)
        elif not parameter.optional:
            known = [*self._path_names, *self._recipes, *self._sources]
            raise UnknownDependencyError(name, asked_by, known)


class _Arguments:
    """The arguments of one call while they are being found."""

    def __init__(self) -> None:
        self.getters: list[tuple[Parameter, Getter]] = []
        self.needs: list[Need] = []
        self.resources: list[Resource] = []
        self.reads_content = False

    def add(self, parameter: Parameter, getter: Getter, reads_content: bool = False) -> None:
        self.getters.append((parameter, getter))
        self.reads_content = self.reads_content or reads_content

    def add_resource(self, parameter: Parameter, resource: Resource) -> None:
        self.resources.append(resource)
        self.add(parameter, resource.get)

    def add_need(self, parameter: Parameter, need: Need) -> None:
        self.needs.append(need)
        self.add(parameter, need.get)


def bind(
    function: Function, arguments: Sequence[tuple[Parameter, Getter]], by_name: bool = False
) -> Getter:
    """Return a function of an exchange that calls *function* with these arguments.

    Hot path: a call of its own for up to three arguments saves building a list for each
    request (bench_dependencies.py::bench_bound_call).
    """
    if by_name or any(parameter.keyword_only for parameter, _ in arguments):
        named = [(parameter.name, getter) for parameter, getter in arguments]
        return lambda exchange: function(**{name: get(exchange) for name, get in named})
    match [getter for _, getter in arguments]:
        case []:
            return lambda exchange: function()
        case [one]:
            return lambda exchange: function(one(exchange))
        case [one, two]:
            return lambda exchange: function(one(exchange), two(exchange))
        case [one, two, three]:
            return lambda exchange: function(one(exchange), two(exchange), three(exchange))
        case getters:
            return lambda exchange: function(*[get(exchange) for get in getters])


def path_getter(index: int, annotation: Any) -> Getter:
    """Return how a function gets a path parameter: as text, or converted by annotation.

    A segment that does not convert is 404.
    """
    convert = CONVERTERS.get(annotation) if isinstance(annotation, type) else None
    if convert is None:
        return lambda exchange: exchange.path_values[index]
    return lambda exchange: convert(exchange.path_values[index])


def _integer(text: str) -> int:
    if not _is_integer(text):
        raise NotFound
    return int(text)


def _number(text: str) -> float:
    if not _is_number(text):
        raise NotFound
    return float(text)


def _uuid(text: str) -> UUID:
    if not _is_uuid(text):
        raise NotFound
    return UUID(text)


def _date(text: str) -> date:
    if not _is_date(text):
        raise NotFound
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFound from None


# One spelling for each value, so that one resource has one URI; the lengths are bounded
# because a path is not.
_is_integer = re.compile(r"-?[0-9]{1,40}").fullmatch
_is_number = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?").fullmatch
_is_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_is_date = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch

CONVERTERS: Mapping[type, Callable[[str], Any]] = {
    int: _integer,
    float: _number,
    UUID: _uuid,
    date: _date,
}
