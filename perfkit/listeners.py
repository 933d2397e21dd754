"""Functions of the user's that hear of what was measured, and must stop nothing by failing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec

Facts = ParamSpec("Facts")

logger = logging.getLogger("perfkit")


def guarded(listener: Callable[Facts, None]) -> Callable[Facts, None]:
    """Return a function that calls *listener* and logs its first failure, and only that."""
    failed = False

    def call(*facts: Facts.args, **named: Facts.kwargs) -> None:
        nonlocal failed
        try:
            listener(*facts, **named)
        except Exception:
            if not failed:
                failed = True
                logger.exception("%s failed; further failures are not logged", listener)

    return call
