"""An application whose answers differ in length."""

from itertools import count

from tests.perfkit.toy_peers.raw import answer

numbers = count()


async def app(scope, receive, send):
    if scope["type"] == "http":
        await answer(send, 200, {"routes": 1}, [(b"x-spaces", b"x" * (next(numbers) % 7))])


def small():
    return app
