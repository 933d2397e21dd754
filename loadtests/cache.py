"""Documents kept in Redis, shared by every process of the application.

A cached document never goes back in time. A reader who missed may store what it read
after a writer has stored something newer; deleting on change would let that old document
live on. So entries carry their version, and only a higher one replaces them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis

PREFIX = "loadtests:"
# Bounds how long a change stays unseen whose writer died between the database and the cache.
SECONDS_TO_LIVE = 300
# Redis runs a script as one step, so no other writer comes between looking and storing.
STORE_IF_NEWER = """
local stored = redis.call('HGET', KEYS[1], 'version')
if stored and tonumber(stored) >= tonumber(ARGV[1]) then
    return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'document', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

Document = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """A document, and where it came from: ``HIT``, ``MISS`` or ``BYPASS``."""

    document: Document
    outcome: str


def connect(url: str) -> Redis:
    """Return a client whose callers wait for a free connection; the plain pool would raise."""
    pool = BlockingConnectionPool.from_url(url, max_connections=10, timeout=5)
    return Redis.from_pool(pool)


class Cache:
    """JSON documents with a number ``version``, by key."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._store_if_newer = client.register_script(STORE_IF_NEWER)

    async def get(self, key: str, find: Callable[[], Awaitable[Document | None]]) -> Found | None:
        """Return the document under *key*, asking *find* and keeping its answer on a miss."""
        stored = await self._client.hget(PREFIX + key, "document")
        if stored is not None:
            return Found(json.loads(stored), "HIT")
        document = await find()
        if document is None:
            return None
        await self.put(key, document)
        return Found(document, "MISS")

    async def put(self, key: str, document: Document) -> None:
        """Keep *document*, unless the cache holds this version of it or a later one."""
        await self._store_if_newer(
            keys=[PREFIX + key],
            args=[document["version"], json.dumps(document), SECONDS_TO_LIVE],
        )
