"""sqlite3: queries of a connection, through the documented `factory` of `sqlite3.connect`.

One operation is one call of `execute`, `executemany` or `executescript`, on the connection or on
one of its cursors. SQLite computes most rows while they are fetched, which is not counted.
Nothing can be added to a connection that was made without the factory.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from perfkit.calls import Call, query
from perfkit.errors import PerfkitError
from perfkit.statements import fingerprint
from perfkit.subclass import Mixin, overriding

SYSTEM = "sqlite"


class _WatchedCursor(Mixin):  # type: ignore[misc]  # of no class of its own
    """Overrides methods of a cursor."""

    def execute(self, statement: str, *arguments: Any) -> Any:
        with query(SYSTEM, statement):
            return super().execute(statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> Any:
        with query(SYSTEM, statement):
            return super().executemany(statement, *arguments)

    def executescript(self, script: str) -> Any:
        # A script counts also when it begins with a transaction.
        with Call(SYSTEM, fingerprint(script)):
            return super().executescript(script)


class Connection(sqlite3.Connection):
    """A connection whose queries are reported: ``sqlite3.connect(path, factory=Connection)``."""

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Return a cursor of the class that *factory* is, and report its queries."""
        return super().cursor(overriding(factory, _WatchedCursor))

    # These make their cursors without asking `cursor` for them.

    def execute(self, statement: str, *arguments: Any) -> Any:
        """Execute a statement on a new cursor, and return that."""
        return self.cursor().execute(statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> Any:
        """Execute a statement repeatedly on a new cursor, and return that."""
        return self.cursor().executemany(statement, *arguments)

    def executescript(self, script: str) -> Any:
        """Execute statements on a new cursor, and return that."""
        return self.cursor().executescript(script)


def attach(connection: sqlite3.Connection) -> None:
    """See that the connection reports its queries.

    Raises:
        PerfkitError: It was made without the factory.
    """
    if not isinstance(connection, Connection):
        raise PerfkitError(
            "a sqlite3 connection can be watched only from its beginning: "
            "sqlite3.connect(path, factory=perfkit.sqlite_driver.Connection)"
        )


def detach(connection: sqlite3.Connection) -> None:
    """Refuse: the connection reports its queries until it is closed.

    Raises:
        PerfkitError: Always.
    """
    raise PerfkitError("a sqlite3 connection made with the factory is watched until it is closed")
