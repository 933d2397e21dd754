"""Serves one block of the page with uvicorn, in a process of its own.

Each process is forked from one that has imported everything already, and nothing else.
"""

import multiprocessing
import os
import socket
import sys
from pathlib import Path

import uvicorn
from stage import Facts
from standins import stage_of

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "__main__",
        __name__,
        "httptools",
        "httpx",
        "psycopg2.pool",
        "pydantic",
        "redis",
        "requests",
        "starlette.middleware.gzip",
        "uvloop",
    ]
)


def serve(facts: Facts, listening: socket.socket, name: str) -> None:
    """Serve until a signal ends it; *name* is told to PostgreSQL."""
    os.environ |= {"PGAPPNAME": name}
    with (Path(facts.folder) / "stderr").open("wb") as complaints:
        os.dup2(complaints.fileno(), 2)
    with stage_of(facts) as stage, listening:
        config = uvicorn.Config(stage.asgi, loop="uvloop", http="httptools", log_level="warning")
        server = uvicorn.Server(config)
        server.run(sockets=[listening])
    sys.exit(not server.started)
