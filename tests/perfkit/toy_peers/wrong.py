"""An application that answers with something else."""

from tests.perfkit.toy_peers.raw import application


def small():
    return application(2)


def wide(routes):
    return application(routes + 1)
