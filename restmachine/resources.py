"""Session dependencies: resources made once for the life of the application."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Collection, Mapping
from copy import copy
from typing import Any

from restmachine.errors import (
    DependencyCycleError,
    DependencyScopeError,
    UnknownDependencyError,
)
from restmachine.exchange import MISSING, Waits
from restmachine.recipes import (
    DependencyScope,
    Kind,
    Recipe,
    finish,
    finish_async,
    start,
    start_async,
)


class Resource:
    """A session dependency: made once, however many first requests arrive together."""

    def __init__(self, recipe: Recipe, made: list[Resource]) -> None:
        self.recipe = recipe
        self.value: Any = MISSING
        self.arguments: list[tuple[str, Resource]] = []
        self._made = made
        self._generator: Any = None
        self._task: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._pending: concurrent.futures.Future[Any] | None = None

    def get(self, waits: Waits) -> Any:
        """Return the value, making it now if nobody has; this may block."""
        if self.value is not MISSING:
            return self.value
        if self.recipe.kind.is_async:
            return waits.wait_for(self.get_async())
        pending, mine = self._claim()
        if not mine:
            return pending.result()
        try:
            value = self._make(waits)
        except BaseException as error:
            self._fail(pending, error)
            raise
        self._settle(pending, value)
        return value

    async def get_async(self, on_loop: bool = False) -> Any:
        """Return the value, making it now if nobody has.

        Args:
            on_loop: Make it in the caller's own task, a sync function on the loop's thread,
                as at startup. Otherwise it is made in a task of its own, so that the first
                request to ask may be cancelled without harm to the others.
        """
        for _, argument in self.arguments:
            await argument.get_async(on_loop)
        if self.value is not MISSING:
            return self.value
        pending, mine = self._claim()
        if mine and on_loop:
            await self._create(pending, on_loop)
        elif mine:
            self._task = asyncio.create_task(self._create(pending, on_loop))
        return await asyncio.shield(asyncio.wrap_future(pending))

    async def _create(self, pending: concurrent.futures.Future[Any], on_loop: bool) -> None:
        try:
            if self.recipe.kind.is_async:
                value = await self._make_async()
            elif on_loop or self.recipe.blocking is False:
                value = self._make(None)
            else:
                value = await asyncio.to_thread(self._make, None)
        except BaseException as error:
            self._fail(pending, error)
            if not isinstance(error, Exception):
                raise
        else:
            self._settle(pending, value)

    @property
    def has_purpose(self) -> bool:
        """Whether something that it takes was made, or it takes nothing that is."""
        taken = [argument for _, argument in self.arguments]
        return not taken or any(argument.value is not MISSING for argument in taken)

    def finish(self, waits: Waits) -> None:
        """Finish a generator and forget the value, so that it can be made again."""
        generator, self._generator, self.value = self._generator, None, MISSING
        if generator is None:
            return
        if self.recipe.kind.is_async:
            waits.wait_for(finish_async(generator, None))
        else:
            finish(generator, None)

    async def finish_async(self) -> None:
        """Finish a generator and forget the value, so that it can be made again."""
        generator, self._generator, self.value = self._generator, None, MISSING
        if generator is None:
            return
        if self.recipe.kind.is_async:
            await finish_async(generator, None)
        else:
            finish(generator, None)

    def _claim(self) -> tuple[concurrent.futures.Future[Any], bool]:
        with self._lock:
            if self.value is not MISSING:
                ready: concurrent.futures.Future[Any] = concurrent.futures.Future()
                ready.set_result(self.value)
                return ready, False
            if self._pending is not None:
                return self._pending, False
            self._pending = concurrent.futures.Future()
            return self._pending, True

    def _settle(self, pending: concurrent.futures.Future[Any], value: Any) -> None:
        with self._lock:
            self.value = value
            self._pending = None
            self._made.append(self)
        pending.set_result(value)

    def _fail(self, pending: concurrent.futures.Future[Any], error: BaseException) -> None:
        with self._lock:
            self._pending = None  # the next one to ask tries again
        pending.set_exception(error)

    def _make(self, waits: Waits | None) -> Any:
        arguments = {
            name: resource.value if waits is None else resource.get(waits)
            for name, resource in self.arguments
        }
        value = self.recipe.function(**arguments)
        if self.recipe.kind is Kind.GENERATOR:
            self._generator = value
            return start(self.recipe.name, value)
        return value

    async def _make_async(self) -> Any:
        value = self.recipe.function(**{name: r.value for name, r in self.arguments})
        if self.recipe.kind is Kind.ASYNC_GENERATOR:
            self._generator = value
            return await start_async(self.recipe.name, value)
        return await value


class _Wiring:
    """Finds the arguments of session functions among the recipes that are there by name.

    Raises:
        UnknownDependencyError, DependencyScopeError, DependencyCycleError.
    """

    def __init__(
        self, recipes: Mapping[str, Recipe], made: list[Resource], former: Mapping[str, Resource]
    ) -> None:
        self._recipes = recipes
        self._made = made
        self._former = former
        self.resources: dict[str, Resource] = {}

    def named(self, name: str, chain: tuple[str, ...] = ()) -> Resource:
        """Return the resource of this name; the former one if nothing of it is new."""
        if name in chain:
            raise DependencyCycleError((*chain[chain.index(name) :], name))
        if name not in self.resources:
            new = self.of(self._recipes[name], (*chain, name))
            kept = self._former.get(name, new)
            same = kept.recipe is new.recipe and kept.arguments == new.arguments
            self.resources[name] = kept if same else new
        return self.resources[name]

    def of(self, recipe: Recipe, chain: tuple[str, ...] = ()) -> Resource:
        """Return a new resource of a recipe."""
        resource = Resource(recipe, self._made)
        for parameter in recipe.parameters:
            wanted = self._recipes.get(parameter.name)
            if wanted is not None and wanted.scope is DependencyScope.SESSION:
                resource.arguments.append((parameter.name, self.named(parameter.name, chain)))
            elif wanted is not None or parameter.name in _REQUEST_NAMES:
                raise DependencyScopeError(str(recipe), parameter.name)
            elif not parameter.optional:
                raise UnknownDependencyError(parameter.name, str(recipe), self._recipes.keys())
        return resource


def wire_resources(
    recipes: Collection[Recipe], made: list[Resource], former: Mapping[str, Resource]
) -> dict[str, Resource]:
    """Return a resource for each session recipe, its arguments found among the others.

    Args:
        made: Where each resource puts itself once it has a value.
        former: Resources wired before; those whose recipe and arguments are the same are kept.

    Raises:
        UnknownDependencyError, DependencyScopeError, DependencyCycleError.
    """
    wiring = _Wiring({recipe.name: recipe for recipe in recipes}, made, former)
    for recipe in recipes:
        if recipe.scope is DependencyScope.SESSION:
            wiring.named(recipe.name)
    return wiring.resources


def wire_functions(
    functions: Collection[Recipe],
    recipes: Collection[Recipe],
    made: list[Resource],
    resources: Mapping[str, Resource],
) -> list[Resource]:
    """Return a resource for each function that ends an application's life.

    Such a function may also ask for what is made for each request, as long as that needs no
    request itself: it is then made once more, for the end.

    Raises:
        UnknownDependencyError, DependencyScopeError, DependencyCycleError.
    """
    wiring = _Wiring({recipe.name: _lasting(recipe) for recipe in recipes}, made, resources)
    return [wiring.of(function) for function in functions]


def _lasting(recipe: Recipe) -> Recipe:
    if recipe.scope is DependencyScope.SESSION:
        return recipe
    lasting = copy(recipe)
    lasting.scope = DependencyScope.SESSION
    return lasting


_REQUEST_NAMES = frozenset(
    {
        "request",
        "path_params",
        "query_params",
        "body",
        "body_stream",
        "json_body",
        "form_body",
        "text_body",
        "multipart_body",
        "parsed_body",
        "parsed_data",
    }
)
