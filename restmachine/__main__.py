"""Command line: ``python -m restmachine serve|routes|diagram|explain``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO
from urllib.parse import parse_qsl, unquote

from restmachine.application import ConfigurationWarning, RestApplication
from restmachine.diagram import (
    Chart,
    chart_of_diagram,
    chart_of_plan,
    decision_count,
    draw_mermaid,
    draw_svg,
    kept_decisions,
)
from restmachine.errors import ConfigurationError, RestFrameworkError
from restmachine.explanation import run_request, told_passage
from restmachine.plan import Plan
from restmachine.request import KNOWN_METHODS, Request
from restmachine.routing import RouteOptions
from restmachine.servers import Wishes, serve
from restmachine.targets import application_of, function_name

_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_FORMATS = {"svg": (".svg", draw_svg), "mermaid": (".mmd", draw_mermaid)}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit status 1, as for every other mistake."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the options and where to look them up."""
        self.exit(1, f"{self.prog}: {message}; see {self.prog} --help\n")


def list_routes(options: argparse.Namespace) -> int:
    """Print every route, with what its plan keeps of the diagram."""
    found = list(described_routes(application_of(options.target)))
    if options.json:
        print(json.dumps(found, indent=2, default=str))
        return 0
    if not found:
        print("There are no routes yet.")
        return 0
    total = decision_count()
    rows = [("METHOD", "PATH", "HANDLER", "DECISIONS", "RUNS ON", "OPTIONS")]
    rows += [
        (
            route["method"],
            route["path"],
            route["handler"],
            f"{route['decisions']} of {total}",
            route["runs_on"],
            " ".join(_told_option(*option) for option in route["options"].items()),
        )
        for route in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def described_routes(app: RestApplication) -> Iterator[dict[str, Any]]:
    """Yield what is to be known of each route, in the order of declaration."""
    for route in app.routes:
        plan, _ = app.dispatch(route.method, route.path)
        yield {
            "method": route.method,
            "path": route.path,
            "handler": function_name(route.handler),
            "decisions": kept_decisions(plan),
            "runs_on": "worker thread" if plan.may_block else "event loop",
            "options": {
                field.name: value
                for field in dataclasses.fields(RouteOptions)
                if (value := getattr(route.options, field.name)) != field.default
            },
        }


def _told_option(name: str, value: Any) -> str:
    return name if value is True else f"{name}={value!r}"


def draw(options: argparse.Namespace) -> int:
    """Print or write the drawing of the whole diagram, or of one route's plan."""
    chart, name = chart_of_diagram(), "decisions"
    if options.target is not None:
        if options.method is None or options.path is None:
            raise ConfigurationError(
                "a route is drawn by its method and path: diagram module:attr GET /items/1"
            )
        plan = plan_of(options.target, options.method, options.path)
        chart = chart_of_plan(plan)
        name = re.sub(r"[^A-Za-z0-9]+", "-", f"{plan.method} {plan.template}").strip("-")
    if options.output is None:
        sys.stdout.write(_FORMATS[options.format or "svg"][1](chart))
        return 0
    for path in write_drawings(chart, name, options.output, options.format):
        print(f"wrote {path}")
    return 0


def write_drawings(chart: Chart, name: str, output: Path, format: str | None) -> Iterator[Path]:
    """Write a chart to a file, or in every format into a folder, and yield what was written.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    formats = [format] if format else list(_FORMATS)
    paths = {name_of: output / f"{name}{_FORMATS[name_of][0]}" for name_of in formats}
    by_suffix = [known for known in formats if output.suffix == _FORMATS[known][0]]
    if output.suffix and not output.is_dir():
        if not by_suffix:
            wanted = " or ".join(_FORMATS[known][0] for known in formats)
            raise ConfigurationError(f"{output} should end in {wanted}, or be a folder")
        paths = {by_suffix[0]: output}
    for known, path in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_FORMATS[known][1](chart), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
        yield path


def plan_of(target: str, method: str, path: str) -> Plan:
    """Return the plan that answers a method and a path, or the path's template.

    Raises:
        ConfigurationError: No route matches the path, or there is no such method.
    """
    plan, _ = application_of(target).dispatch(known_method(method), path)
    if not plan.matched:
        raise ConfigurationError(f'no route of {target} matches "{path}"; see routes {target}')
    return plan


def known_method(name: str) -> str:
    """Return the name of a method in capitals.

    Raises:
        ConfigurationError: It is none of HTTP's.
    """
    if name.upper() not in KNOWN_METHODS:
        raise ConfigurationError(
            f'"{name}" is no method of HTTP; use one of {", ".join(sorted(KNOWN_METHODS))}'
        )
    return name.upper()


def explain(options: argparse.Namespace) -> int:
    """Run one request and print every decision it passes, with the reason."""
    request = request_of(options.method, options.path, options.header, options.data)
    passage = run_request(application_of(options.target), request)
    print("\n".join(told_passage(passage, plan_only=options.plan)))
    return 0


def request_of(method: str, target: str, fields: Sequence[str], data: str | None) -> Request:
    """Return the request that a command line describes, as an HTTP client would send it.

    Raises:
        ConfigurationError: The method is none, the path is relative or a field has no name.
    """
    method = known_method(method)
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        raise ConfigurationError(f'the path "{path}" must begin with /')
    headers = []
    for line in fields:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise ConfigurationError(f"-H {line!r} is no header field; write 'Name: value'")
        headers.append((match[1], match[2].strip()))
    if data is not None and all(name.lower() != "content-length" for name, _ in headers):
        headers.append(("Content-Length", str(len(data.encode()))))
    pairs = parse_qsl(query, keep_blank_values=True)
    return Request(method, unquote(path), headers, data, pairs)


def start_server(options: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    wishes = Wishes(options.host, options.port, options.workers)
    return serve(options.target, wishes, options.config)


def port_number(text: str) -> int:
    """Read a TCP port; 0 takes any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write 0 to 65535")
    return int(text)


def worker_count(text: str) -> int:
    """Read a number of processes."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; write 1 or more")
    return int(text)


def parser() -> Parser:
    """Return the parser of the whole command line."""
    whole = Parser(prog="python -m restmachine", description="Serve and look into an application.")
    commands = whole.add_subparsers(required=True, metavar="command")
    target_help = "where the application is, for example app:app"

    about = "start uvicorn, or hypercorn with its TOML file"
    command = commands.add_parser("serve", help=about, description=f"{about.capitalize()}.")
    command.add_argument("target", metavar="module:attr", help=target_help)
    command.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    command.add_argument("--port", type=port_number, help="port, 0 for a free one (default: 8000)")
    command.add_argument("--workers", type=worker_count, help="number of processes (default: 1)")
    command.add_argument(
        "--config", type=Path, metavar="FILE",
        help="settings: a Python module in uvicorn's or gunicorn's words, or hypercorn's TOML",
    )  # fmt: skip
    command.set_defaults(run=start_server)

    about = "list the routes and what the diagram comes to for each"
    command = commands.add_parser("routes", help=about, description=f"{about.capitalize()}.")
    command.add_argument("target", metavar="module:attr", help=target_help)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=list_routes)

    about = "draw the decisions, all of them or those of one route"
    command = commands.add_parser("diagram", help=about, description=f"{about.capitalize()}.")
    command.add_argument("target", nargs="?", metavar="module:attr", help=target_help)
    command.add_argument("method", nargs="?", metavar="METHOD", help="the method of a route")
    command.add_argument("path", nargs="?", metavar="PATH", help="a path, or a route's template")
    command.add_argument("--format", choices=_FORMATS, help="svg unless the output says otherwise")
    command.add_argument(
        "--output", type=Path, metavar="FILE-or-DIR",
        help="a file, or a folder for both formats (default: standard output)",
    )  # fmt: skip
    command.set_defaults(run=draw)

    about = "run one request and tell every decision it passes, with the reason"
    command = commands.add_parser(
        "explain", help=about,
        description=f"{about.capitalize()}. The application is not started: what its startup "
        "functions make is made when the request asks for it, and shut down afterwards. User "
        "code runs as it would for a client, with all that it changes.",
    )  # fmt: skip
    command.add_argument("target", metavar="module:attr", help=target_help)
    command.add_argument("method", metavar="METHOD")
    command.add_argument("path", metavar="PATH", help="the path, with a query if need be")
    command.add_argument(
        "-H", "--header", action="append", default=[], metavar="'Name: value'",
        help="a header field; may be given several times",
    )  # fmt: skip
    command.add_argument("-d", "--data", metavar="BODY", help="the content, sent as UTF-8")
    command.add_argument(
        "--plan", action="store_true", help="tell only what the compiled plan of the route asks"
    )
    command.set_defaults(run=explain)
    return whole


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            status = int(options.run(options))
        sys.stdout.flush()
    except RestFrameworkError as error:
        print(f"restmachine: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


_show_in_full = warnings.showwarning


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print what the configuration gives to think about in one line, other warnings as usual."""
    if issubclass(category, ConfigurationWarning):
        print(f"restmachine: warning: {message}", file=sys.stderr)
    else:
        _show_in_full(message, category, filename, lineno, file, line)


if __name__ == "__main__":
    sys.exit(main())
