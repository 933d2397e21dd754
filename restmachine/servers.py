"""Starts a server for an ASGI application: uvicorn, or hypercorn from its TOML file.

`serve` is what ``python -m restmachine serve`` runs. Settings come from a Python module, in
uvicorn's words or gunicorn's, or from hypercorn's TOML; options of the command line win.
"""

from __future__ import annotations

import inspect
import os
import runpy
import socket
import sys
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from restmachine.errors import ConfigurationError, MissingExtraError
from restmachine.targets import asgi_of, shown, told

TARGET_VARIABLE = "RESTMACHINE_TARGET"
"""The environment variable that tells worker processes what to serve."""

# A setting of gunicorn: uvicorn's word for it.
_RENAMED = {
    "ca_certs": "ssl_ca_certs",
    "certfile": "ssl_certfile",
    "ciphers": "ssl_ciphers",
    "graceful_timeout": "timeout_graceful_shutdown",
    "keepalive": "timeout_keep_alive",
    "keyfile": "ssl_keyfile",
    "loglevel": "log_level",
    "max_requests": "limit_max_requests",
    "max_requests_jitter": "limit_max_requests_jitter",
    "timeout": "timeout_worker_healthcheck",
}
# A name that guides give a setting of hypercorn: hypercorn's own.
_RENAMED_FOR_HYPERCORN = {"keep_alive": "keep_alive_timeout"}
# What `serve` decides itself, or what has no meaning without uvicorn's own command line.
_NOT_OFFERED = {"self", "app", "factory", "fd", "env_file", "callback_notify"}
_LOOPS = ("auto", "asyncio", "uvloop", "none")
_WORKER_CLASSES = ("uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornWorker")


class Wishes(NamedTuple):
    """What the command line says; None leaves it to the settings file, then the default."""

    host: str | None = None
    port: int | None = None
    workers: int | None = None


def application() -> Any:
    """Return what a worker process serves: the target in its environment."""
    return asgi_of(os.environ[TARGET_VARIABLE])


def serve(target: str, wishes: Wishes, config: Path | None = None) -> int:
    """Serve *target* until a signal ends it, and return the exit status.

    Raises:
        ConfigurationError: The target, the settings or the address is wrong.
    """
    if config is not None and not config.is_file():
        raise ConfigurationError(f"there is no settings file {config}")
    if config is not None and config.suffix not in (".py", ".toml"):
        raise ConfigurationError(
            f"{config} is neither a Python module (.py) nor hypercorn's TOML (.toml)"
        )
    if config is not None and config.suffix == ".toml":
        return serve_with_hypercorn(target, wishes, config)
    return serve_with_uvicorn(target, wishes, config)


def serve_with_uvicorn(target: str, wishes: Wishes, config: Path | None) -> int:
    """Serve with uvicorn; it takes uvloop and httptools where they are installed."""
    try:
        import uvicorn
        from uvicorn.config import STARTUP_FAILURE
        from uvicorn.supervisors import Multiprocess
    except ModuleNotFoundError:
        raise MissingExtraError("serve", "uvicorn", "uvicorn") from None

    settings = {} if config is None else uvicorn_settings(config)
    if wishes.host is not None or wishes.port is not None:
        settings.pop("uds", None)
    stated = {name: value for name, value in wishes._asdict().items() if value is not None}
    settings = {"host": "127.0.0.1", "port": 8000, "workers": 1, **settings, **stated}
    app = asgi_of(target)
    if settings["workers"] > 1:
        os.environ[TARGET_VARIABLE] = target
        app, settings["factory"] = f"{__name__}:application", True
    try:
        made = uvicorn.Config(app, **settings)
    except Exception as error:
        raise ConfigurationError(f"uvicorn refuses these settings: {told(error)}") from error
    if made.uds is None:
        check_address(made.host, made.port)
    if made.workers > 1:
        supervisor = Multiprocess(made, sockets=[made.bind_socket()])
        supervisor.run()
        return int(any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes))
    server = uvicorn.Server(made)
    try:
        server.run()
    except KeyboardInterrupt:
        return 0  # uvicorn has stopped in good order and passes the signal on
    except SystemExit:
        return 1  # it has said why it could not start
    return 0


def uvicorn_settings(path: Path) -> dict[str, Any]:
    """Read a Python settings module as keyword arguments of `uvicorn.Config`.

    Raises:
        ConfigurationError: The module fails, or a setting is unknown or has no such value.
    """
    from uvicorn import Config

    known = inspect.signature(Config.__init__).parameters.keys() - _NOT_OFFERED
    known = {name for name in known if not name.startswith("reload")}
    settings: dict[str, Any] = {}
    for name, value in module_settings(path).items():
        if name == "bind":
            settings |= _bound(value, path)
        elif name == "worker_class":
            _accept_worker_class(value, path)
        elif (word := _RENAMED.get(name, name)) in known:
            settings[word] = value
        else:
            raise unknown_setting(name, {*known, *_RENAMED, "bind", "worker_class"}, path)
    _check_values(settings, path)
    return settings


def module_settings(path: Path) -> dict[str, Any]:
    """Run a Python settings module and return its settings: names that it assigns.

    What it imports is no setting, nor is a name with a leading underscore.

    Raises:
        ConfigurationError: It fails.
    """
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{shown(str(path))} cannot be read: {told(error)}") from error
    return {
        name: value
        for name, value in names.items()
        if not name.startswith("_") and not _is_imported(value)
    }


