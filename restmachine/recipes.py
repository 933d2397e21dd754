"""Recipes: a user's function, how it is run, and what its parameters ask for."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from enum import Enum, StrEnum
from types import FunctionType
from typing import Any, NamedTuple

from restmachine.errors import ConfigurationError

Function = Callable[..., Any]


class DependencyScope(StrEnum):
    """How long a dependency lives."""

    REQUEST = "request"
    SESSION = "session"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ConfigurationError(f'The scope {value!r} is none: use "request" or "session".')


class Kind(Enum):
    """How a function is run to its value."""

    PLAIN = "function"
    COROUTINE = "coroutine function"
    GENERATOR = "generator function"
    ASYNC_GENERATOR = "async generator function"

    @property
    def is_async(self) -> bool:
        """Whether an event loop is needed."""
        return self in (Kind.COROUTINE, Kind.ASYNC_GENERATOR)


class Parameter(NamedTuple):
    """What one parameter of a function asks for."""

    name: str
    annotation: Any
    optional: bool
    keyword_only: bool


# What tells `inspect` more of a function than its code does, in any Python from 3.11 on.
_TELLING = frozenset(
    {
        "__wrapped__",
        "__signature__",
        "_partialmethod",
        "__partialmethod__",
        "_is_coroutine_mark",
    }
)
_NO_DEFAULT = inspect.Parameter.empty
_KINDS = {
    inspect.CO_ASYNC_GENERATOR: Kind.ASYNC_GENERATOR,
    inspect.CO_GENERATOR: Kind.GENERATOR,
    inspect.CO_COROUTINE: Kind.COROUTINE,
}
_KIND_FLAGS = inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR | inspect.CO_COROUTINE


def says_all(function: Function) -> bool:
    """Return whether the code of a function says all that `inspect` would find out about it."""
    return type(function) is FunctionType and function.__dict__.keys().isdisjoint(_TELLING)


def kind_of(function: Function) -> Kind:
    """Return how *function*, or the `__call__` of an object, is run."""
    if says_all(function):
        return _KINDS.get(function.__code__.co_flags & _KIND_FLAGS, Kind.PLAIN)
    return inspected_kind(function)


def inspected_kind(function: Function) -> Kind:
    """Return what `kind_of` does, for any function or object."""
    for candidate in (function, getattr(function, "__call__", None)):  # noqa: B004 - the method itself is wanted
        if inspect.isasyncgenfunction(candidate):
            return Kind.ASYNC_GENERATOR
        if inspect.isgeneratorfunction(candidate):
            return Kind.GENERATOR
        if inspect.iscoroutinefunction(candidate):
            return Kind.COROUTINE
    return Kind.PLAIN


def parameters_of(function: Function) -> tuple[Parameter, ...]:
    """Return the parameters that ask for something; ``*args`` and ``**kwargs`` do not.

    Raises:
        ConfigurationError: The function cannot tell its parameters, as some built-ins.
    """
    parameters = written_parameters if says_all(function) else inspected_parameters
    found = parameters(function)
    if not any(isinstance(parameter.annotation, str) for parameter in found):
        return found
    names = _globals_of(function)
    return tuple(
        parameter._replace(annotation=_evaluated(parameter.annotation, names))
        for parameter in found
    )


def written_parameters(function: Function) -> tuple[Parameter, ...]:
    """Return the parameters of a function that `says_all`, as they are written.

    `inspected_parameters` is the plain twin: a signature of `inspect` takes five times as
    long, which was a tenth of a start-up (bench_startup.py::bench_written_parameters).
    """
    code = function.__code__
    names, annotations = code.co_varnames, function.__annotations__
    positional = code.co_argcount
    defaults = function.__defaults__ or ()
    by_name = function.__kwdefaults__ or {}
    first_default = positional - len(defaults)
    return tuple(
        Parameter(
            name,
            annotations.get(name, _NO_DEFAULT),
            (index >= first_default and defaults[index - first_default] is not _NO_DEFAULT)
            if index < positional
            else by_name.get(name, _NO_DEFAULT) is not _NO_DEFAULT,
            index >= positional,
        )
        for index, name in enumerate(names[: positional + code.co_kwonlyargcount])
    )


def inspected_parameters(function: Function) -> tuple[Parameter, ...]:
    """Return the parameters of any function, as they are written.

    Raises:
        ConfigurationError: The function cannot tell them, as some built-ins.
    """
    return tuple(
        Parameter(
            parameter.name,
            parameter.annotation,
            parameter.default is not parameter.empty,
            parameter.kind is parameter.KEYWORD_ONLY,
        )
        for parameter in signature_of(function).parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    )


def signature_of(function: Function) -> inspect.Signature:
    """Return the signature of a function.

    Raises:
        ConfigurationError: It has none that can be read, as some built-ins.
    """
    try:
        return inspect.signature(function)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{function!r} has no signature, so it cannot be told what it asks for: "
            "wrap it in a function of your own."
        ) from error


def result_type(function: Function) -> Any:
    """Return what the annotation says that a function returns, None if it says nothing."""
    if isinstance(function, FunctionType) and "return" not in function.__annotations__:
        return None  # to read signatures is most of what a start-up takes
    annotation = signature_of(function).return_annotation
    if annotation is inspect.Signature.empty:
        return None
    return _evaluated(annotation, _globals_of(function))


def _globals_of(function: Function) -> dict[str, Any]:
    written = inspect.unwrap(getattr(function, "func", function))  # a partial has a func
    names: dict[str, Any] | None = getattr(written, "__globals__", None)
    return vars(sys.modules[written.__module__]) if names is None else names


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    """Return what an annotation means; its text if it names a type only for type checkers."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return annotation


