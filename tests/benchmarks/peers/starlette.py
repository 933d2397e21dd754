"""No default middleware is added; JSON by orjson, in a JSONResponse with its own render().

https://www.starlette.io/responses/ shows that response ("Custom JSON serialization"). Starlette
has no dependencies, no validation and no ETags of its own: the handlers call and compare. A plain
`def` handler runs in a worker thread; a handler that shall not is `async def`.
"""

import orjson
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE, NewUser


class OrjsonResponse(JSONResponse):
    def render(self, content):
        return orjson.dumps(content)


async def root(request):
    return OrjsonResponse(MESSAGE)


async def user(request):
    return OrjsonResponse({"id": request.path_params["user_id"]})


async def settings():
    return {"limit": 20}


async def session(settings):
    return {"user": "ada", "limit": settings["limit"]}


async def repository(session):
    return {"user": session["user"], "limit": session["limit"]}


async def dependencies(request):
    return OrjsonResponse(await repository(await session(await settings())))


async def create(request):
    created = NewUser.model_validate_json(await request.body())
    return OrjsonResponse(created.model_dump(), 201)


async def article(request):
    if request.headers.get("if-none-match") == ETAG:
        return Response(status_code=304, headers={"etag": ETAG})
    return OrjsonResponse(ARTICLE, headers={"etag": ETAG})


async def items(request):
    return OrjsonResponse(ITEMS)


def thread(request):
    return OrjsonResponse(MESSAGE)


def small():
    return Starlette(
        routes=[
            Route("/", root),
            Route("/users/{user_id}", user),
            Route("/dependencies", dependencies),
            Route("/users", create, methods=["POST"]),
            Route("/article", article),
            Route("/items", items),
            Route("/thread", thread),
            Route("/inline", root),
        ]
    )


async def read_item(request):
    return OrjsonResponse({"item": request.path_params["item"]})


def wide(routes):
    table = []
    for number in range(routes // 2):

        async def collection(request, number=number):
            return OrjsonResponse({"number": number})

        table.append(Route(f"/collection{number}", collection))
        table.append(Route(f"/collection{number}/{{item}}", read_item))
    return Starlette(routes=table)


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

    async def root(request):
        return OrjsonResponse({"depth": await dependency()})

    return Starlette(routes=[Route("/", root)])
