"""The graph of dependencies, and the compiled call of a user's function.

A `Wiring` belongs to one plan: it gives every request dependency that the plan reaches a
place in `Exchange.values`, and turns a recipe into a `Call` that finds its arguments
without looking at a signature again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from restmachine.binding import Converted, Getter, Place, Values, bind, bind_prepared
from restmachine.converters import CONVERTERS
from restmachine.errors import (
    DependencyCycleError,
    UnknownDependencyError,
    UnsupportedMediaType,
)
from restmachine.exchange import MISSING, Exchange
from restmachine.recipes import (
    DependencyScope,
    Kind,
    Parameter,
    Recipe,
    start,
    start_async,
)
from restmachine.representations import FORM, JSON, MULTIPART, TEXT, essence, is_json
from restmachine.request import Request
from restmachine.resources import Resource

__all__ = ["Call", "DependencyScope", "Need", "Preparation", "Source", "Wiring"]

BUILT_IN_PARSERS: Mapping[str, str] = {
    JSON: "json_body",
    FORM: "form_body",
    TEXT: "text_body",
    MULTIPART: "multipart_body",
}
"""What parses the content where the application has no parser of its own, by media type."""

ANY_PARSED_NAMES = ("parsed_body", "parsed_data")
"""Names for the content as the parser of its media type makes it."""

PARSED_NAMES = frozenset({*BUILT_IN_PARSERS.values(), *ANY_PARSED_NAMES})
"""Every name of parsed content, beside those of the application's parsers."""


@dataclass(slots=True, frozen=True)
class Source:
    """A name that the framework provides: how it is found, and whether it takes the content.

    Attributes:
        once: Whether it is found once for each request, and stays the same.
    """

    get: Getter
    reads_content: bool = False
    once: bool = True


_NOTHING: Mapping[str, Source] = MappingProxyType({})


class Made(Protocol):
    """What makes a value once for each request; a `Call` of a user's function is one.

    Attributes:
        name: What it makes.
        blocks: Whether `run` may block its thread.
        before: What must be made before.
    """

    name: str
    blocks: bool
    before: Preparation

    def run(self, exchange: Exchange) -> Any:
        """Return the value, on a thread that may block."""

    async def run_async(self, exchange: Exchange) -> Any:
        """Return the value on an event loop, once what it needs has been prepared."""


class Need:
    """One request dependency of a plan: its place, and how its value is made.

    Attributes:
        make: Makes the value, or its coroutine if `awaits`, of what has been prepared alone;
            None if that takes more.
        verify: Raises an exception for a value that must not be made so; None for most.
        find: Finds the value in the exchange, without waiting; None if it is made.
    """

    __slots__ = ("awaits", "blocks", "call", "find", "make", "name", "slot", "verify")

    def __init__(self, slot: int, call: Made, awaits: bool) -> None:
        self.slot = slot
        self.name = call.name
        self.call = call
        self.awaits = awaits
        self.blocks = call.blocks
        self.make = self.verify = None
        if type(call) is Call and call.kind in (Kind.PLAIN, Kind.COROUTINE):
            self.make, self.verify = call.invoke_prepared, call.verify
        self.find = call.run if type(call) is SourceCall else None

    def get(self, exchange: Exchange) -> Any:
        """Return the value of this request, made on first use; this may block."""
        value = exchange.values[self.slot]
        if value is MISSING:
            value = exchange.values[self.slot] = self.call.run(exchange)
        return value

    async def get_async(self, exchange: Exchange) -> Any:
        """Return the value of this request, made on first use with all that it needs."""
        if exchange.values[self.slot] is MISSING:
            await self.call.before.run(exchange)
            exchange.values[self.slot] = await self.call.run_async(exchange)
        return exchange.values[self.slot]


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
        whole = NOTHING
        for need in needs:
            own = need.call.before
            whole = whole.joined(cls((*own.needs, need), own.resources, own.reads_content))
        return whole

    def joined(self, other: Preparation) -> Preparation:
        """Return both, this one first."""
        if other is NOTHING:
            return self
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
                # Hot path: a coroutine less for each of most dependencies
                # (bench_asgi.py::bench_three_dependencies).
                if need.make is not None:
                    made = need.make(values)
                    if need.awaits:
                        made = await made
                    if need.verify is not None:
                        need.verify(made)
                    values[need.slot] = made
                elif need.find is not None:
                    values[need.slot] = need.find(exchange)
                else:
                    values[need.slot] = await need.call.run_async(exchange)


