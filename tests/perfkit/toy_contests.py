"""Contests of the toy peers, which the tests of several rooms hold."""

from perfkit.contest import Contest
from perfkit.workload import Workload
from tests.perfkit.toy_peers.rows import ROWS

PACKAGE = "tests.perfkit.toy_peers"


def rows(*names: str) -> list[Workload]:
    return [row for row in ROWS if row.name in names]


def toys(*peers: str, only: str = "small") -> Contest:
    return Contest(PACKAGE, ["raw", *peers], rows(*only.split()))
