"""``python -m perfkit run app:asgi_app``: serves an unchanged application, measured.

With several workers their metrics go to a folder of files, made for the time of the run unless
PROMETHEUS_MULTIPROC_DIR names one. With ``--metrics-port`` the sum of all workers is on a port
of its own, answered by the process that watches over them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from perfkit import launched
from perfkit.errors import MissingExtraError, PerfkitError
from perfkit.exporter import FOLDER_VARIABLE, new_registry, serve
from perfkit.instrument import RECORDS, check_paths, check_record
from perfkit.launched import Launch
from restmachine.errors import ConfigurationError
from restmachine.servers import Wishes, serve_with_uvicorn

SERVED = "perfkit.launched:application"


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
    add("--metrics-path", default="/metrics", metavar="PATH", help="route of the metrics (%(default)s)")
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="show the metrics on a port of their own instead of a route",
    )
    add("--metrics-host", default="127.0.0.1", metavar="HOST", help="address of that port (%(default)s)")
    add(
        "--record",
        metavar="NAMES",
        help=f"what to record of a restmachine application, with commas: {', '.join(RECORDS)}",
    )
    add("--exclude", action="append", default=[], metavar="ROUTE", help="a route not to measure")


def command(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    record = None if arguments.record is None else tuple(arguments.record.split(","))
    check_record(record or ())
    path = None if arguments.metrics_port is not None else arguments.metrics_path
    check_paths(path, arguments.exclude)
    workers = arguments.workers or 1
    if workers < 1:
        raise PerfkitError(f"--workers is a whole number from 1 on, not {workers}")
    with ExitStack() as stack:
        if workers > 1 and not os.environ.get(FOLDER_VARIABLE):
            folder = tempfile.TemporaryDirectory(prefix="perfkit-")
            os.environ[FOLDER_VARIABLE] = stack.enter_context(folder)
        supervisor = os.getpid() if workers > 1 else None
        launched.leave(
            Launch(arguments.target, path, tuple(arguments.exclude), record, supervisor)
        )
        wishes = Wishes(arguments.host, arguments.port, arguments.workers)
        return _serve(wishes, arguments)


def _serve(wishes: Wishes, arguments: argparse.Namespace) -> int:
    raise NotImplementedError
