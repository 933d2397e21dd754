"""Clients whose applications are shut down again, and a loop for code that has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from restmachine import ConfigurationError, RestApplication
from restmachine.testing import TestClient
from restmachine.workers import BackgroundLoop, LoopPortal

from .keeping import Clock


@pytest.fixture
def serve() -> Iterator[Callable[[RestApplication], TestClient]]:
    """Start an application and return a client of it; it is shut down after the test."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(TestClient(app))


@pytest.fixture
def clock() -> Clock:
    """Give the clock of `app`."""
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Iterator[RestApplication]:
    """Give an application to declare things on, for direct execution."""
    application = RestApplication(clock=clock)
    yield application
    with suppress(ConfigurationError):  # one that cannot be built has nothing to shut down
        application.shutdown_sync()


@pytest.fixture(scope="module")
def portal() -> Iterator[LoopPortal]:
    """Give the way to an event loop that runs on a thread of its own."""
    loop = BackgroundLoop()
    yield loop.portal
    loop.close()
