"""One object does other than its class says, and nothing else in the process does."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.errors import UnknownVersionError
from perfkit.subclass import Mixin, override, overrides, overriding, plain, restore


class Bell:
    def ring(self, times: int = 1) -> str:
        return "ding" * times


class Slotted:
    __slots__ = ("pitch",)

    def ring(self, times: int = 1) -> str:
        return "dong" * times


class Loud(Mixin):  # type: ignore[misc]  # of no class of its own
    def ring(self, *arguments: Any, **options: Any) -> str:
        return str(super().ring(*arguments, **options)).upper()


class Twice(Mixin):  # type: ignore[misc]  # of no class of its own
    between: str

    def ring(self, *arguments: Any, **options: Any) -> str:
        once = super().ring(*arguments, **options)
        return f"{once}{self.between}{once}"


@pytest.mark.parametrize(("bell", "sound"), [(Bell(), "DING"), (Slotted(), "DONG")])
def test_only_the_one_object_changes_and_stays_what_it_is(bell: Any, sound: str) -> None:
    cls = type(bell)

    override(bell, Loud)

    assert bell.ring() == sound
    assert isinstance(bell, cls)
    assert type(bell).__name__ == cls.__name__
    assert cls().ring() == sound.lower()


def test_to_override_twice_changes_nothing() -> None:
    bell = Bell()
    override(bell, Twice, between=" ")
    override(bell, Twice, between="-")

    assert bell.ring() == "ding ding"


@pytest.mark.parametrize("bell", [Bell(), Slotted()])
def test_a_restored_object_is_of_its_own_class(bell: Any) -> None:
    cls = type(bell)
    override(bell, Loud)

    restore(bell, Loud)
    restore(bell, Loud)

    assert type(bell) is cls


def test_what_else_overrides_goes_on_after_one_is_gone() -> None:
    bell = Bell()
    override(bell, Loud)
    override(bell, Twice, between=" ")
    both = bell.ring(times=2)

    restore(bell, Loud)

    assert both == "DINGDING DINGDING"
    assert bell.ring(times=2) == "dingding dingding"
    assert not overrides(type(bell), Loud)


def test_a_class_is_made_once() -> None:
    cls = overriding(Bell, Loud)

    assert overriding(Bell, Loud) is cls
    assert overriding(cls, Loud) is cls
    assert plain(cls, Loud) is Bell


def test_a_missing_method_is_told_and_nothing_changes() -> None:
    thing = ValueError()

    with pytest.raises(UnknownVersionError, match=r"builtins\.ValueError has no ring"):
        override(thing, Loud)

    assert type(thing) is ValueError


def test_an_object_of_which_the_class_is_fixed_is_told() -> None:
    class Silent(Mixin):  # type: ignore[misc]  # of no class of its own
        def append(self, item: object) -> None:
            super().append(item)

    with pytest.raises(UnknownVersionError, match=r"builtins\.list"):
        override([], Silent)
