"""Serves one application of a peer: ``python -m perfkit.peerserver PACKAGE PEER ROUTES PORT``.

It is uvicorn with uvloop and httptools, without an access log, in one process. A peer whose
module has ``serve(application, port)`` is served by that: it has a server of its own.
"""

from __future__ import annotations

import sys
from importlib import import_module

import uvicorn

from perfkit.contender import made
from perfkit.server import HOST


def main(package: str, peer: str, routes: str, port: str) -> None:
    """Serve until the process is asked to end; *routes* is ``-`` for the handful."""
    module = import_module(f"{package}.{peer}")
    application = made(module, None if routes == "-" else int(routes), None)
    if hasattr(module, "serve"):
        module.serve(application, int(port))
        return
    uvicorn.run(
        application,
        host=HOST,
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
