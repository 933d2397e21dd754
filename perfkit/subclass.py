"""Lets one object take part in what its class does, and leaves the class and its library alone.

The object is given a subclass of its own class, which overrides some methods. `isinstance` holds
as before, other objects notice nothing, and `restore` undoes it.

What overrides is written as a class of its own, a `Mixin`. Python changes the class of an object
only to one of the same layout, which a second base would spoil; so the methods are moved into a
subclass with one base, where `super()` means that base.
"""

from __future__ import annotations

from functools import cache
from types import CellType, FunctionType
from typing import Any

from perfkit.errors import UnknownVersionError

Mixin: Any = object
"""The base of classes whose `super()` is a class that is known only when they are used."""


@cache
def overriding(plain: Any, mixin: Any) -> type:
    """Return a subclass of *plain* with the methods of *mixin*, or *plain* if it has them."""
    return plain if overrides(plain, mixin) else _subclass(plain, mixin, {})


def override(target: object, mixin: type, **attributes: Any) -> None:
    """Let *mixin* override methods of one object, unless it does already.

    Args:
        attributes: What this object alone has beside, even if its class has slots.

    Raises:
        UnknownVersionError: The object's class lacks a method or does not allow it.
    """
    cls: Any = type(target)
    if overrides(cls, mixin):
        return
    for name in _methods(mixin):
        if not hasattr(cls, name):
            raise UnknownVersionError(f"{cls.__module__}.{cls.__name__} has no {name}")
    try:
        target.__class__ = (
            _subclass(cls, mixin, attributes) if attributes else overriding(cls, mixin)
        )
    except TypeError as error:
        raise UnknownVersionError(f"{cls.__module__}.{cls.__name__}: {error}") from error


def restore(target: object, mixin: type) -> None:
    """Let *mixin* override methods of an object no more; what else overrides some goes on."""
    target.__class__ = plain(type(target), mixin)


def plain(cls: Any, mixin: type) -> Any:
    """Return a class as it would be if *mixin* had never overridden methods of it."""
    if not overrides(cls, mixin):
        return cls
    own = vars(cls)
    if own[_MIXIN] is mixin:
        return cls.__base__
    return _subclass(plain(cls.__base__, mixin), own[_MIXIN], own[_ATTRIBUTES])


def overrides(cls: type, mixin: type) -> bool:
    """Whether methods of *mixin* override those of a class."""
    return any(vars(base).get(_MIXIN) is mixin for base in cls.__mro__)


_MIXIN = "_perfkit_mixin"
_ATTRIBUTES = "_perfkit_attributes"


def _subclass(base: type, mixin: type, attributes: dict[str, Any]) -> type:
    itself = CellType()
    names: dict[str, Any] = {
        "__slots__": (),
        "__module__": base.__module__,
        "__doc__": base.__doc__,
    }
    names |= {_MIXIN: mixin, _ATTRIBUTES: attributes}
    names |= {name: _moved(method, itself) for name, method in _methods(mixin).items()}
    cls = type(base.__name__, (base,), names | attributes)
    itself.cell_contents = cls
    return cls


def _methods(mixin: type) -> dict[str, Any]:
    return {name: each for name, each in vars(mixin).items() if isinstance(each, FunctionType)}


def _moved(method: FunctionType, cls: CellType) -> FunctionType:
    """Return a method as if it were written in the class that a cell will hold."""
    cells = zip(method.__code__.co_freevars, method.__closure__ or (), strict=True)
    closure = tuple(cls if name == "__class__" else cell for name, cell in cells)
    moved = FunctionType(
        method.__code__, method.__globals__, method.__name__, method.__defaults__, closure
    )
    moved.__kwdefaults__ = method.__kwdefaults__
    return moved
