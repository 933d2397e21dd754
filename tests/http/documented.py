"""An application with every kind of route, as `test_schemathesis.py` documents and starts it.

The argument is the descriptor of the socket to listen on.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import uvicorn
from pydantic import BaseModel

from restmachine import ASGIAdapter, Conflict, RestApplication

app = RestApplication(max_content=2000, max_form_fields=5)


class Person(BaseModel):
    """What a validated route takes."""

    name: str
    age: int


@app.dependency()
def opened() -> Iterator[list[int]]:
    values = [1, 2, 3]
    yield values
    values.clear()


@app.validates
def person(json_body: Any) -> Person:
    return Person.model_validate(json_body)


@app.resource_exists
async def item(item_id: str) -> Any:
    return {"id": item_id} if len(item_id) < 4 else None


@app.generate_etag
def tag(item: Any) -> str:
    return "v1"


@app.authorized
async def user(request_headers: Any) -> bool:
    return "authorization" in request_headers


# ---- routes that read the URI and the header fields ---------------------------------------


@app.get("/echo/{name}")
async def echo(name: str, query_params: Any, opened: Any) -> Any:
    return {"name": name, "query": query_params}


@app.get("/typed/{number}/{key}")
async def typed(number: int, key: UUID) -> Any:
    return {"number": number, "key": key}


@app.get("/choices", languages=("en", "de"))
async def choices(language: str) -> Any:
    return {"language": language}


@app.get("/stream")
async def stream() -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece"

    return pieces()


@app.get("/bytes")
def content() -> Any:
    return b"0123456789" * 10


@app.get("/file")
async def file() -> Path:
    return Path(__file__)


@app.get("/private")
async def private(user: Any) -> Any:
    return {"user": user}


@app.get("/conflict")
def conflict() -> Any:
    raise Conflict("It is always in conflict.")


# ---- routes that read content -------------------------------------------------------------


@app.post("/json")
async def as_json(json_body: Any) -> Any:
    return {"data": json_body}


@app.post("/form")
def as_form(form_body: Any, opened: Any) -> Any:
    return {"data": form_body}


@app.post("/text")
async def as_text(text_body: Any) -> Any:
    return {"data": text_body}


@app.post("/multipart")
async def as_multipart(multipart_body: Any) -> Any:
    return {"names": list(multipart_body or ())}


@app.post("/person")
async def as_person(person: Person) -> Any:
    return person


@app.get("/items/{item_id}")
async def read(item: Any) -> Any:
    return item


@app.put("/items/{item_id}", creates=True)
def write(item: Any, json_body: Any) -> Any:
    return {"stored": json_body}


@app.delete("/items/{item_id}")
async def delete(item: Any) -> None:
    return None


if __name__ == "__main__":
    logging.basicConfig(level="ERROR")  # what a client does wrong is no news
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        config = uvicorn.Config(ASGIAdapter(app), log_level="error", ws="none")
        uvicorn.Server(config).run(sockets=[listener])
