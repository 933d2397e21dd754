"""The floor under the other figures: the driver and a raw ASGI application, no framework."""

from driving import Client


async def _raw(scope, receive, send):
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"17")],
        }
    )
    await send({"type": "http.response.body", "body": b'{"message":"hi!"}'})


async def _null(scope, receive, send):
    return None


def bench_null_driver(benchmark):
    client = Client(_null, "GET", "/")

    assert benchmark(client) == []


def bench_raw_application(benchmark):
    client = Client(_raw, "GET", "/")
    assert client.answer().body == b'{"message":"hi!"}'

    benchmark(client)
