"""Connections to PostgreSQL, and every statement the application sends.

Rows leave this file as documents: dicts ready to be sent, times in ISO 8601.
Each change is one statement, so connections commit by themselves, and a change names
the version it was made from: of two writers who read the same version, one wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

SCHEMA = "loadtests"

Document = dict[str, Any]
Database = ConnectionPool[Connection[DictRow]]
AsyncDatabase = AsyncConnectionPool[AsyncConnection[DictRow]]

# Everything is made at startup and kept, so that no request pays for a connection.
SIZE = 8
SECONDS_TO_CONNECT = 10
LARGEST_ID = 2**31 - 1
CONNECTION = {
    "autocommit": True,
    "row_factory": dict_row,
    "options": f"-c search_path={SCHEMA} -c timezone=UTC",
}


@dataclass(frozen=True)
class Page:
    """At most *limit* rows past the row *after*, in the order of the listing."""

    after: int | None
    limit: int


def open_pool(url: str) -> Database:
    """Connect for code that runs on worker threads.

    Raises:
        psycopg_pool.PoolTimeout: PostgreSQL did not answer.
    """
    pool = Database(url, min_size=SIZE, kwargs=CONNECTION, open=True)
    pool.wait(SECONDS_TO_CONNECT)
    return pool


async def open_async_pool(url: str) -> AsyncDatabase:
    """Connect for code that runs on the event loop, which must be the running one.

    Raises:
        psycopg_pool.PoolTimeout: PostgreSQL did not answer.
    """
    pool = AsyncDatabase(url, min_size=SIZE, kwargs=CONNECTION, open=False)
    await pool.open(wait=True, timeout=SECONDS_TO_CONNECT)
    return pool


async def fetch(database: AsyncDatabase, statement: str, *values: object) -> list[DictRow]:
    """Return every row of one statement."""
    async with database.connection() as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall()


# Users

USER = "SELECT id, name, email, bio, created_at, version FROM users WHERE id = %s"
USERS = "SELECT id, name, email FROM users WHERE id > %s ORDER BY id LIMIT %s"


async def find_user(database: AsyncDatabase, user_id: int) -> Document | None:
    """Return one user with the biography."""
    for row in await fetch(database, USER, user_id):
        return row | {"created_at": row["created_at"].isoformat()}
    return None


async def list_users(database: AsyncDatabase, page: Page) -> list[Document]:
    """Return users by id, without their biographies."""
    return await fetch(database, USERS, page.after or 0, page.limit)


# Products

PRODUCT_COLUMNS = """
    products.id, products.name, description, price_cents, updated_at, version,
    categories.slug AS category_slug, categories.name AS category_name
"""
PRODUCT = f"""
    SELECT {PRODUCT_COLUMNS}
    FROM products JOIN categories ON categories.id = category_id
    WHERE products.id = %s
"""
PRODUCTS = f"""
    SELECT {PRODUCT_COLUMNS}
    FROM products JOIN categories ON categories.id = category_id
    WHERE products.id > %s
    ORDER BY products.id LIMIT %s
"""
PRODUCTS_OF_CATEGORY = f"""
    SELECT {PRODUCT_COLUMNS}
    FROM products JOIN categories ON categories.id = category_id
    WHERE categories.slug = %s AND products.id > %s
    ORDER BY products.id LIMIT %s
"""
CHANGE_PRODUCT = f"""
    UPDATE products
    SET name = %s, description = %s, price_cents = %s, updated_at = now(), version = version + 1
    FROM categories
    WHERE products.id = %s AND version = %s AND categories.id = category_id
    RETURNING {PRODUCT_COLUMNS}
"""


def product_document(row: DictRow) -> Document:
    """Nest the category into the product."""
    category = {"slug": row.pop("category_slug"), "name": row.pop("category_name")}
    return row | {"updated_at": row["updated_at"].isoformat(), "category": category}


async def find_product(database: AsyncDatabase, product_id: int) -> Document | None:
    """Return one product with its category."""
    for row in await fetch(database, PRODUCT, product_id):
        return product_document(row)
    return None


async def list_products(
    database: AsyncDatabase, page: Page, category: str | None
) -> list[Document]:
    """Return products by id; of one category if *category*, a slug, is given."""
    after = page.after or 0
    if category is None:
        rows = await fetch(database, PRODUCTS, after, page.limit)
    else:
        rows = await fetch(database, PRODUCTS_OF_CATEGORY, category, after, page.limit)
    return [product_document(row) for row in rows]


async def change_product(
    database: AsyncDatabase,
    product_id: int,
    version: int,
    *,
    name: str,
    description: str,
    price_cents: int,
) -> Document | None:
    """Replace what can change; None if *version* is no longer the stored one."""
    values = (name, description, price_cents, product_id, version)
    for row in await fetch(database, CHANGE_PRODUCT, *values):
        return product_document(row)
    return None


# Posts

POST_COLUMNS = """
    posts.id, title, content, posts.created_at, updated_at, posts.version,
    author_id, users.name AS author_name
"""
POST = f"""
    SELECT {POST_COLUMNS}
    FROM posts JOIN users ON users.id = author_id
    WHERE posts.id = %s
"""
# One JOIN for the whole page: a query per author would be N+1.
NEWEST_POSTS = f"""
    SELECT {POST_COLUMNS}
    FROM posts JOIN users ON users.id = author_id
    WHERE posts.id < %s
    ORDER BY posts.id DESC LIMIT %s
"""
CREATE_POST = f"""
    WITH posts AS (
        INSERT INTO posts (author_id, title, content) VALUES (%s, %s, %s) RETURNING *
    )
    SELECT {POST_COLUMNS} FROM posts JOIN users ON users.id = author_id
"""
CHANGE_POST = f"""
    UPDATE posts
    SET title = %s, content = %s, updated_at = now(), version = posts.version + 1
    FROM users
    WHERE posts.id = %s AND posts.version = %s AND users.id = author_id
    RETURNING {POST_COLUMNS}
"""


@dataclass(frozen=True)
class Post:
    """A post as it is sent, and what its validators are made of."""

    document: Document
    version: int
    updated_at: datetime


def post_of(row: DictRow | None) -> Post | None:
    """Nest the author into the post."""
    if row is None:
        return None
    author = {"id": row.pop("author_id"), "name": row.pop("author_name")}
    times = {name: row[name].isoformat() for name in ("created_at", "updated_at")}
    return Post(row | times | {"author": author}, row["version"], row["updated_at"])


def find_post(connection: Connection[DictRow], post_id: int) -> Post | None:
    """Return one post with its author."""
    return post_of(connection.execute(POST, (post_id,)).fetchone())


def list_posts(connection: Connection[DictRow], page: Page) -> list[Post]:
    """Return posts with their authors, newest first."""
    before = LARGEST_ID if page.after is None else page.after
    rows = connection.execute(NEWEST_POSTS, (before, page.limit))
    return [post for row in rows if (post := post_of(row))]


def create_post(
    connection: Connection[DictRow], *, author_id: int, title: str, content: str
) -> Post | None:
    """Store a post; None if there is no such author."""
    try:
        return post_of(connection.execute(CREATE_POST, (author_id, title, content)).fetchone())
    except ForeignKeyViolation:
        return None


def change_post(
    connection: Connection[DictRow], post_id: int, version: int, *, title: str, content: str
) -> Post | None:
    """Replace what can change; None if *version* is no longer the stored one."""
    return post_of(connection.execute(CHANGE_POST, (title, content, post_id, version)).fetchone())
