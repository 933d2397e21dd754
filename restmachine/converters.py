"""Path parameters that a function wants as something else than text; what does not fit is 404."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

from restmachine.errors import NotFound


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
