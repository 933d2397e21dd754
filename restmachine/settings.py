"""Settings as a developer states them, checked where they are stated.

A wrong one would otherwise show in the answer to some request, perhaps much later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from restmachine.errors import ConfigurationError
from restmachine.headers import InvalidHeaderError, MultiValueHeaders

# A language tag, a charset or a content coding (RFC 9110 sections 8.3.2, 8.4.1 and 8.5.1).
_is_name = re.compile(r"[0-9A-Za-z][0-9A-Za-z!#$&+^_.-]*").fullmatch


class CacheSettings(NamedTuple):
    """What a route says about the responses that the server stores.

    Attributes:
        max_age: For how many seconds each is sent, unless it states another time itself.
        entries: How many there are at most.
        max_bytes: How much they take at most.
    """

    max_age: int
    entries: int
    max_bytes: int


def check_whole_number(owner: str, name: str, value: object, least: int) -> None:
    """Look at a number of bytes, threads or the like.

    Raises:
        ConfigurationError: It is no whole number, or less than *least*.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{owner} was given {name}={value!r}: give a whole number, {least} or more."
        )


def check_seconds(owner: str, name: str, value: object) -> None:
    """Look at a time to wait.

    Raises:
        ConfigurationError: It is no number, or negative.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
        raise ConfigurationError(f"{owner} was given {name}={value!r}: give seconds, 0 or more.")


def check_challenge(owner: str, value: str) -> None:
    """Look at what WWW-Authenticate is to say.

    Raises:
        ConfigurationError: No header field can.
    """
    try:
        sendable = bool(value) and bool(MultiValueHeaders({"WWW-Authenticate": value}).encoded())
    except InvalidHeaderError:
        sendable = False
    if not sendable:
        raise ConfigurationError(
            f"{owner} was given challenge={value!r}: give a scheme of authentication, and what "
            "belongs to it in one line, such as 'Basic realm=\"shop\"'."
        )


def choices(owner: str, name: str, values: object) -> tuple[str, ...]:
    """Return what a route offers to choose from.

    Raises:
        ConfigurationError: It is no list of names, or names a charset that Python lacks.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigurationError(
            f"{owner} was given {name}={values!r}: give a tuple, such as ({values!r},)."
        )
    offered = tuple(values)
    for value in offered:
        if not isinstance(value, str) or not _is_name(value):
            raise ConfigurationError(f"{owner} was given {value!r} among its {name}: it is none.")
        if name == "charsets" and not _is_charset(value):
            raise ConfigurationError(
                f'{owner} offers the charset "{value}", which Python does not know.'
            )
    return offered


def _is_charset(name: str) -> bool:
    try:
        "".encode(name)
    except LookupError:
        return False
    return True
