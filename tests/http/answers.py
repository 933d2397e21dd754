"""An answer of each kind, for tests of what every one of them must state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from restmachine import NotFound, RestApplication, Router
from restmachine.decorators import skip_auth_check

JSON = {"Content-Type": "application/json"}


def declare_checks(app: RestApplication) -> None:
    """Declare what the answers ask for: who the client is, and the tag of a document."""

    @app.default_authorized
    async def authorized(request_headers: Any) -> bool:
        return "X-Nobody" not in request_headers

    @app.generate_etag
    async def tag(document: str) -> str:
        return "1"

    @app.dependency()
    async def document() -> str:
        return "text"


def declare_answers(router: Router) -> None:
    """Declare a route for each kind of answer."""

    @router.get("/data")
    async def data() -> dict[str, int]:
        return {"a": 1}

    @router.post("/data")
    async def create(json_body: Any) -> Any:
        return {"a": 1}, 201, {"Location": "/data/1", "Vary": "Cookie"}

    @router.put("/data")
    def empty() -> None:
        return None

    @router.get("/tagged")
    async def tagged(document: str) -> dict[str, str]:
        return {"document": document}

    @router.get("/file")
    async def file() -> Path:
        return Path(__file__)

    @router.get("/absent")
    async def absent() -> None:
        raise NotFound

    @router.get("/broken")
    def broken() -> None:
        raise RuntimeError

    @router.get("/stream")
    async def stream() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    @router.get("/late")
    async def late() -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            raise RuntimeError
            yield b""

        return pieces()

    @router.get("/bypass", bypass_state_machine=True)
    @skip_auth_check
    async def bypass() -> Any:
        return {"a": 1}, 202
