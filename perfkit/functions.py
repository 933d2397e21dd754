"""Measures any function: a decorator that logs what a call took.

```python
from perfkit.functions import performance_monitor


@performance_monitor
def heavy(count):
    return sum(number * number for number in range(count))
```

What is logged is the function's name and never its arguments.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from time import perf_counter, process_time
from typing import Any, TypeVar, cast

from perfkit.process import resident_bytes

logger = logging.getLogger("perfkit.functions")

Function = TypeVar("Function", bound=Callable[..., Any])


def performance_monitor(function: Function) -> Function:
    """Log a line of JSON for each call: seconds, CPU seconds, and how the process grew.

    CPU time and resident memory are those of the whole process, so they tell about a function
    only while little else runs; for single requests there is `perfkit.instrument`.
    """
    name = f"{function.__module__}.{function.__qualname__}"

    if iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*arguments: Any, **options: Any) -> Any:
            with _measured(name):
                return await function(*arguments, **options)

        return cast(Function, awaited)

    @wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        with _measured(name):
            return function(*arguments, **options)

    return cast(Function, called)


@contextmanager
def _measured(name: str) -> Iterator[None]:
    resident = resident_bytes()
    cpu = process_time()
    started = perf_counter()
    try:
        yield
    finally:
        facts = {
            "event": "call",
            "function": name,
            "seconds": round(perf_counter() - started, 6),
            "cpu_seconds": round(process_time() - cpu, 6),
            "resident_bytes": resident_bytes() - resident,
        }
        logger.info("%s", json.dumps(facts))
