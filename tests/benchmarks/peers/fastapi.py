"""Return types are declared, by which FastAPI writes JSON in Pydantic's Rust code.

https://fastapi.tiangolo.com/advanced/custom-response/ names that as faster than ORJSONResponse,
which is deprecated. No OpenAPI route is served. Dependencies are `async def`, as plain ones cost a
thread each (https://fastapi.tiangolo.com/async/).
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Header, Response

from tests.benchmarks.peers.contents import ARTICLE, ETAG, ITEMS, MESSAGE, NewUser


async def settings() -> dict[str, int]:
    return {"limit": 20}


async def session(settings: Annotated[dict[str, int], Depends(settings)]) -> dict[str, str | int]:
    return {"user": "ada", "limit": settings["limit"]}


async def repository(
    session: Annotated[dict[str, str | int], Depends(session)],
) -> dict[str, str | int]:
    return {"user": session["user"], "limit": session["limit"]}


def small():
    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def root() -> dict[str, str]:
        return MESSAGE

    @app.get("/users/{user_id}")
    async def user(user_id: str) -> dict[str, str]:
        return {"id": user_id}

    @app.get("/dependencies")
    async def dependencies(
        repository: Annotated[dict[str, str | int], Depends(repository)],
    ) -> dict[str, str | int]:
        return repository

    @app.post("/users", status_code=201)
    async def create(user: NewUser) -> NewUser:
        return user

    @app.get("/article")
    async def article(
        response: Response, if_none_match: Annotated[str | None, Header()] = None
    ) -> dict[str, int]:
        if if_none_match == ETAG:
            return Response(status_code=304, headers={"etag": ETAG})
        response.headers["etag"] = ETAG
        return ARTICLE

    @app.get("/items")
    async def items() -> list[dict[str, int | str | list[str]]]:
        return ITEMS

    @app.get("/thread")
    def thread() -> dict[str, str]:
        return MESSAGE

    @app.get("/inline")
    async def inline() -> dict[str, str]:
        return MESSAGE

    return app


def wide(routes):
    app = FastAPI(openapi_url=None)
    for number in range(routes // 2):

        def define(number):
            @app.get(f"/collection{number}")
            async def collection() -> dict[str, int]:
                return {"number": number}

            @app.get(f"/collection{number}/{{item}}")
            async def read_item(item: str) -> dict[str, str]:
                return {"item": item}

        define(number)
    return app


async def ground() -> int:
    return 0


def level(below):
    async def deeper(depth: Annotated[int, Depends(below)]) -> int:
        return depth + 1

    return deeper


def nested(depth):
    app = FastAPI(openapi_url=None)
    dependency = ground
    for _ in range(depth):
        dependency = level(dependency)

    @app.get("/")
    async def root(depth: Annotated[int, Depends(dependency)]) -> dict[str, int]:
        return {"depth": depth}

    return app
