"""What perfkit adds to a request: compare a row with the one without instruments."""

from instruments import VARIANTS


def _timed(benchmark, name):
    client = VARIANTS[name]()
    assert client.answer().status == 200

    benchmark(client)


def bench_plain_get(benchmark):
    _timed(benchmark, "plain")


def bench_instrumented_get(benchmark):
    _timed(benchmark, "on")


def bench_plain_dependencies(benchmark):
    _timed(benchmark, "plain, ten dependencies")


def bench_instrumented_dependencies(benchmark):
    _timed(benchmark, "on, ten dependencies")


def bench_middleware(benchmark):
    _timed(benchmark, "starlette, perfkit.asgi")
