"""An application that does what it is asked, and nothing else."""

import json


async def answer(send, status, content, fields=()):
    body = b"" if content is None else json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers = [*fields] if content is None else [*headers, *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def application(routes, work=lambda: None):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        work()
        await receive()
        if scope["path"] != "/article":
            await answer(send, 200, {"routes": routes})
        elif (b"if-none-match", b'"1"') in scope["headers"]:
            await answer(send, 304, None, [(b"etag", b'"1"')])
        else:
            await answer(send, 200, {"version": 1}, [(b"etag", b'"1"')])

    return app


def small():
    return application(1)


def wide(routes):
    return application(routes)
