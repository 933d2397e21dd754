"""JSON by orjson through a JSON provider; conditions by Werkzeug's make_conditional.

https://flask.palletsprojects.com/en/stable/api/#flask.json.provider.JSONProvider documents the
former for Flask, of which Quart is the asyncio twin. It has no dependencies and no validation of
its own: the handlers call. A plain handler runs in a worker thread; one that shall not is
`async def`.
"""

import orjson
from quart import Quart, request
from quart.json.provider import JSONProvider

from tests.benchmarks.peers.contents import ARTICLE, ITEMS, MESSAGE, NewUser


class OrjsonProvider(JSONProvider):
    def dumps(self, content, **options):
        return orjson.dumps(content).decode()

    def loads(self, text, **options):
        return orjson.loads(text)

    def response(self, *arguments, **members):
        body = orjson.dumps(self._prepare_response_obj(arguments, members))
        return self._app.response_class(body, mimetype="application/json")


def application():
    app = Quart("peer")
    app.json = OrjsonProvider(app)
    return app


async def settings():
    return {"limit": 20}


async def session(settings):
    return {"user": "ada", "limit": settings["limit"]}


async def repository(session):
    return {"user": session["user"], "limit": session["limit"]}


def small():
    app = application()

    @app.get("/")
    async def root():
        return MESSAGE

    @app.get("/users/<user_id>")
    async def user(user_id):
        return {"id": user_id}

    @app.get("/dependencies")
    async def dependencies():
        return await repository(await session(await settings()))

    @app.post("/users")
    async def create():
        return NewUser.model_validate(await request.get_json()).model_dump(), 201

    @app.get("/article")
    async def article():
        response = app.json.response(ARTICLE)
        response.set_etag(str(ARTICLE["version"]))
        await response.make_conditional(request)
        return response

    @app.get("/items")
    async def items():
        return ITEMS

    @app.get("/thread")
    def thread():
        return MESSAGE

    @app.get("/inline")
    async def inline():
        return MESSAGE

    return app


def wide(routes):
    app = application()
    for number in range(routes // 2):

        def define(number):
            @app.get(f"/collection{number}", endpoint=f"collection{number}")
            async def collection():
                return {"number": number}

            @app.get(f"/collection{number}/<item>", endpoint=f"item{number}")
            async def read_item(item):
                return {"item": item}

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
    app = application()

    @app.get("/")
    async def root():
        return {"depth": await dependency()}

    return app
