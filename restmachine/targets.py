"""Finds what a command line means by ``module:attribute``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

from restmachine.application import RestApplication
from restmachine.asgi import ASGIAdapter
from restmachine.errors import ConfigurationError

_PACKAGE = Path(__file__).parent
_DEEPEST_WRAPPING = 50


def load(target: str) -> Any:
    """Import what *target*, ``module:attribute``, names; modules here come first.

    Raises:
        ConfigurationError: There is no such thing, or the module cannot be imported.
    """
    name, _, attribute = target.partition(":")
    if not name or not attribute:
        raise ConfigurationError(
            f'"{target}" names no application; write module:attribute, for example app:app'
        )
    found: Any = import_target(name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(_missing_attribute(name, attribute, found))
        found = getattr(found, part)
    return found


def import_target(name: str) -> ModuleType:
    """Import a module, looking in the current directory first.

    Raises:
        ConfigurationError: It does not exist, or fails; the message says where.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            place = f"{name.replace('.', '/')}.py"
            raise ConfigurationError(
                f'there is no module "{name}"; run this where {place} is, or install it'
            ) from error
        raise ConfigurationError(f"{name} cannot be imported: {told(error)}") from error
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{name} cannot be imported: {told(error)}") from error


def told(error: BaseException) -> str:
    """Return an exception in one line: where in the user's code, its type and its text."""
    words = " ".join(str(error).split()) or "no message"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(error.filename)}:{error.lineno}: {type(error).__name__}: {error.msg}"
    place = place_of_error(error)
    return f"{f'{place}: ' if place else ''}{type(error).__name__}: {words}"


def place_of_error(error: BaseException) -> str:
    """Return file and line of the user's code in which an exception arose, "" for none."""
    places = [
        f"{shown(frame.f_code.co_filename)}:{line}"
        for frame, line in walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(("<frozen", "<restmachine", str(_PACKAGE)))
    ]
    own = [place for place in places if not place.startswith((sys.prefix, sys.base_prefix))]
    return (own or places or [""])[-1]


def shown(filename: str) -> str:
    """Return a file's name, relative where it lies below the current directory."""
    path = Path(filename)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def application_of(target: str) -> RestApplication:
    """Return the restmachine application that *target* names, or that its middleware wraps.

    Raises:
        ConfigurationError: It is none, or cannot work as it was declared.
    """
    found = load(target)
    app = wrapped_application(found)
    if app is None:
        raise ConfigurationError(
            f"{target} is {_article(found)}, not a RestApplication or something that wraps one"
        )
    _ = app.compiled  # finds every mistake of the configuration now
    return app


def asgi_of(target: str) -> Any:
    """Return the ASGI application that *target* names; a RestApplication gets an adapter.

    Raises:
        ConfigurationError: It is none, or cannot work as it was declared.
    """
    found = load(target)
    app = wrapped_application(found)
    if app is not None:
        _ = app.compiled
    if isinstance(found, RestApplication):
        return ASGIAdapter(found)
    if not callable(found):
        raise ConfigurationError(f"{target} is {_article(found)}, not an ASGI application")
    return found


def wrapped_application(found: Any) -> RestApplication | None:
    """Return the application inside layers of ASGI middleware, None if there is none.

    Middleware keeps what it wraps as `app`, by convention.
    """
    return next((layer for layer in _layers(found) if isinstance(layer, RestApplication)), None)


def _layers(found: Any) -> Iterator[Any]:
    for _ in range(_DEEPEST_WRAPPING):
        yield found
        found = getattr(found, "app", None)


def _article(found: Any) -> str:
    kind = found.__name__ if isinstance(found, type) else type(found).__name__
    word = f"the class {kind}" if isinstance(found, type) else kind
    return word if isinstance(found, type) else f"{'an' if kind[0] in 'aeiou' else 'a'} {word}"


def _missing_attribute(name: str, attribute: str, found: Any) -> str:
    candidates = sorted(
        key for key, value in vars(found).items()
        if isinstance(value, (RestApplication, ASGIAdapter))
    ) if isinstance(found, ModuleType) else []  # fmt: skip
    hint = f'; it has "{candidates[0]}"' if candidates else ""
    return f'the module "{name}" has no "{attribute}"{hint}'


def function_name(function: Any) -> str:
    """Return a function as ``module:qualified.name``."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{function.__module__}:{name}"
