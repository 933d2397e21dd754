"""An application that sends and takes as much as it is asked to, in each way in which it may."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from restmachine import ASGIAdapter, RestApplication

PIECE = 64 * 1024

app = RestApplication(max_content=2**40)


@app.get("/sync")
def sync_pieces(query_params: Any) -> Iterator[bytes]:
    return (bytes(PIECE) for _ in range(int(query_params["size"]) // PIECE))


@app.get("/async")
async def async_pieces(query_params: Any) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(int(query_params["size"]) // PIECE):
            yield bytes(PIECE)

    return pieces()


@app.get("/file")
def file(query_params: Any) -> Path:
    """Give a file that takes no space on the disk, whatever its size."""
    path = Path(os.environ["GIGABYTES_FILE"])
    with path.open("wb") as opened:
        opened.truncate(int(query_params["size"]))
    return path


@app.post("/sync")
def take_sync(body_stream: Any) -> dict[str, int]:
    return {"size": sum(len(piece) for piece in body_stream)}


@app.post("/async")
async def take_async(body_stream: Any) -> dict[str, int]:
    size = 0
    async for piece in body_stream:
        size += len(piece)
    return {"size": size}


@app.post("/form")
async def take_form(multipart_body: Any) -> dict[str, int]:
    return {"size": multipart_body["file"].size}


asgi_app = ASGIAdapter(app)
