"""Dependencies: made once for each request, shared, and finished whatever happens.

Start it with ``python -m restmachine serve examples.library:asgi_app``.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from restmachine import ASGIAdapter, Request, Response, RestApplication

app = RestApplication()
asgi_app = ASGIAdapter(app)

SHELF = [("Middlemarch", 3), ("Persuasion", 1), ("Emma", 2), ("Villette", 0), ("Romola", 1)]


@dataclass
class Page:
    """A part of a list that is too long to send."""

    number: int
    size: int

    @property
    def start(self) -> int:
        """How many entries come before it."""
        return (self.number - 1) * self.size


@app.dependency(scope="session")
def database() -> Iterator[Path]:
    """Make the file of the database when it is first needed; it goes at shutdown."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE books (title TEXT PRIMARY KEY, copies INTEGER)")
            connection.executemany("INSERT INTO books VALUES (?, ?)", SHELF)
        yield path


@app.dependency()
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    """Open one transaction for each request.

    What the handler raises arrives at the yield, so a failure undoes every change.
    """
    with closing(sqlite3.connect(database, check_same_thread=False)) as opened, opened:
        yield opened


@app.dependency()
def copies(connection: sqlite3.Connection, title: str) -> int | None:
    """How many copies of the book in the path are here; None for an unknown book."""
    row = connection.execute("SELECT copies FROM books WHERE title = ?", (title,)).fetchone()
    return row[0] if row else None


@app.dependency()
def page(request: Request) -> Page:
    """Read the page that the query asks for; what is no number is answered with 400."""
    number = int(request.query_params.get("page", "1"))
    size = int(request.query_params.get("size", "2"))
    return Page(max(number, 1), min(max(size, 1), 50))


@app.get("/books")
def list_books(connection: sqlite3.Connection, page: Page) -> dict[str, Any]:
    """List one page of the titles."""
    (total,) = connection.execute("SELECT count(*) FROM books").fetchone()
    rows = connection.execute(
        "SELECT title FROM books ORDER BY title LIMIT ? OFFSET ?", (page.size, page.start)
    )
    return {"titles": [title for (title,) in rows], "page": page.number, "total": total}


@app.get("/books/{title}")
def read_book(title: str, copies: int | None) -> Any:
    """Tell how many copies are here."""
    if copies is None:
        return Response(404, {"error": f"there is no book called {title}"})
    return {"title": title, "copies": copies}


@app.post("/books/{title}/loans")
def lend(connection: sqlite3.Connection, title: str, copies: int | None) -> Any:
    """Lend one copy; the change is undone when none was left."""
    connection.execute("UPDATE books SET copies = copies - 1 WHERE title = ?", (title,))
    if not copies:
        raise RuntimeError(f"no copy of {title} is left")
    return {"title": title, "copies": copies - 1}, 201
