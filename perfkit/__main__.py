"""Command line: ``python -m perfkit <command>``.

Each command is a module with ``configure(parser)`` and ``command(arguments) -> int``;
only the module of the chosen command is imported.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import NoReturn

from perfkit.errors import MissingExtraError, PerfkitError

# command: (module, the extra that brings what it imports, help)
COMMANDS = {
    "run": ("perfkit.run", "metrics,uvicorn", "serve an application, measured"),
    "loadtest": ("perfkit.loadtest", "loadtest", "run a load test and judge it against budgets"),
    "gate": ("perfkit.regression", "gate", "compare the working tree with another version"),
    "profile": ("perfkit.profile", "profile", "see where the requests of one route spend time"),
    "claims": ("perfkit.claims.command", "claims", "measure the claims of the ledger, or your own"),
    "dashboards": ("perfkit.dashboards", "dashboards", "write the Grafana dashboards"),
    "peers": ("perfkit.peers", "peers", "compare restmachine with other frameworks"),
    "services": ("perfkit.services", "services", "start a private PostgreSQL and Redis"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit status 1, as for every other mistake."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the options and where to look them up."""
        self.exit(1, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = Parser(prog="python -m perfkit", description="Performance testing for HTTP APIs.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="command")
    chosen = next((word for word in arguments if word in COMMANDS), None)
    for name, (module, extra, about) in COMMANDS.items():
        subparser = commands.add_parser(name, help=about, description=about)
        if name != chosen:
            continue
        try:
            imported = import_module(module)
        except ModuleNotFoundError as missing:
            if missing.name is None or missing.name.split(".")[0] in {"perfkit", "restmachine"}:
                raise
            package = missing.name.split(".")[0]
            print(f"perfkit: {MissingExtraError(name, package, extra)}", file=sys.stderr)
            return 1
        imported.configure(subparser)
        subparser.set_defaults(run=imported.command)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except PerfkitError as error:
        print(f"perfkit: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