NOTHING = Preparation()
"""What must be made for what asks for nothing."""


class Call:
    """A user's function whose arguments were found when the plan was compiled.

    Attributes:
        invoke: Calls it with the arguments of an exchange, made if nobody has.
        function: The function itself.
        places: Where its arguments are once they have been prepared; None if it takes what only
            the exchange knows, or an argument by name alone.
        invoke_prepared: Calls it with arguments that have all been prepared; None as `places`.
            `invoke` is its plain twin.
    """

    __slots__ = (
        "before", "blocks", "function", "invoke", "invoke_prepared", "kind", "name", "places",
        "verify",
    )  # fmt: skip

    def __init__(
        self,
        recipe: Recipe,
        invoke: Getter,
        places: tuple[Place, ...] | None,
        blocks: bool,
        before: Preparation,
    ) -> None:
        self.name = recipe.name
        self.kind = recipe.kind
        self.verify = recipe.verify
        self.function = recipe.function
        self.invoke = invoke
        self.places = places
        self.invoke_prepared: Callable[[Values], Any] | None = None
        if places is not None:
            self.invoke_prepared = bind_prepared(recipe.function, places)
        self.blocks = blocks
        self.before = before

    @property
    def bare(self) -> Callable[[], Any] | None:
        """The function itself if it asks for nothing, else None."""
        return self.function if self.places == () else None

    def run(self, exchange: Exchange) -> Any:
        """Return the function's value, blocking where it must."""
        kind = self.kind
        if kind is Kind.PLAIN or kind is Kind.COROUTINE:
            value = self.invoke(exchange)
            if kind is Kind.COROUTINE:
                value = exchange.wait_for(value)
            if self.verify is not None:
                self.verify(value)
            return value
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
            value = await self.invoke(exchange)
            if self.verify is not None:
                self.verify(value)
            return value
        if self.kind is not Kind.ASYNC_GENERATOR:
            return self.run(exchange)
        generator = self.invoke(exchange)
        value = await start_async(self.name, generator)
        exchange.close_later(self.name, generator, True)
        return value


class SourceCall:
    """Makes what the framework provides once for each request."""

    blocks = False

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self.before = Preparation(reads_content=source.reads_content)
        self.run = source.get

    async def run_async(self, exchange: Exchange) -> Any:
        """Return the value."""
        return self.run(exchange)


class ParsedCall:
    """Parses the content of a request as its media type says; no content is None.

    Args:
        parsers: The application's parsers by media type.
        built_in: The framework's, for the media types that the application has none for.
        own: The built-in parser that is asked for by name, whatever the media type.
    """

    def __init__(
        self,
        name: str,
        parsers: Mapping[str, Need],
        built_in: Mapping[str, Need],
        own: Need | None,
    ) -> None:
        self.name = name
        self._parsers = parsers
        self._built_in = built_in
        self._own = own
        needs = [deeper for need in parsers.values() for deeper in (need, *need.call.before.needs)]
        self.blocks = any(need.blocks for need in needs)
        # A multipart form is parsed while it comes, so it must not be read before.
        self.before = Preparation(reads_content=MULTIPART not in built_in)

    def run(self, exchange: Exchange) -> Any:
        """Return the data, on a thread that may block.

        Raises:
            UnsupportedMediaType: Nothing parses that media type.
        """
        media_type = essence(exchange.field(b"content-type")) or ""
        parser = self._parsers.get(media_type)
        if parser is not None:
            return parser.get(exchange) if exchange.body else None
        built_in = self._built_in_for(media_type)
        if built_in is not None:
            return built_in.get(exchange)
        return refused(exchange, media_type)

    async def run_async(self, exchange: Exchange) -> Any:
        """Return the data, on an event loop; see `run`."""
        media_type = essence(exchange.field(b"content-type")) or ""
        parser = self._parsers.get(media_type)
        built_in = self._built_in_for(media_type)
        if parser is None and built_in is not None:
            return await built_in.get_async(exchange)
        if exchange.unread:
            await exchange.read_content()
        if parser is None:
            return refused(exchange, media_type)
        return await parser.get_async(exchange) if exchange.body else None

    def _built_in_for(self, media_type: str) -> Need | None:
        return self._own or self._built_in.get(JSON if is_json(media_type) else media_type)


