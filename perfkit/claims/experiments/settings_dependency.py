"""Settings as a dependency: new for each request in place, or memoised behind a thread."""

from functools import lru_cache

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.experiments._in_process import get
from restmachine import ASGIAdapter, RestApplication

experiment = Experiment(
    theme="dependencies",
    claims=["O-110"],
    question="Are memoised settings cheaper that a thread looks up for each request?",
    hypothesis="A dependency memoised by lru_cache is cheaper than a new object each time.",
    metric=LATENCY,
    advice="Declare what cannot block: async def in FastAPI, blocking=False or async in "
    "restmachine. Then memoise. A thread for each request costs many times what building a small "
    "object does.",
    conditions="One request in process by ASGI to an async handler that asks for five settings. "
    "A synchronous dependency runs in a thread, as in FastAPI, unless it is said not to block.",
    precision=0.15,
)


def settings() -> dict[str, int]:
    """Return new settings."""
    return {name: int("1") for name in ("a", "b", "c", "d", "e")}


memoised = lru_cache(settings)


@experiment.before
def new_in_place() -> Operation:
    """Makes new settings on the loop."""
    app = RestApplication()

    @app.dependency(name="settings")
    async def made() -> dict[str, int]:
        return settings()

    return asking(app)


@experiment.after
def memoised_behind_a_thread() -> Operation:
    """Looks memoised settings up in a thread."""
    app = RestApplication()

    @app.dependency(name="settings")
    def found() -> dict[str, int]:
        return memoised()

    return asking(app)


@experiment.beside
def new_behind_a_thread() -> Operation:
    """Makes new settings in a thread."""
    app = RestApplication()

    @app.dependency(name="settings")
    def made() -> dict[str, int]:
        return settings()

    return asking(app)


@experiment.beside
def memoised_in_place() -> Operation:
    """Looks memoised settings up on the loop."""
    app = RestApplication()

    @app.dependency(name="settings")
    async def found() -> dict[str, int]:
        return memoised()

    return asking(app)


def asking(app: RestApplication) -> Operation:
    """Return what sends one request for the settings."""

    @app.get("/")
    async def handler(settings: dict[str, int]) -> dict[str, int]:
        return settings

    adapter = ASGIAdapter(app)
    return lambda: get(adapter)
