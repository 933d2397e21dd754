"""Clients whose applications are shut down again, and a loop for code that has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from restmachine import ConfigurationError, RestApplication, asgi
from restmachine.inbound import ASGIExchange
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


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests for which the adapter makes an exchange."""
    made: list[str] = []
    make = ASGIExchange.__init__

    def noted(self: ASGIExchange, plan: Any, values: Any, scope: Any, receive: Any) -> None:
        made.append(scope["path"])
        make(self, plan, values, scope, receive)

    monkeypatch.setattr(ASGIExchange, "__init__", noted)
    return made


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests that are answered by the steps of their plan."""
    paths: list[str] = []
    respond = asgi.respond_on_loop

    async def noted(exchange: Any, *arguments: Any) -> None:
        paths.append(exchange.scope["path"])
        await respond(exchange, *arguments)

    monkeypatch.setattr(asgi, "respond_on_loop", noted)
    return paths


@pytest.fixture(scope="module")
def portal() -> Iterator[LoopPortal]:
    """Give the way to an event loop that runs on a thread of its own."""
    loop = BackgroundLoop()
    yield loop.portal
    loop.close()
