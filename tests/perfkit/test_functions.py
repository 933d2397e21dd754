"""What the decorator logs of a function's calls."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from perfkit.functions import performance_monitor

KEPT: list[bytearray] = []


@performance_monitor
def grow(size: int) -> int:
    """Keep so many bytes."""
    KEPT.append(bytearray(b"x") * size)
    return size


@performance_monitor
async def fail(secret: str) -> None:
    await asyncio.sleep(0.01)
    raise LookupError(secret)


def logged(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (message,) = caplog.messages
    facts: dict[str, Any] = json.loads(message)
    return facts


def test_a_call_is_logged_with_its_time_and_memory(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="perfkit.functions")

    result = grow(32 * 2**20)

    facts = logged(caplog)
    assert result == 32 * 2**20
    assert facts["function"] == f"{__name__}.grow"
    assert facts["seconds"] > 0
    assert facts["cpu_seconds"] >= 0
    assert facts["resident_bytes"] > 16 * 2**20


def test_a_coroutine_is_measured_to_its_end_also_when_it_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="perfkit.functions")

    with pytest.raises(LookupError):
        asyncio.run(fail("secret"))

    assert logged(caplog)["seconds"] >= 0.01
    assert "secret" not in caplog.text


def test_the_function_keeps_its_name_and_its_text() -> None:
    assert (grow.__name__, grow.__doc__) == ("grow", "Keep so many bytes.")