class Recipe:
    """A user's function under the name by which others ask for its value.

    Args:
        blocking: Whether it may block the thread it runs on; None leaves the choice to
            the route and the application. An async function never blocks.

    Attributes:
        verify: Raises an exception for a value that the function must not return, and is true
            of all others.
    """

    __slots__ = ("blocking", "function", "kind", "name", "parameters", "scope", "verify")

    def __init__(
        self,
        function: Function,
        name: str | None = None,
        scope: str = DependencyScope.REQUEST,
        blocking: bool | None = None,
    ) -> None:
        self.function = function
        self.name: str = name or getattr(function, "__name__", "") or type(function).__name__
        self.scope = DependencyScope(scope)
        self.kind = kind_of(function)
        self.blocking = False if self.kind.is_async else blocking
        self.parameters = parameters_of(function)
        self.verify: Callable[[Any], bool] | None = None

    def __str__(self) -> str:
        return f'"{self.name}"'


def handler_recipe(function: Function) -> Recipe:
    """Return the recipe of a handler: a generator that it returns is a stream of content."""
    recipe = Recipe(function)
    if recipe.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR):
        recipe.kind, recipe.blocking = Kind.PLAIN, False
    return recipe


def start(name: str, generator: Any) -> Any:
    """Run a generator dependency to its yield and return the value."""
    try:
        return next(generator)
    except StopIteration:
        raise RuntimeError(f'The generator dependency "{name}" yielded nothing.') from None


async def start_async(name: str, generator: Any) -> Any:
    """Run an async generator dependency to its yield and return the value."""
    try:
        return await anext(generator)
    except StopAsyncIteration:
        raise RuntimeError(f'The generator dependency "{name}" yielded nothing.') from None


def finish(generator: Any, error: BaseException | None) -> Any:
    """Finish a generator dependency and return what it returned.

    An *error* is thrown into it, as `contextlib.contextmanager` does.
    """
    try:
        if error is None:
            next(generator)
        else:
            generator.throw(error)
    except StopIteration as stop:
        return stop.value
    generator.close()
    raise RuntimeError("A generator dependency must yield exactly once.")


async def finish_async(generator: Any, error: BaseException | None) -> None:
    """Finish an async generator dependency; an *error* is thrown into it."""
    try:
        if error is None:
            await anext(generator)
        else:
            await generator.athrow(error)
    except StopAsyncIteration:
        return
    await generator.aclose()
    raise RuntimeError("A generator dependency must yield exactly once.")
