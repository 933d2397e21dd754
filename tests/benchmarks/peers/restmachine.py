"""Default settings, as the README shows it; orjson is installed, so JSON goes through it.

What only computes is no coroutine, and its route says that it does not block.
"""

from restmachine import ASGIAdapter, RestApplication
from tests.benchmarks.peers.contents import ARTICLE, ITEMS, MESSAGE, NewUser, functions

DISTRIBUTION = "measured-rest"


def small():
    app = RestApplication()

    @app.get("/")
    async def root():
        return MESSAGE

    @app.get("/users/{user_id}")
    async def user(user_id):
        return {"id": user_id}

    @app.dependency()
    async def settings():
        return {"limit": 20}

    @app.dependency()
    async def session(settings):
        return {"user": "ada", "limit": settings["limit"]}

    @app.dependency()
    async def repository(session):
        return {"user": session["user"], "limit": session["limit"]}

    @app.get("/dependencies")
    async def dependencies(repository):
        return repository

    @app.validates
    def new_user(json_body):
        return NewUser.model_validate(json_body)

    @app.post("/users", blocking=False)
    async def create(new_user):
        return new_user, 201

    @app.resource_exists
    async def article():
        return ARTICLE

    @app.generate_etag
    def article_tag(article):
        return str(article["version"])

    @app.get("/article", blocking=False)
    async def read_article(article):
        return article

    @app.get("/items")
    async def items():
        return ITEMS

    @app.get("/thread")
    def thread():
        return MESSAGE

    @app.get("/inline", blocking=False)
    def inline():
        return MESSAGE

    return ASGIAdapter(app)


def wide(routes):
    app = RestApplication()
    for number in range(routes // 2):

        @app.get(f"/collection{number}")
        async def collection(number=number):
            return {"number": number}

        @app.get(f"/collection{number}/{{item}}")
        async def read_item(item):
            return {"item": item}

    return ASGIAdapter(app)


def nested(depth):
    app = RestApplication()
    root, dependencies = functions(depth)
    for dependency in dependencies:
        app.dependency()(dependency)
    app.get("/")(root)
    return ASGIAdapter(app)
