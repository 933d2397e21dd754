"""The options of ``python -m perfkit loadtest``, checked before anything starts."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from perfkit.errors import PerfkitError

APP = "loadtests.app:asgi_app"
SEED = "loadtests.seed"
LOCUSTFILE = Path("loadtests/locustfile.py")
BUDGETS = Path("loadtests/budgets.toml")
REPORTS = Path("reports/loadtest")
USERS = 20
# With a rate, users only bound how many requests are open: a second's worth of them.
MOST_OPEN_LOOP_USERS = 500
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class OptionError(PerfkitError):
    """An option has a value that a load test cannot use."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, with all defaults filled in; *duration_s* is in whole seconds."""

    users: int
    rate: float | None
    duration_s: int
    scenarios: tuple[str, ...]
    workers: int
    host: str | None
    port: int | None
    distributed: int | None
    bind: str | None
    budgets: Path | None
    output: Path | None
    app: str
    seed: str | None
    services: bool
    locustfile: Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options; `read_options` checks their values."""
    add = parser.add_argument
    add("--users", metavar="N", help=f"users at the same time ({USERS}; with --rate a bound)")
    add("--rate", metavar="R", help="open-loop load of R requests per second in all")
    add("--duration", metavar="TIME", default="30s", help="such as 30, 30s or 2m (30s)")
    add("--scenario", metavar="NAME", help="only these scenarios, comma-separated (all)")
    add("--workers", metavar="N", help="processes of the server (1)")
    add("--host", metavar="URL", help="a running server, instead of starting one")
    add("--port", metavar="PORT", help="port of the server that is started (a free one)")
    add("--distributed", metavar="N", help="a Locust master and N load workers on this machine")
    add(
        "--bind",
        metavar="ADDRESS",
        help="with --distributed: the workers run on other machines and connect to this address",
    )
    add("--budgets", metavar="FILE", help=f"TOML file of budgets ({BUDGETS})")
    add("--output", metavar="DIR", help=f"folder of the report ({REPORTS}/<UTC time>)")
    add("--app", metavar="MODULE:ATTR", help=f"ASGI application to start ({APP})")
    add("--seed", metavar="MODULE", help=f"module that prepares the data ({SEED})")
    add(
        "--no-services",
        action="store_true",
        help="start neither PostgreSQL nor Redis, and prepare no data unless --seed is given",
    )
    add("--locustfile", metavar="FILE", help=f"the scenarios ({LOCUSTFILE})")


def read_options(given: argparse.Namespace) -> Options:
    """Check the values of all options and fill in the defaults.

    Raises:
        OptionError: One of them cannot be used; the text names it.
    """
    rate = None if given.rate is None else _number("--rate", given.rate)
    distributed = _whole("--distributed", given.distributed, default=None)
    users = _whole("--users", given.users, default=None)
    if users is None:
        wanted = USERS if rate is None else min(math.ceil(rate), MOST_OPEN_LOOP_USERS)
        users = max(USERS, wanted, distributed or 1)
    if distributed is not None and users < distributed:
        raise OptionError(f"--users {users} are too few for --distributed {distributed}")
    if given.host is not None:
        _refuse_with_host(given)
    if given.bind is not None and (distributed is None or given.host is None):
        raise OptionError(
            "--bind is for workers on other machines: it needs --distributed N, how many there "
            "are, and --host URL, which they can reach"
        )
    return Options(
        users=users,
        rate=rate,
        duration_s=_duration(given.duration),
        scenarios=_names(given.scenario),
        workers=_whole("--workers", given.workers, default=1) or 1,
        host=None if given.host is None else _url(given.host),
        port=_port(given.port),
        distributed=distributed,
        bind=given.bind,
        budgets=_budgets(given.budgets),
        output=None if given.output is None else _folder(given.output),
        app=_app(given.app or APP),
        seed=given.seed or (None if given.no_services or given.host else SEED),
        services=not given.no_services and given.host is None,
        locustfile=_file("--locustfile", Path(given.locustfile or LOCUSTFILE)),
    )


def _refuse_with_host(given: argparse.Namespace) -> None:
    for name in ("workers", "port", "app", "seed"):
        if getattr(given, name) is not None:
            raise OptionError(f"--{name} is for a server that is started: leave it out with --host")


def _whole(option: str, text: str | None, *, default: int | None) -> int | None:
    if text is None:
        return default
    if not re.fullmatch(r"\d+", text, re.ASCII) or int(text) < 1:
        raise OptionError(f"{option} is a whole number from 1 on, not {text!r}")
    return int(text)


def _number(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise OptionError(f"{option} is a number above 0, not {text!r}")
    return value


def _duration(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smh]?)", text.strip(), re.ASCII)
    seconds = int(match[1]) * SECONDS[match[2]] if match else 0
    if seconds < 1:
        raise OptionError(f"--duration is whole seconds, such as 30, 30s or 2m, not {text!r}")
    return seconds


def _names(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise OptionError(f"--scenario is one name or several with commas, not {text!r}")
    return names


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise OptionError(f"--host {text!r} is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise OptionError(f"--host is a URL such as http://127.0.0.1:8000, not {text!r}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise OptionError(f"--host is a URL without a path, not {text!r}")
    return f"{parts.scheme}://{parts.netloc}"


def _port(text: str | None) -> int | None:
    port = _whole("--port", text, default=None)
    if port is not None and port > 65535:
        raise OptionError(f"--port is at most 65535, not {port}")
    return port


def _app(text: str) -> str:
    module, colon, attribute = text.partition(":")
    if not colon or not attribute or not all(part.isidentifier() for part in module.split(".")):
        raise OptionError(f"--app is MODULE:ATTRIBUTE, such as {APP}, not {text!r}")
    return text


def _file(option: str, path: Path) -> Path:
    if not path.is_file():
        raise OptionError(f"{option} {path}: there is no such file")
    return path


def _budgets(text: str | None) -> Path | None:
    if text is None:
        return BUDGETS if BUDGETS.is_file() else None
    return _file("--budgets", Path(text))


def _folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OptionError(f"--output {path} exists and is not an empty folder")
    return path
