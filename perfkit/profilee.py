"""The application that `python -m perfkit profile` serves: the user's, made profilable.

uvicorn imports this module; the environment says what to serve and with which token.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from perfkit.calltree import PhaseObserver
from perfkit.profiler import Profiled
from restmachine.errors import ConfigurationError
from restmachine.targets import asgi_of, wrapped_application

APP_VARIABLE = "PERFKIT_PROFILE_APP"
TOKEN_VARIABLE = "PERFKIT_PROFILE_TOKEN"
FOLDER_VARIABLE = "PERFKIT_PROFILE_FOLDER"


def served(target: str, token: str, folder: Path) -> Profiled:
    """Return the application *target*, whose decisions are told to the profiler.

    Raises:
        SystemExit: It cannot be imported; the text is one line.
    """
    try:
        found = asgi_of(target)
        app = wrapped_application(found)
        if app is not None:
            app.observe(PhaseObserver())
            _ = app.compiled
    except ConfigurationError as error:
        sys.exit(" ".join(str(error).split()))
    return Profiled(found, token=token, folder=folder)


def __getattr__(name: str) -> Profiled:
    if name != "app":
        raise AttributeError(name)
    return served(
        os.environ[APP_VARIABLE], os.environ[TOKEN_VARIABLE], Path(os.environ[FOLDER_VARIABLE])
    )
