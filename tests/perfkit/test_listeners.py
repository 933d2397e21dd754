"""A listener that fails stops nothing and is told of once."""

from __future__ import annotations

import pytest

from perfkit.listeners import guarded


def test_a_listener_hears_everything() -> None:
    heard: list[int] = []

    tell = guarded(heard.append)
    tell(1)
    tell(2)

    assert heard == [1, 2]


def test_only_the_first_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(fact: int) -> None:
        raise RuntimeError(f"broken by {fact}")

    tell = guarded(fail)
    tell(1)
    tell(2)

    assert [entry.exc_info is not None for entry in caplog.records] == [True]
    assert "broken by 1" in caplog.text
