"""Outlives the runner by a moment: ends its process group when the runner is gone.

Run as a script, by its path, with a pipe on standard input and as leader of a process
group of its own. The end of the pipe is the signal: the kernel closes it however the
runner ends, SIGKILL included.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil

GRACE_S = 3.0


def main() -> None:
    """Wait for the end of standard input, then end everything in this group."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    group = os.getpgid(0)
    os.killpg(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and _others(group):
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)


def _others(group: int) -> bool:
    return any(pid != group and _group_of(pid) == group for pid in psutil.pids())


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


if __name__ == "__main__":
    main()
