"""Static files: a router that answers with what is in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from restmachine.errors import NotFound
from restmachine.router import Router


class StaticRouter(Router):
    """Answers GET and HEAD with the files of a folder; mount it where they shall be.

    Conditions and ranges are those of every file. Nothing outside the folder is ever sent,
    wherever dots or symbolic links lead.

    Args:
        serve: The folder.
        index_file: What a folder itself is answered with; without one it is 404.

    Raises:
        ValueError: There is no such folder.
    """

    def __init__(self, serve: str | os.PathLike[str], index_file: str = "index.html") -> None:
        super().__init__()
        folder = Path(serve)
        if not folder.exists():
            raise ValueError(f"Static files are to come from {folder}, which does not exist.")
        if not folder.is_dir():
            raise ValueError(f"Static files are to come from {folder}, which is no folder.")
        self.directory = folder.resolve()
        self.index_file = index_file
        self.get("/**")(self._find)

    def _find(self, path: str) -> Path:
        """Return the file for a path; whether it exists is seen when it is opened."""
        try:
            found = (self.directory / path).resolve()
            if found.is_relative_to(self.directory) and found.is_dir():
                found = (found / self.index_file).resolve()
        except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a zero byte
            raise NotFound from None
        if not found.is_relative_to(self.directory):
            raise NotFound
        return found
