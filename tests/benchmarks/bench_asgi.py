"""One request through the ASGI adapter, from scope to sent messages."""

import json

from driving import Client, LoopClient
from pydantic import BaseModel

from restmachine import ASGIAdapter, RestApplication


class User(BaseModel):
    name: str
    email: str


def _application() -> RestApplication:
    app = RestApplication()

    @app.get("/")
    async def bare():
        return {"message": "hi!"}

    @app.get("/users/{user_id}")
    async def user(user_id):
        return {"id": user_id}

    @app.dependency()
    async def settings():
        return {"limit": 20}

    @app.dependency()
    async def session(settings):
        return {"limit": settings["limit"], "user": "ada"}

    @app.dependency()
    async def repository(session):
        return [session["user"], session["limit"]]

    @app.get("/dependencies")
    async def dependencies(repository):
        return repository

    @app.post("/users")
    async def create(json_body):
        return json_body, 201

    @app.validates
    async def user_model(json_body):
        return User.model_validate(json_body)

    @app.post("/models")
    async def create_model(user_model):
        return user_model, 201

    @app.get("/inline", blocking=False)
    def inline():
        return {"message": "hi!"}

    @app.get("/thread")
    def on_a_thread():
        return {"message": "hi!"}

    @app.get("/list")
    async def listed():
        return ITEMS

    return app


def _versioned_application() -> RestApplication:
    app = RestApplication()

    @app.resource_exists
    async def article(request):
        return {"version": 1}

    @app.generate_etag
    async def version(article):
        return "1"

    @app.get("/article")
    async def read(article):
        return article

    return app


def _wide_application() -> RestApplication:
    app = RestApplication()
    for number in range(100):

        @app.get(f"/collection{number}")
        async def collection(number=number):
            return {"number": number}

        @app.get(f"/collection{number}/{{item}}")
        async def item(item):
            return {"item": item}

    return app


ITEMS = [
    {"id": number, "name": f"item {number}", "tags": ["a", "b", "c"], "text": "x" * 130}
    for number in range(100)
]
APPLICATION = ASGIAdapter(_application())
VERSIONED = ASGIAdapter(_versioned_application())
WIDE = ASGIAdapter(_wide_application())


def _timed(benchmark, client, status, content):
    answer = client.answer()
    assert answer.status == status
    assert (json.loads(answer.body) if answer.body else None) == content

    benchmark(client)


def bench_bare_get(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/"), 200, {"message": "hi!"})


def bench_path_parameter(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/users/42"), 200, {"id": "42"})


def bench_three_dependencies(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/dependencies"), 200, ["ada", 20])


def bench_post_json(benchmark):
    content = {"name": "Ada", "email": "ada@example.org"}
    client = Client(APPLICATION, "POST", "/users", body=json.dumps(content).encode())

    _timed(benchmark, client, 201, content)


def bench_post_model(benchmark):
    content = {"name": "Ada", "email": "ada@example.org"}
    client = Client(APPLICATION, "POST", "/models", body=json.dumps(content).encode())

    _timed(benchmark, client, 201, content)


def bench_list_of_20_kilobytes(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/list"), 200, ITEMS)


def bench_sync_handler_that_does_not_block(benchmark):
    _timed(benchmark, Client(APPLICATION, "GET", "/inline"), 200, {"message": "hi!"})


def bench_sync_handler_on_a_worker_thread(benchmark):
    _timed(benchmark, LoopClient(APPLICATION, "GET", "/thread"), 200, {"message": "hi!"})


def bench_not_modified(benchmark):
    client = Client(VERSIONED, "GET", "/article", [(b"if-none-match", b'"1"')])
    assert client.answer().headers[b"etag"] == b'"1"'

    _timed(benchmark, client, 304, None)


def bench_not_found_among_200_routes(benchmark):
    client = Client(WIDE, "GET", "/collection99/1/more")
    assert client.answer().status == 404

    benchmark(client)


def bench_last_of_200_routes(benchmark):
    _timed(benchmark, Client(WIDE, "GET", "/collection99/7"), 200, {"item": "7"})
