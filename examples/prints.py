"""Background work: the answer names the job, and does not wait for it.

Start it with ``python -m restmachine serve examples.prints:asgi_app``. It needs pydantic, which
checks what is ordered.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

from pydantic import BaseModel, Field

from restmachine import ASGIAdapter, NotFound, RestApplication

app = RestApplication()
asgi_app = ASGIAdapter(app)

NUMBERS = count(1)
JOBS: dict[int, Future[str]] = {}


class Order(BaseModel):
    """What shall be printed."""

    text: str = Field(min_length=1)
    copies: int = Field(default=1, ge=1, le=100)


@app.on_startup
def press() -> ThreadPoolExecutor:
    """Set up two presses."""
    return ThreadPoolExecutor(max_workers=2)


@app.on_shutdown
def finish_printing(press: ThreadPoolExecutor) -> None:
    """Print what was ordered before leaving."""
    press.shutdown(wait=True)


@app.validates
def order(json_body: Any) -> Order:
    """Take the order of the content; a wrong one is 422 and says what is wrong."""
    return Order.model_validate(json_body)


@app.dependency()
def in_background(press: ThreadPoolExecutor) -> Callable[..., int]:
    """Give a function that starts a job and returns its number."""

    def begin(work: Callable[..., str], *arguments: Any) -> int:
        number = next(NUMBERS)
        JOBS[number] = press.submit(work, *arguments)
        return number

    return begin


def printed(text: str, copies: int) -> str:
    """Print, which takes longer than anybody waits."""
    return "\n".join([text.upper()] * copies)


@app.post("/prints")
def take_order(order: Order, in_background: Callable[..., int]) -> Any:
    """Accept the order and tell where its outcome will be."""
    number = in_background(printed, order.text, order.copies)
    return {"job": number}, 202, {"Location": f"/prints/{number}"}


@app.get("/prints/{number}")
def read_print(number: int) -> Any:
    """Send the print, or 202 while it is under way."""
    if number not in JOBS:
        raise NotFound
    if not JOBS[number].done():
        return {"job": number, "done": False}, 202
    return {"job": number, "done": True, "print": JOBS[number].result()}
