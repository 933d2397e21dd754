"""JSON by orjson, given to the application as `dumps`; no access log, no message of the day.

https://sanic.dev/en/guide/running/configuration.html and
https://sanic.dev/en/guide/basics/response.html document both. Its dependencies are an extension
(sanic-ext), so the handlers call. A plain handler runs inline; the one that blocks goes through
`asyncio.to_thread`. Over the wire Sanic has its own server, one process with uvloop and httptools.
"""

import asyncio

import orjson
from sanic import Sanic, empty, json

from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE, NewUser


async def settings():
    return {"limit": 20}


async def session(settings):
    return {"user": "ada", "limit": settings["limit"]}


async def repository(session):
    return {"user": session["user"], "limit": session["limit"]}


def application(name):
    return Sanic(name, dumps=orjson.dumps, loads=orjson.loads, configure_logging=False)


def small():
    app = application("small")

    @app.get("/")
    async def root(request):
        return json(MESSAGE)

    @app.get("/users/<user_id>")
    async def user(request, user_id):
        return json({"id": user_id})

    @app.get("/dependencies")
    async def dependencies(request):
        return json(await repository(await session(await settings())))

    @app.post("/users")
    async def create(request):
        return json(NewUser.model_validate(request.json).model_dump(), 201)

    @app.get("/article")
    async def article(request):
        if request.headers.get("if-none-match") == ETAG:
            return empty(304, {"etag": ETAG})
        return json(ARTICLE, headers={"etag": ETAG})

    @app.get("/items")
    async def items(request):
        return json(ITEMS)

    @app.get("/thread")
    async def thread(request):
        return json(await asyncio.to_thread(lambda: MESSAGE))

    @app.get("/inline")
    def inline(request):
        return json(MESSAGE)

    return app


def wide(routes):
    app = application("wide")
    for number in range(routes // 2):

        def define(number):
            @app.get(f"/collection{number}", name=f"collection{number}")
            async def collection(request):
                return json({"number": number})

            @app.get(f"/collection{number}/<item>", name=f"item{number}")
            async def read_item(request, item):
                return json({"item": item})

        define(number)
    return app


def level(below):
    async def deeper():
        return await below() + 1

    return deeper


async def ground():
    return 0


def deepest(depth):
    dependency = ground
    for _ in range(depth):
        dependency = level(dependency)
    return dependency


def nested(depth):
    dependency = deepest(depth)
    app = application("nested")

    @app.get("/")
    async def root(request):
        return json({"depth": await dependency()})

    return app


def serve(app, port):
    app.run("127.0.0.1", port, single_process=True, access_log=False, motd=False)
