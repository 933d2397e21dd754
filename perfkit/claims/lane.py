"""Runs experiments in a process of its own, beside others: those of which nothing is timed.

`perfkit.claims.lanes` starts this as ``python -m perfkit.claims.lane`` and tells it in lines of
JSON what to run:

    says on its own               {"ready": true}
    told    {"file": path, "seed": number, "enough": seconds, "most": seconds}
    says    {"progress": text} after each generation, then {"results": {...}}

It ends with its input. An interrupt ends it early, and what was measured is said before.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from perfkit.claims.library import load
from perfkit.claims.parts import Session
from perfkit.claims.running import blank, run
from perfkit.claims.schedule import Allowance
from perfkit.terminal import terminable


def serve(orders: TextIO, said: TextIO) -> None:
    """Run what each line of *orders* tells."""
    with Session() as session:
        _say(said, {"ready": True})
        for line in orders:
            if not _done(json.loads(line), session, said):
                return


def _done(order: Mapping[str, Any], session: Session, said: TextIO) -> bool:
    """Run one experiment and say its results; return whether that was not interrupted."""
    found = load(Path(order["file"]))
    results = blank(found, order["seed"])
    uninterrupted = True
    try:
        run(
            found,
            session,
            results,
            lambda line: _say(said, {"progress": line}),
            allowed=Allowance(order["enough"], order["most"]),
        )
    except KeyboardInterrupt:
        uninterrupted = False
    _say(said, {"results": results})
    return uninterrupted


def _say(said: TextIO, message: object) -> None:
    print(json.dumps(message), file=said, flush=True)


def main() -> None:
    """Serve on standard input and output."""
    # What a part prints must not look like a message.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        try:
            with terminable():
                serve(sys.stdin, channel)
        except (BrokenPipeError, KeyboardInterrupt):
            return


if __name__ == "__main__":
    main()
