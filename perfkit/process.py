"""The memory of the whole process, as the operating system counts it."""

from __future__ import annotations

import os
from functools import cache

from perfkit.errors import MissingExtraError

try:
    import psutil
except ImportError:
    raise MissingExtraError("The memory of the process", "psutil", "metrics") from None


def resident_bytes() -> int:
    """Return the resident memory of this process.

    It is of all requests and threads, and hardly falls when they give memory back: no measure
    of a single request.
    """
    # By its id, for a forked child is another process.
    return int(_process(os.getpid()).memory_info().rss)


@cache
def _process(pid: int) -> psutil.Process:
    return psutil.Process(pid)
