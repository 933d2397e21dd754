"""An application that ends and starts again within its process, with and without a hook."""

from psycopg2.extensions import connection
from psycopg2.pool import ThreadedConnectionPool

from perfkit.claims import CONNECTIONS, Experiment, Operation
from restmachine import RestApplication

LIVES, POOL = 5, 2

experiment = Experiment(
    theme="dependencies",
    claims=["O-04"],
    question="How many connections are open once an application has started for the fifth time?",
    hypothesis="A hook at shutdown closes the pool, so that only the running one holds any.",
    promised=LIVES,
    metric=CONNECTIONS,
    advice="Close what the start has opened, in a hook or after the yield of a session dependency. "
    "A process that ends closes its connections anyway: the hook is for reloads, for tests, and "
    "for an orderly end.",
    conditions="A pool of two connections, five lives in one process, where something, as a "
    "module or a log, keeps the old application in memory.",
)


@experiment.before
def without_hook(postgres: str) -> Operation:
    """Ends without closing the pool."""
    return lambda: open_connections(postgres, closes=False)


@experiment.after
def with_hook(postgres: str) -> Operation:
    """Closes the pool at shutdown."""
    return lambda: open_connections(postgres, closes=True)


def open_connections(url: str, *, closes: bool) -> int:
    """Return how many connections are open during the last of some lives."""
    opened: list[connection] = []

    def connect(dsn: str) -> connection:
        opened.append(connection(dsn))
        return opened[-1]

    def application() -> RestApplication:
        app = RestApplication()

        @app.on_startup
        def pool() -> ThreadedConnectionPool:
            return ThreadedConnectionPool(POOL, POOL, url, connection_factory=connect)

        if closes:
            app.on_shutdown(lambda pool: pool.closeall())
        return app

    ended = []
    for _ in range(LIVES):
        app = application()
        app.startup_sync()
        held = sum(not each.closed for each in opened)
        app.shutdown_sync()
        ended.append(app)
    for each in opened:
        each.close()
    return held
