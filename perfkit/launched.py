"""What a server's processes serve for ``python -m perfkit run``: an application, measured.

The command leaves its wishes in the environment, where processes that start later find them.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from perfkit.asgi import Middleware
from perfkit.errors import PerfkitError
from perfkit.instrument import DEFAULT, instrument, is_instrumented
from restmachine.errors import ConfigurationError
from restmachine.targets import asgi_of, load, wrapped_application

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

VARIABLE = "PERFKIT_LAUNCH"
ATTRIBUTE = "asgi_app"
SERVED = f"{__name__}:{ATTRIBUTE}"

registry: CollectorRegistry | None = None
"""Where one process alone keeps its metrics, to show them on a port of their own."""


class Launch(NamedTuple):
    """What is served, and how it is measured.

    Attributes:
        target: The application, ``module:attribute``.
        path: Where scrapes are answered, None for a port of their own alone.
        exclude: Routes that are not measured.
        record: What to record, None for what `perfkit.instrument` does by itself.
        supervisor: The process that only watches over workers, None if there is none.
    """

    target: str
    path: str | None
    exclude: tuple[str, ...] = ()
    record: tuple[str, ...] | None = None
    supervisor: int | None = None


def leave(launch: Launch) -> None:
    """Put it where `application` finds it, in this process and its children."""
    os.environ[VARIABLE] = json.dumps(launch)


@cache
def application() -> Any:
    """Return the application that was left, measured: a restmachine one from inside.

    Raises:
        ConfigurationError: There is no such application, or it cannot be measured so.
    """
    launch = Launch(*json.loads(os.environ[VARIABLE]))
    served = asgi_of(launch.target)
    if launch.supervisor == os.getpid():
        return served
    app = wrapped_application(load(launch.target))
    try:
        if app is None:
            return Middleware(served, registry=registry, path=launch.path, exclude=launch.exclude)
        if not is_instrumented(app):
            record = DEFAULT if launch.record is None else launch.record
            instrument(
                app, record=record, registry=registry, path=launch.path, exclude=launch.exclude
            )
            _ = app.compiled
    except PerfkitError as error:
        raise ConfigurationError(str(error)) from error
    return served


def __getattr__(name: str) -> Any:
    """Return the application under the name by which a server imports it."""
    if name == ATTRIBUTE:
        return application()
    raise AttributeError(name)
