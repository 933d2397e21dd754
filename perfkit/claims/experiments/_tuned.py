"""Serves with uvicorn and a keep-alive of fractions of a second, which its options cannot say."""

import sys

import uvicorn

from restmachine import ASGIAdapter, RestApplication

application = RestApplication(blocking=False)
app = ASGIAdapter(application)


@application.get("/")
def hello() -> str:
    """Answer."""
    return "hello"


@application.post("/orders")
def order() -> str:
    """Take an order."""
    return "taken"


if __name__ == "__main__":
    # The option takes whole seconds; the timer behind it takes any.
    uvicorn.run(
        app, port=int(sys.argv[1]), timeout_keep_alive=float(sys.argv[2]),  # type: ignore[arg-type]  # see above
        log_level="error", access_log=False,
    )  # fmt: skip
