"""Counts hits and misses of the application's own caches, by a name that it gives them.

```python
from perfkit import caches

user = CACHE.get(user_id)
if user is None:
    caches.miss("users")
else:
    caches.hit("users")
```

The name says which cache, never which key: names beyond a limit share one label.
"""

from __future__ import annotations

from perfkit.meter import of_process
from perfkit.metrics import CACHE_LOOKUPS


def hit(cache: str) -> None:
    """Count a lookup that found what it looked for."""
    of_process.add(CACHE_LOOKUPS, cache, "hit")


def miss(cache: str) -> None:
    """Count a lookup that found nothing."""
    of_process.add(CACHE_LOOKUPS, cache, "miss")
