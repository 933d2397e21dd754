"""The ASGI application, under the name by which server configurations import it."""

from restmachine.asgi import ASGIAdapter, create_asgi_app

__all__ = ["ASGIAdapter", "create_asgi_app"]
