"""Requests to the toys of this folder."""

from perfkit.workload import Curve, Workload

ROWS = [
    Workload("small", "small JSON", "/", content={"routes": 1}),
    Workload(
        "same",
        "nothing new",
        "/article",
        headers=[("if-none-match", '"1"')],
        status=304,
        etag='"1"',
        unconditional={"version": 1},
    ),
    Workload("together", "four at once", "/", content={"routes": 1}, callers=4),
    Workload("wide", "many routes", "/", content={"routes": 9}, routes=9),
]


def among(routes):
    return Workload("among", "among routes", "/", content={"routes": routes}, routes=routes)


CURVES = [Curve("routes", "number of routes", [1, 10], among)]