def refused(exchange: Exchange, media_type: str) -> None:
    """Refuse content that nothing parses; a request without content has nothing to refuse.

    Raises:
        UnsupportedMediaType: There is content.
    """
    if exchange.body:
        raise UnsupportedMediaType(f"Nothing here parses {media_type or 'content of no type'}.")


def _unwatched(call: Made) -> Made:
    return call


class Wiring:
    """Finds the arguments of every function that one plan calls.

    Args:
        watched: Returns what makes the same and tells observers.
        parsers: What parses the content of a request, by media type.

    Attributes:
        asked: The names of the framework, or of parsers, that the calls made so far ask for.
    """

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        resources: Mapping[str, Resource],
        sources: Mapping[str, Source | Made],
        path_names: Sequence[str],
        blocking: bool,
        watched: Callable[[Made], Made] | None = None,
        parsers: Mapping[str, Recipe] | None = None,
    ) -> None:
        self._recipes = recipes
        self._resources = resources
        self._sources = sources
        self._path_names = path_names
        self._blocking = blocking
        self._watched = watched or _unwatched
        self._parsers = parsers or {}
        self._parser_names = {recipe.name for recipe in self._parsers.values()}
        self._needs: dict[str, Need] = {}
        self.asked: set[str] = set()

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
        parses: bool = False,
    ) -> Call:
        """Compile the call of a recipe.

        Args:
            own: What this function gets by name before all else, and those it asks do not.
            parses: It is a parser, so what it asks for by the name of a built-in one is that.

        Raises:
            UnknownDependencyError, DependencyCycleError.
        """
        found = _Arguments()
        for parameter in recipe.parameters:
            name = "request" if parameter.annotation is Request else parameter.name
            if name in own:
                found.add(parameter, own[name].get, own[name].reads_content)
            else:
                self._argument(parameter, asked_by, chain, found, parses)
        blocking = self._blocking if recipe.blocking is None else recipe.blocking
        # A default may be left out behind what is given, not before it.
        given = tuple(parameter for parameter, _ in found.getters)
        by_name = given != recipe.parameters[: len(given)]
        before = Preparation.of(found.needs).joined(
            Preparation((), found.resources, found.reads_content)
        )
        invoke = bind(recipe.function, found.getters, by_name)
        named = by_name or any(parameter.keyword_only for parameter, _ in found.getters)
        places = tuple(place for place in found.places if place is not None)
        is_prepared = not named and len(places) == len(found.places)
        return Call(recipe, invoke, places if is_prepared else None, blocking, before)

    def need(self, name: str, chain: tuple[str, ...] = ()) -> Need:
        """Return the place of a registered request dependency."""
        if name in chain:
            raise DependencyCycleError((*chain[chain.index(name) :], name))
        if name not in self._needs:
            self.add(self._recipes[name], (*chain, name))
        return self._needs[name]

    def add(
        self, recipe: Recipe, chain: tuple[str, ...] = (), key: str = "", parses: bool = False
    ) -> Need:
        """Give a recipe a place of its own, under another *key* if others must not ask for it."""
        call = self.call(recipe, str(recipe), chain, parses=parses)
        return self._place(key or recipe.name, self._watched(call), recipe.kind.is_async)

    def _place(self, key: str, call: Made, awaits: bool) -> Need:
        slot = len(self._path_names) + len(self._needs)
        need = self._needs[key] = Need(slot, call, awaits)
        return need

    def _argument(
        self,
        parameter: Parameter,
        asked_by: str,
        chain: tuple[str, ...],
        found: _Arguments,
        parses: bool,
    ) -> None:
        name = parameter.name
        if name == "request" or parameter.annotation is Request:
            self._provided("request", parameter, found)
        elif name in self._path_names:
            found.add_path(parameter, self._path_names.index(name))
        elif name in self._resources:
            found.add_resource(parameter, self._resources[name])
        elif name in self._recipes:
            found.add_need(parameter, self.need(name, chain))
        elif name in self._parser_names or (
            name in PARSED_NAMES and not parses and (self._parsers or name not in self._sources)
        ):
            self.asked.add(name)
            found.add_need(parameter, self._parsed(name, chain))
        elif name in self._sources:
            self._provided(name, parameter, found)
        elif not parameter.optional:
            known = [*self._path_names, *self._recipes, *self._sources, *self._parser_names]
            raise UnknownDependencyError(name, asked_by, known)

    def _provided(self, name: str, parameter: Parameter, found: _Arguments) -> None:
        """Find what the framework itself provides."""
        source = self._sources[name]
        self.asked.add(name)
        if isinstance(source, Source) and not source.once:
            found.add(parameter, source.get, source.reads_content)
        else:
            found.add_need(parameter, self._built_in(name))

    def _built_in(self, name: str) -> Need:
        """Return the place of what the framework makes under a name."""
        key = f"built-in {name}"
        if key not in self._needs:
            source = self._sources[name]
            if isinstance(source, Source):  # found rather than made, so nobody watches it
                self._place(key, SourceCall(name, source), awaits=True)
            else:
                self._place(key, self._watched(source), awaits=True)
        return self._needs[key]

    def _parsed(self, name: str, chain: tuple[str, ...]) -> Need:
        """Return the place of what the parser for the request's media type makes."""
        key = f"{name} by media type"
        if key not in self._needs:
            parsers = {
                media_type: self._parser(recipe, chain)
                for media_type, recipe in self._parsers.items()
                if name in PARSED_NAMES or recipe.name == name
            }
            built_in = {
                media_type: self._built_in(source)
                for media_type, source in BUILT_IN_PARSERS.items()
                if name in (source, *ANY_PARSED_NAMES) and source in self._sources
            }
            own = self._built_in(name) if name in BUILT_IN_PARSERS.values() else None
            self._place(key, ParsedCall(name, parsers, built_in, own), awaits=True)
        return self._needs[key]

    def _parser(self, recipe: Recipe, chain: tuple[str, ...]) -> Need:
        if recipe.name in chain:
            raise DependencyCycleError((*chain[chain.index(recipe.name) :], recipe.name))
        key = f"parser {recipe.name} {id(recipe)}"
        if key not in self._needs:
            self.add(recipe, (*chain, recipe.name), key, parses=True)
        return self._needs[key]


class _Arguments:
    """The arguments of one call while they are being found."""

    def __init__(self) -> None:
        self.getters: list[tuple[Parameter, Getter]] = []
        self.places: list[Place | None] = []
        self.needs: list[Need] = []
        self.resources: list[Resource] = []
        self.reads_content = False

    def add(
        self,
        parameter: Parameter,
        getter: Getter,
        reads_content: bool = False,
        place: Place | None = None,
    ) -> None:
        self.getters.append((parameter, getter))
        self.places.append(place)
        self.reads_content = self.reads_content or reads_content

    def add_path(self, parameter: Parameter, index: int) -> None:
        annotation = parameter.annotation
        convert = CONVERTERS.get(annotation) if isinstance(annotation, type) else None
        if convert is None:
            self.add(parameter, lambda x: x.values[index], place=index)
        else:
            self.add(
                parameter,
                lambda x: convert(x.values[index]),
                place=Converted(index, convert),
            )

    def add_resource(self, parameter: Parameter, resource: Resource) -> None:
        self.resources.append(resource)
        self.add(parameter, resource.get, place=resource)

    def add_need(self, parameter: Parameter, need: Need) -> None:
        self.needs.append(need)
        self.add(parameter, need.get, place=need.slot)
