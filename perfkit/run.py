"""``python -m perfkit run app:asgi_app``: serves an unchanged application, measured.

With several workers their metrics go to a folder of files, made for the time of the run unless
PROMETHEUS_MULTIPROC_DIR names one. With ``--metrics-port`` the sum of all workers is on a port
of its own, answered by the process that watches over them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from perfkit import launched
from perfkit.errors import PerfkitError
from perfkit.exporter import FOLDER_VARIABLE, new_registry, serve
from perfkit.instrument import RECORDS, check_paths, check_record
from perfkit.launched import Launch
from restmachine.errors import RestFrameworkError
from restmachine.servers import Wishes, serve_with_uvicorn, uvicorn_settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add("target", metavar="MODULE:ATTR", help="the ASGI application, or a RestApplication")
    add("--host", help="address to listen on (127.0.0.1)")
    add("--port", type=int, help="port to listen on (8000)")
    add("--workers", type=int, metavar="N", help="processes (1)")
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help="uvicorn's settings as a Python module; options given here win",
    )
    add(
        "--metrics-path",
        default="/metrics",
        metavar="PATH",
        help="route of the metrics (%(default)s)",
    )
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="show the metrics on a port of their own instead of a route",
    )
    add(
        "--metrics-host",
        default="127.0.0.1",
        metavar="HOST",
        help="address of that port (%(default)s)",
    )
    add(
        "--record",
        metavar="NAMES",
        help=f"what to record of a restmachine application, with commas: {', '.join(RECORDS)}",
    )
    add("--exclude", action="append", default=[], metavar="ROUTE", help="a route not to measure")


def command(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it, and return the exit status."""
    record = None if arguments.record is None else tuple(arguments.record.split(","))
    check_record(record or ())
    path = None if arguments.metrics_port is not None else arguments.metrics_path
    check_paths(path, arguments.exclude)
    try:
        workers = _workers(arguments)
        with ExitStack() as stack:
            if workers > 1 and not os.environ.get(FOLDER_VARIABLE):
                folder = tempfile.TemporaryDirectory(prefix="perfkit-")
                os.environ[FOLDER_VARIABLE] = stack.enter_context(folder)
            supervisor = os.getpid() if workers > 1 else None
            exclude = tuple(arguments.exclude)
            launched.leave(Launch(arguments.target, path, exclude, record, supervisor))
            launched.application()  # before the port is taken, so that mistakes are told first
            if arguments.metrics_port is not None:
                serve(arguments.metrics_port, arguments.metrics_host, launched.registry)
            wishes = Wishes(arguments.host, arguments.port, arguments.workers)
            return serve_with_uvicorn(launched.SERVED, wishes, arguments.config)
    except RestFrameworkError as error:
        raise PerfkitError(str(error)) from error


def _workers(arguments: argparse.Namespace) -> int:
    """Return how many processes will serve, and let one alone have a registry."""
    workers: int | None = arguments.workers
    if arguments.config is not None:
        if not arguments.config.is_file() or arguments.config.suffix != ".py":
            raise PerfkitError(f"--config {arguments.config} is not a Python module (.py)")
        settings = uvicorn_settings(arguments.config)
        workers = settings.get("workers", 1) if workers is None else workers
    if workers is not None and workers < 1:
        raise PerfkitError(f"--workers is a whole number from 1 on, not {workers}")
    if workers in (None, 1) and arguments.metrics_port is not None:
        launched.registry = new_registry()
    return workers or 1
