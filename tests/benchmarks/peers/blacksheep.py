"""JSON by orjson through json_settings; dependencies by type through its container, rodi.

https://www.neoteroi.dev/blacksheep/settings/ documents the former,
https://www.neoteroi.dev/blacksheep/dependency-injection/ the latter, which makes values by plain
functions. A plain handler runs inline, so the one that blocks goes through `asyncio.to_thread`.
"""

import asyncio

import orjson
from blacksheep import Application, FromJSON, Request, Response, Router, json
from blacksheep.settings.json import json_settings

from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE, NewUser

TAG = ETAG.encode()


def dumps(content):
    return orjson.dumps(content).decode()


class Settings:
    def __init__(self):
        self.limit = 20


class Session:
    def __init__(self, settings: Settings):
        self.user = "ada"
        self.limit = settings.limit


class Repository:
    def __init__(self, session: Session):
        self.user = session.user
        self.limit = session.limit


def application():
    json_settings.use(loads=orjson.loads, dumps=dumps)
    # Applications share a router unless they are given one.
    return Application(router=Router())


def small():
    app = application()
    app.services.add_scoped(Settings)
    app.services.add_scoped(Session)
    app.services.add_scoped(Repository)
    get, post = app.router.get, app.router.post

    @get("/")
    async def root():
        return json(MESSAGE)

    @get("/users/{user_id}")
    async def user(user_id: str):
        return json({"id": user_id})

    @get("/dependencies")
    async def dependencies(repository: Repository):
        return json({"user": repository.user, "limit": repository.limit})

    @post("/users")
    async def create(data: FromJSON[NewUser]):
        return json(data.value.model_dump(), 201)

    @get("/article")
    async def article(request: Request):
        if request.get_first_header(b"If-None-Match") == TAG:
            return Response(304, [(b"ETag", TAG)])
        response = json(ARTICLE)
        response.add_header(b"ETag", TAG)
        return response

    @get("/items")
    async def items():
        return json(ITEMS)

    @get("/thread")
    async def thread():
        return json(await asyncio.to_thread(lambda: MESSAGE))

    @get("/inline")
    def inline():
        return json(MESSAGE)

    return app


def wide(routes):
    app = application()
    for number in range(routes // 2):

        def define(number):
            @app.router.get(f"/collection{number}")
            async def collection():
                return json({"number": number})

            @app.router.get(f"/collection{number}/{{item}}")
            async def read_item(item: str):
                return json({"item": item})

        define(number)
    return app


class Ground:
    depth = 0


def level(below):
    class Deeper:
        def __init__(self, below: below):
            self.depth = below.depth + 1

    return Deeper


def nested(depth):
    app = application()
    dependency = Ground
    app.services.add_scoped(dependency)
    for _ in range(depth):
        dependency = level(dependency)
        app.services.add_scoped(dependency)

    @app.router.get("/")
    async def root(deepest: dependency):
        return json({"depth": deepest.depth})

    return app
