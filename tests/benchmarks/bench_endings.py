"""Error handlers, default fields, renderers and models; each beside a route without it."""

from driving import Client
from pydantic import BaseModel

from restmachine import ASGIAdapter, RestApplication, Router


class Message(BaseModel):
    message: str


def _application() -> RestApplication:
    app, headers, errors = RestApplication(), Router(), Router()
    app.mount("/headers", headers)
    app.mount("/errors", errors)

    @app.get("/data")
    @headers.get("/data")
    @errors.get("/data")
    async def data():
        return {"message": "hi!"}

    @headers.default_headers
    async def security():
        return {"X-Frame-Options": "DENY"}

    @errors.handles_error(404)
    async def lost(message):
        return {"lost": message}

    @app.get("/rendered")
    async def rendered():
        return {"message": "hi!"}

    @app.provides("text/html")
    async def page(rendered):
        return f"<p>{rendered['message']}</p>"

    @app.get("/model")
    async def model() -> Message:
        return Message(message="hi!")

    return app


APPLICATION = ASGIAdapter(_application())


def _timed(benchmark, path, status):
    client = Client(APPLICATION, "GET", path)
    assert client.answer().status == status

    benchmark(client)


def bench_without_any(benchmark):
    _timed(benchmark, "/data", 200)


def bench_default_headers(benchmark):
    _timed(benchmark, "/headers/data", 200)


def bench_beside_error_handlers(benchmark):
    _timed(benchmark, "/errors/data", 200)


def bench_default_error(benchmark):
    _timed(benchmark, "/nowhere", 404)


def bench_handled_error(benchmark):
    _timed(benchmark, "/errors/nowhere", 404)


def bench_renderer_of_the_route(benchmark):
    _timed(benchmark, "/rendered", 200)


def bench_declared_model(benchmark):
    _timed(benchmark, "/model", 200)
