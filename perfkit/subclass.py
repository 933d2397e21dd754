"""Lets one object take part in what its class does, and leaves the class and its library alone.

The object is given a subclass of its own class, which overrides some methods. `isinstance` holds
as before, other objects notice nothing, and `restore` undoes it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from perfkit.errors import UnknownVersionError

Mixin: Any = object
"""The base of classes whose `super()` is a class of the library, which only `override` knows."""


@cache
def overriding(plain: Any, mixin: type) -> type:
    """Return a subclass of *plain* whose methods are those of *mixin* first."""
    return _subclass(plain, mixin, {})


def override(target: object, mixin: type, **attributes: Any) -> None:
    """Let *mixin* override methods of one object, unless it does already.

    Args:
        attributes: What this object alone has beside, even if its class has slots.

    Raises:
        UnknownVersionError: The object's class lacks a method or does not allow it.
    """
    cls: Any = type(target)
    missing = [name for name in vars(mixin) if name[:2] != "__" and not hasattr(cls, name)]
    missing = [name for name in missing if name not in attributes]
    if missing:
        raise UnknownVersionError(f"{cls.__module__}.{cls.__name__} has no {missing[0]}")
    if not issubclass(cls, mixin):
        _assign(target, _subclass(cls, mixin, attributes) if attributes else overriding(cls, mixin))


def restore(target: object, mixin: type) -> None:
    """Let *mixin* override no more; what else overrides stays."""
    others = []
    cls = type(target)
    while issubclass(cls, mixin):
        first, below = cls.__bases__
        if first is not mixin:
            others.append((first, vars(cls)))
        cls = below
    for other, names in reversed(others):
        cls = _subclass(cls, other, {name: names[name] for name in names if name[:2] != "__"})
    _assign(target, cls)


def plain(cls: type, mixin: type) -> type:
    """Return the class that *mixin* was put before."""
    return cls.__bases__[1] if cls.__bases__[:1] == (mixin,) else cls


def _subclass(plain: type, mixin: type, attributes: dict[str, Any]) -> type:
    names = {"__slots__": (), "__module__": plain.__module__, "__doc__": plain.__doc__}
    return type(plain.__name__, (mixin, plain), names | attributes)


def _assign(target: object, cls: type) -> None:
    try:
        target.__class__ = cls
    except TypeError as error:
        raise UnknownVersionError(f"{cls.__module__}.{cls.__name__}: {error}") from error
