"""Conditional requests: nothing is sent twice, and no change overwrites another unseen.

Start it with ``python -m restmachine serve examples.notes:asgi_app``. No handler mentions a
precondition: the functions beside them supply the facts, and the diagram decides.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from restmachine import ASGIAdapter, RestApplication

app = RestApplication()
asgi_app = ASGIAdapter(app)


@dataclass
class Note:
    """A text and how often it was written."""

    text: str
    version: int
    written: datetime


NOTES = {"milk": Note("buy milk", 1, datetime(2024, 5, 1, 12, 0, tzinfo=UTC))}
TORN = {"rent"}


@app.resource_exists
def note(name: str) -> Note | None:
    """Find the note of the path; None is 404, or 410 where one was torn up."""
    return NOTES.get(name)


@app.previously_existed
def torn_up(name: str) -> bool:
    """Tell whether there was such a note."""
    return name in TORN


@app.generate_etag
def version(note: Note) -> str:
    """Name the note's present state."""
    return f"v{note.version}"


@app.last_modified
def written(note: Note) -> datetime:
    """Tell when it came about."""
    return note.written


@app.get("/notes/{name}")
def read(note: Note, torn_up: bool) -> dict[str, Any]:
    """Send the note to those who do not have it.

    A callback applies to the handlers that name it, so only here an absent note may be 410.
    """
    return {"text": note.text}


@app.put("/notes/{name}")
def write(note: Note, json_body: dict[str, str]) -> dict[str, Any]:
    """Write the note anew; with If-Match only over what the client has seen."""
    note.text = json_body["text"]
    note.version += 1
    note.written = datetime.now(UTC)
    return {"text": note.text, "version": note.version}


@app.delete("/notes/{name}")
def tear_up(name: str, note: Note) -> None:
    """Remove the note and remember that it was there."""
    del NOTES[name]
    TORN.add(name)