def _is_imported(value: Any) -> bool:
    if isinstance(value, (FunctionType, type)):
        return value.__module__ != "<run_path>"
    return isinstance(value, ModuleType) or inspect.isbuiltin(value) or inspect.ismethod(value)


def unknown_setting(name: str, known: Collection[str], path: Path) -> ConfigurationError:
    """Return the error for a setting that the server does not have."""
    near = get_close_matches(name, sorted(known), n=1)
    hint = f'did you mean "{near[0]}"?' if near else "a name of your own begins with _"
    return ConfigurationError(f'{path} sets "{name}", which is unknown; {hint}')


def _bound(value: Any, path: Path) -> dict[str, Any]:
    """Read gunicorn's bind: ``host:port`` or ``unix:path``, perhaps as a list of one."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.startswith("unix:"):
        return {"uds": value.removeprefix("unix:")}
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not host or not port.isdecimal():
        raise ConfigurationError(f'{path} sets bind to {value!r}; write "host:port"')
    return {"host": host.strip("[]"), "port": int(port)}


def _accept_worker_class(value: Any, path: Path) -> None:
    """Accept what names uvicorn's workers, which is what runs anyway."""
    if value not in _WORKER_CLASSES:
        raise ConfigurationError(
            f"{path} sets worker_class to {value!r}; uvicorn runs its own workers, so leave it "
            f'out or write "{_WORKER_CLASSES[0]}"'
        )


def _check_values(settings: Mapping[str, Any], path: Path) -> None:
    """Raise what would otherwise come as a traceback out of uvicorn."""
    from uvicorn.config import HTTP_PROTOCOLS, LOG_LEVELS

    for name in ("port", "workers", "backlog", "limit_concurrency"):
        value = settings.get(name)
        if value is not None and (not isinstance(value, int) or value < (name != "port")):
            raise ConfigurationError(f"{path} sets {name} to {value!r}; write a whole number")
    for name, offered in (("loop", _LOOPS), ("http", HTTP_PROTOCOLS), ("log_level", LOG_LEVELS)):
        value = settings.get(name)
        if isinstance(value, str) and ":" not in value and value not in offered:
            raise ConfigurationError(
                f"{path} sets {name} to {value!r}; write one of {', '.join(offered)}"
            )
        if value in ("uvloop", "httptools") and find_spec(value) is None:
            raise MissingExtraError(f'{name} = "{value}"', value, "uvicorn")
    for name in ("ssl_keyfile", "ssl_certfile", "ssl_ca_certs"):
        value = settings.get(name)
        if value is not None and not Path(value).is_file():
            raise ConfigurationError(f"{path} sets {name} to {value!r}, which is no file")


def serve_with_hypercorn(target: str, wishes: Wishes, config: Path) -> int:
    """Serve with hypercorn, by its own TOML file."""
    try:
        from hypercorn.config import Config
        from hypercorn.run import run
    except ModuleNotFoundError:
        raise MissingExtraError(f"{config}", "hypercorn", "hypercorn") from None

    made = Config.from_mapping(hypercorn_settings(config))
    if wishes.host is not None or wishes.port is not None:
        made.bind = [f"{wishes.host or '127.0.0.1'}:{8000 if wishes.port is None else wishes.port}"]
    if wishes.workers is not None:
        made.workers = wishes.workers
    if made.worker_class != "asyncio" and find_spec(made.worker_class) is None:
        raise MissingExtraError(
            f'worker_class = "{made.worker_class}"', made.worker_class, "uvicorn"
        )
    asgi_of(target)
    os.environ[TARGET_VARIABLE] = target
    # Hypercorn evaluates what follows the colon, in each worker.
    made.application_path = f"{__name__}:application()"
    for address in made.bind:
        if not address.startswith(("unix:", "fd:")):
            host, _, port = address.rpartition(":")
            check_address(host.strip("[]") or address, int(port) if host else 8000)
    return int(run(made))


def hypercorn_settings(path: Path) -> dict[str, Any]:
    """Read hypercorn's TOML file; a setting under another name is taken with a notice on stderr.

    Raises:
        ConfigurationError: It is not TOML, or a setting is unknown or has no such value.
    """
    from hypercorn.config import Config

    defaults = {
        name: value
        for name, value in inspect.getmembers(Config)
        if not name.startswith("_")
        and not callable(value)
        and not (isinstance(value, property) and value.fset is None)
    }
    settings = toml_settings(path)
    for name in settings.keys() & _RENAMED_FOR_HYPERCORN:
        known_as = _RENAMED_FOR_HYPERCORN[name]
        if known_as in settings:
            raise ConfigurationError(f"{path} sets {name} and {known_as}, which are one; drop one")
        settings[known_as] = settings.pop(name)
        print(f"restmachine: {path} sets {name}; hypercorn calls it {known_as}", file=sys.stderr)
    for name, value in settings.items():
        if name not in defaults:
            raise unknown_setting(name, defaults, path)
        wanted = (int, float) if isinstance(defaults[name], (int, float)) else str
        if isinstance(defaults[name], (int, float, str)) and not isinstance(value, wanted):
            kind = "text" if wanted is str else "a number"
            raise ConfigurationError(f"{path} sets {name} to {value!r}; write {kind}")
    return settings


def toml_settings(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error


def check_address(host: str, port: int) -> None:
    """Raise ConfigurationError unless a server could listen on an address now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigurationError(f'"{host}" is no address to listen on: {error}') from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(
                f"cannot listen on port {port} of {host}: {why}; choose another with --port"
            ) from error
