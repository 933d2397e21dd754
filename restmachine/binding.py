"""Functions bound to the places of their arguments when a plan is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from restmachine.exchange import Exchange
from restmachine.recipes import Function, Parameter
from restmachine.resources import Resource

Getter = Callable[[Exchange], Any]
"""Finds an argument of a call, and makes it if nobody has; that may block."""

Values = list[Any]
"""What an exchange holds for its plan: the path's parameters, then the request dependencies."""


class Converted(NamedTuple):
    """A path parameter that its function wants as something else than text."""

    at: int
    convert: Callable[[str], Any]


Place = int | Converted | Resource
"""Where an argument of a call is once everything has been prepared."""


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


def bind_prepared(function: Function, places: Sequence[Place]) -> Callable[[Values], Any]:
    """Return a function of prepared values that calls *function*.

    Hot path: an argument is a look into a list, where `bind` asks a function for each
    (bench_dependencies.py::bench_prepared_call).
    """
    if not places:
        return lambda values: function()
    slots = [place for place in places if isinstance(place, int)]
    if len(slots) == len(places):
        match slots:
            case [one]:
                return lambda values: function(values[one])
            case [one, two]:
                return lambda values: function(values[one], values[two])
            case [one, two, three]:
                return lambda values: function(values[one], values[two], values[three])
    getters = [_getter_of(place) for place in places]
    return lambda values: function(*[get(values) for get in getters])


def _getter_of(place: Place) -> Callable[[Values], Any]:
    if isinstance(place, int):
        return itemgetter(place)
    if isinstance(place, Resource):
        return lambda values: place.value
    at, convert = place
    return lambda values: convert(values[at])
