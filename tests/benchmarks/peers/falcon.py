"""The ASGI application, compiled by Cython in its wheel, with orjson as JSON handler.

https://falcon.readthedocs.io/en/stable/api/media.html documents the handler. Falcon has no
dependencies and no validation of its own: responders call. Its way off the loop is
`falcon.sync_to_async`.
"""

import falcon
import falcon.asgi
import orjson
from falcon import media

from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE, NewUser


def application():
    app = falcon.asgi.App()
    handlers = {"application/json": media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)}
    app.req_options.media_handlers.update(handlers)
    app.resp_options.media_handlers.update(handlers)
    return app


async def settings():
    return {"limit": 20}


async def session(settings):
    return {"user": "ada", "limit": settings["limit"]}


async def repository(session):
    return {"user": session["user"], "limit": session["limit"]}


class Root:
    async def on_get(self, request, response):
        response.media = MESSAGE


class Users:
    async def on_post(self, request, response):
        user = NewUser.model_validate(await request.get_media())
        response.status = 201
        response.media = user.model_dump()


class User:
    async def on_get(self, request, response, user_id):
        response.media = {"id": user_id}


class Dependencies:
    async def on_get(self, request, response):
        response.media = await repository(await session(await settings()))


class Article:
    async def on_get(self, request, response):
        response.etag = ETAG
        if request.get_header("If-None-Match") == ETAG:
            response.status = 304
        else:
            response.media = ARTICLE


class Items:
    async def on_get(self, request, response):
        response.media = ITEMS


def blocking():
    return MESSAGE


class Thread:
    async def on_get(self, request, response):
        response.media = await falcon.sync_to_async(blocking)


def small():
    app = application()
    app.add_route("/", Root())
    app.add_route("/users", Users())
    app.add_route("/users/{user_id}", User())
    app.add_route("/dependencies", Dependencies())
    app.add_route("/article", Article())
    app.add_route("/items", Items())
    app.add_route("/thread", Thread())
    app.add_route("/inline", Root())
    return app


class Collection:
    def __init__(self, number):
        self.number = number

    async def on_get(self, request, response):
        response.media = {"number": self.number}


class Item:
    async def on_get(self, request, response, item):
        response.media = {"item": item}


def wide(routes):
    app = application()
    for number in range(routes // 2):
        app.add_route(f"/collection{number}", Collection(number))
        app.add_route(f"/collection{number}/{{item}}", Item())
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

    class Root:
        async def on_get(self, request, response):
            response.media = {"depth": await dependency()}

    app = application()
    app.add_route("/", Root())
    return app
