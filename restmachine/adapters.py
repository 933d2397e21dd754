"""Ways from a platform to an application: ASGI, and the base for platforms of events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from restmachine.asgi import ASGIAdapter, create_asgi_app
from restmachine.request import Request
from restmachine.response import Response

__all__ = ["ASGIAdapter", "Adapter", "create_asgi_app"]


class Adapter(ABC):
    """Turns the events of a platform into requests, and responses into its answers."""

    @abstractmethod
    def handle_event(self, event: Any, context: Any = None) -> Any:
        """Answer one event."""

    @abstractmethod
    def convert_to_request(self, event: Any, context: Any = None) -> Request:
        """Return the request which an event stands for."""

    @abstractmethod
    def convert_from_response(self, response: Response, event: Any, context: Any = None) -> Any:
        """Return a response as the platform wants it."""
