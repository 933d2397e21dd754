"""JSON by msgspec, which is Litestar's own way and default; no OpenAPI, no request logging.

https://docs.litestar.dev/2/usage/dependency-injection.html: dependencies are `async def`, so that
none needs a thread. Pydantic through Litestar's own plugin, which is on where Pydantic is
installed. `sync_to_thread` says where a plain handler runs.
"""

from litestar import Litestar, Response, get, post
from litestar.di import Provide
from litestar.params import Parameter

from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE, NewUser, functions


async def settings() -> dict[str, int]:
    return {"limit": 20}


async def session(settings: dict[str, int]) -> dict[str, str | int]:
    return {"user": "ada", "limit": settings["limit"]}


async def repository(session: dict[str, str | int]) -> dict[str, str | int]:
    return {"user": session["user"], "limit": session["limit"]}


@get("/")
async def root() -> dict[str, str]:
    return MESSAGE


@get("/users/{user_id:str}")
async def user(user_id: str) -> dict[str, str]:
    return {"id": user_id}


@get(
    "/dependencies",
    dependencies={
        "settings": Provide(settings),
        "session": Provide(session),
        "repository": Provide(repository),
    },
)
async def dependencies(repository: dict[str, str | int]) -> dict[str, str | int]:
    return repository


@post("/users")
async def create(data: NewUser) -> NewUser:
    return data


@get("/article")
async def article(
    if_none_match: str | None = Parameter(header="If-None-Match", default=None),
) -> Response[dict[str, int] | None]:
    if if_none_match == ETAG:
        return Response(None, status_code=304, headers={"etag": ETAG})
    return Response(ARTICLE, headers={"etag": ETAG})


@get("/items")
async def items() -> list[dict[str, int | str | list[str]]]:
    return ITEMS


@get("/thread", sync_to_thread=True)
def thread() -> dict[str, str]:
    return MESSAGE


@get("/inline", sync_to_thread=False)
def inline() -> dict[str, str]:
    return MESSAGE


def application(handlers):
    return Litestar(handlers, openapi_config=None, logging_config=None)


def small():
    return application([root, user, dependencies, create, article, items, thread, inline])


def wide(routes):
    handlers = []
    for number in range(routes // 2):

        def define(number):
            @get(f"/collection{number}")
            async def collection() -> dict[str, int]:
                return {"number": number}

            @get(f"/collection{number}/{{item:str}}")
            async def read_item(item: str) -> dict[str, str]:
                return {"item": item}

            return collection, read_item

        handlers += define(number)
    return application(handlers)


def nested(depth):
    root, dependencies = functions(depth)
    provided = {function.__name__: Provide(function) for function in dependencies}
    return application([get("/", dependencies=provided)(root)])
