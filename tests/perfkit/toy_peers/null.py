"""Nothing."""


async def app(scope, receive, send):
    return


def small():
    return app


def wide(routes):
    return app
