"""The application under test: users, posts with authors, products with categories.

PostgreSQL keeps them, Redis caches single users and products. Users and products are
served by coroutines, posts by plain functions on worker threads, so that a load test
exercises both. What has an entity tag is sent as JSON only: a tag names one
representation, and these name the version alone.

    make loadtest

runs it; to run it alone, set PERFKIT_POSTGRES_URL and PERFKIT_REDIS_URL,
``python -m loadtests.seed`` and ``uvicorn loadtests.app:asgi_app``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from psycopg import Connection
from psycopg import Error as DatabaseError
from psycopg.rows import DictRow
from psycopg_pool import PoolTimeout
from redis.asyncio import Redis
from redis.exceptions import RedisError

import perfkit
from loadtests import database as sql
from loadtests.cache import Cache, Found, connect
from loadtests.contents import NewPost, PostContent, ProductContent
from loadtests.database import AsyncDatabase, Database, Page, Post
from loadtests.settings import Settings
from restmachine import (
    ASGIAdapter,
    BadRequest,
    HTTPMethod,
    Request,
    RestApplication,
    UnprocessableContent,
)
from restmachine.decorators import skip_content_negotiation

Answer = tuple[Any, int] | tuple[Any, int, dict[str, str]]

LARGEST_PAGE = 100

app = perfkit.instrument(RestApplication(threads=sql.SIZE))
asgi_app = ASGIAdapter(app)


# Resources: made at startup, closed at shutdown


@app.on_startup
def settings() -> Settings:
    """Read the addresses of the services first, so that a missing one is the first to be told."""
    return Settings.from_environment()


@app.on_startup
def database(settings: Settings) -> Database:
    """Connections for functions on worker threads: as many as there can be such functions."""
    return sql.open_pool(settings.postgres_url)


@app.on_startup
async def async_database(settings: Settings) -> AsyncDatabase:
    """Connections for coroutines, which wait their turn when all are taken."""
    return await sql.open_async_pool(settings.postgres_url)


@app.on_startup
async def redis_client(settings: Settings) -> Redis:
    """Connections to Redis for coroutines."""
    return connect(settings.redis_url)


@app.on_startup
async def cache(redis_client: Redis) -> Cache:
    """The documents of users and products."""
    return Cache(redis_client)


@app.on_shutdown
async def close(database: Database, async_database: AsyncDatabase, redis_client: Redis) -> None:
    """Close every connection."""
    await redis_client.aclose()
    await async_database.close()
    database.close()


@app.dependency()
def connection(database: Database) -> Iterator[Connection[DictRow]]:
    """One connection for one request."""
    with database.connection() as connection:
        yield connection


@app.dependency()
async def page(query_params: dict[str, str]) -> Page:
    """Read ``after`` and ``limit`` from the query; what is no number is a 400."""
    try:
        after = int(query_params["after"]) if "after" in query_params else None
        limit = int(query_params.get("limit", "20"))
    except ValueError:
        raise BadRequest('"after" and "limit" are whole numbers') from None
    return Page(after, min(max(limit, 1), LARGEST_PAGE))


def listing(name: str, documents: list[dict[str, Any]], page: Page, query: str = "") -> Any:
    """Answer with one page and the address of the next, if there may be one.

    The address names the last row seen and not a count of rows to skip, so rows which come
    or go between two pages neither repeat nor hide others.
    """
    following = None
    if len(documents) == page.limit:
        following = f"/{name}?after={documents[-1]['id']}&limit={page.limit}{query}"
    return {name: documents, "next": following}


# Users


@app.resource_exists
async def user(user_id: int, cache: Cache, async_database: AsyncDatabase) -> Found | None:
    """Find a user, in the cache or else in the database."""
    return await cache.get(f"user:{user_id}", partial(sql.find_user, async_database, user_id))


@app.generate_etag
async def user_etag(user: Found) -> str:
    """Tell versions of a user apart."""
    return str(user.document["version"])


@app.get("/users")
async def list_users(page: Page, async_database: AsyncDatabase) -> Any:
    """List users by id."""
    return listing("users", await sql.list_users(async_database, page), page)


@app.get("/users/{user_id}")
@skip_content_negotiation
async def read_user(user: Found) -> Answer:
    """Read one user."""
    return user.document, 200, {"X-Cache": user.outcome}


# Posts


@app.resource_exists
def post(post_id: int, connection: Connection[DictRow]) -> Post | None:
    """Find a post."""
    return sql.find_post(connection, post_id)


@app.generate_etag
def post_etag(post: Post) -> str:
    """Tell versions of a post apart."""
    return str(post.version)


@app.last_modified
def post_changed(post: Post) -> datetime:
    """Return when a post was last changed."""
    return post.updated_at


@app.validates
def new_post(json_body: Any) -> NewPost:
    """Check a post to be created."""
    return NewPost.model_validate(json_body)


@app.validates
def post_content(json_body: Any) -> PostContent:
    """Check what a post is to become."""
    return PostContent.model_validate(json_body)


@app.get("/posts")
def list_posts(page: Page, connection: Connection[DictRow]) -> Any:
    """List posts with their authors, newest first."""
    return listing("posts", [post.document for post in sql.list_posts(connection, page)], page)


@app.get("/posts/{post_id}")
@skip_content_negotiation
def read_post(post: Post) -> Any:
    """Read one post with its author."""
    return post.document


@app.post("/posts")
def create_post(new_post: NewPost, connection: Connection[DictRow]) -> Answer:
    """Create a post of an author who exists."""
    created = sql.create_post(connection, **new_post.model_dump())
    if created is None:
        raise UnprocessableContent(f"there is no user {new_post.author_id}")
    location = f"/posts/{created.document['id']}"
    return created.document, 201, {"Location": location, "ETag": f'"{created.version}"'}


@app.put("/posts/{post_id}")
@skip_content_negotiation
def change_post(
    post: Post, post_content: PostContent, request: Request, connection: Connection[DictRow]
) -> Answer:
    """Change a post that is still as the client last saw it."""
    if "If-Match" not in request.headers:
        return IF_MATCH_REQUIRED
    changed = sql.change_post(
        connection, post.document["id"], post.version, **post_content.model_dump()
    )
    if changed is None:
        return CHANGED_MEANWHILE
    return changed.document, 200, {"ETag": f'"{changed.version}"'}


# RFC 6585 section 3: a change without a condition could silently undo somebody else's.
IF_MATCH_REQUIRED: Answer = ({"error": "Send If-Match with the ETag you last saw"}, 428)
CHANGED_MEANWHILE: Answer = ({"error": "Precondition Failed"}, 412)


# Products


@app.resource_exists
async def product(
    product_id: int, request: Request, cache: Cache, async_database: AsyncDatabase
) -> Found | None:
    """Find a product; the database itself judges a change, never a copy."""
    find = partial(sql.find_product, async_database, product_id)
    if request.method == HTTPMethod.PUT:
        document = await find()
        return None if document is None else Found(document, "BYPASS")
    return await cache.get(f"product:{product_id}", find)


@app.generate_etag
async def product_etag(product: Found) -> str:
    """Tell versions of a product apart."""
    return str(product.document["version"])


@app.validates
def product_content(json_body: Any) -> ProductContent:
    """Check what a product is to become."""
    return ProductContent.model_validate(json_body)


@app.dependency()
async def category(query_params: dict[str, str]) -> str | None:
    """Read the slug of a category from the query; what cannot be one is a 400."""
    slug = query_params.get("category")
    if slug is not None and not re.fullmatch(r"[a-z0-9-]+", slug):
        raise BadRequest('"category" has lower-case letters, digits and hyphens only')
    return slug


@app.get("/products")
async def list_products(page: Page, category: str | None, async_database: AsyncDatabase) -> Any:
    """List products by id, with their categories."""
    products = await sql.list_products(async_database, page, category)
    return listing("products", products, page, f"&category={category}" if category else "")


@app.get("/products/{product_id}")
@skip_content_negotiation
async def read_product(product: Found) -> Answer:
    """Read one product with its category."""
    return product.document, 200, {"X-Cache": product.outcome}


@app.put("/products/{product_id}")
@skip_content_negotiation
async def change_product(
    product: Found,
    product_content: ProductContent,
    request: Request,
    cache: Cache,
    async_database: AsyncDatabase,
) -> Answer:
    """Change a product that is still as the client last saw it, in the cache too."""
    if "If-Match" not in request.headers:
        return IF_MATCH_REQUIRED
    number, version = product.document["id"], product.document["version"]
    changed = await sql.change_product(
        async_database, number, version, **product_content.model_dump()
    )
    if changed is None:
        return CHANGED_MEANWHILE
    await cache.put(f"product:{number}", changed)
    return changed, 200, {"ETag": f'"{changed["version"]}"'}


# Health


@app.get("/health")
async def health(async_database: AsyncDatabase, redis_client: Redis) -> Answer:
    """Answer 200 when both services answer within two seconds, and 503 else."""
    try:
        async with async_database.connection(timeout=2) as connection:
            await connection.execute("SELECT 1")
        await redis_client.ping()
    except (DatabaseError, PoolTimeout, RedisError) as error:
        return {"status": "unavailable", "service": type(error).__module__.split(".")[0]}, 503
    return {"status": "ok"}, 200
