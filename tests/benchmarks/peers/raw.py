"""A hand-written ASGI application: if statements, one dict of routes, orjson."""

import orjson

from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE, NewUser

JSON = (b"content-type", b"application/json")
TAG = (b"etag", ETAG.encode())


async def answer(send, content, status=200, fields=()):
    body = orjson.dumps(content)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [JSON, (b"content-length", b"%d" % len(body)), *fields],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def content_of(receive):
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def live(receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def not_found(send):
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
    await send({"type": "http.response.start", "status": 404, "headers": fields})
    await send({"type": "http.response.body", "body": b"Not Found"})


async def settings():
    return {"limit": 20}


async def session(settings):
    return {"user": "ada", "limit": settings["limit"]}


async def repository(session):
    return {"user": session["user"], "limit": session["limit"]}


async def root(scope, receive, send):
    await answer(send, MESSAGE)


async def dependencies(scope, receive, send):
    await answer(send, await repository(await session(await settings())))


async def article(scope, receive, send):
    for name, value in scope["headers"]:
        if name == b"if-none-match" and value == TAG[1]:
            await send({"type": "http.response.start", "status": 304, "headers": [TAG]})
            await send({"type": "http.response.body", "body": b""})
            return
    await answer(send, ARTICLE, fields=[TAG])


async def items(scope, receive, send):
    await answer(send, ITEMS)


async def create(scope, receive, send):
    user = NewUser.model_validate(orjson.loads(await content_of(receive)))
    await answer(send, user.model_dump(), 201)


ROUTES = {
    ("GET", "/"): root,
    ("GET", "/dependencies"): dependencies,
    ("GET", "/article"): article,
    ("GET", "/items"): items,
    ("GET", "/thread"): root,
    ("GET", "/inline"): root,
    ("POST", "/users"): create,
}


def small():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        path = scope["path"]
        handler = ROUTES.get((scope["method"], path))
        if handler is not None:
            await handler(scope, receive, send)
        elif path.startswith("/users/") and scope["method"] == "GET":
            await answer(send, {"id": path[7:]})
        else:
            await not_found(send)

    return app


def wide(routes):
    numbers = {f"/collection{number}": number for number in range(routes // 2)}

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        path = scope["path"]
        number = numbers.get(path)
        if number is not None:
            await answer(send, {"number": number})
            return
        parent, _, item = path.rpartition("/")
        if parent in numbers:
            await answer(send, {"item": item})
        else:
            await not_found(send)

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

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await live(receive, send)
        elif scope["path"] == "/":
            await answer(send, {"depth": await dependency()})
        else:
            await not_found(send)

    return app
