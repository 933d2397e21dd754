"""The same after a calculation that nobody needs."""

from tests.perfkit.toy_peers.raw import application


def work():
    sum(range(50_000))


def small():
    return application(1, work)


def wide(routes):
    return application(routes, work)
