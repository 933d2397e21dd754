"""A pool that is built for each request, or once when the application starts."""

from collections.abc import Iterator

from psycopg2.extensions import connection
from psycopg2.pool import ThreadedConnectionPool

from perfkit.claims import CONNECTIONS, Experiment, Operation
from restmachine import DependencyScope, Request, RestApplication

REQUESTS = 10

experiment = Experiment(
    theme="dependencies",
    claims=["O-03"],
    question="How many connections do ten requests open with a pool of each, and with one of all?",
    hypothesis="A pool that lives as long as the application connects once for all requests.",
    promised=REQUESTS,
    metric=CONNECTIONS,
    advice="Give the pool session scope. Each process of the server builds one of its own: count "
    "the connections of all of them together.",
    conditions="psycopg2's pool with one connection to begin with; ten requests, one after "
    "another.",
)


@experiment.before
def built_for_each_request(postgres: str) -> Operation:
    """Makes the pool a dependency of the request."""
    return lambda: connections_opened(postgres, DependencyScope.REQUEST)


@experiment.after
def built_once(postgres: str) -> Operation:
    """Makes the pool a dependency of the session."""
    return lambda: connections_opened(postgres, DependencyScope.SESSION)


def connections_opened(url: str, scope: DependencyScope) -> int:
    """Return how many connections ten requests open."""
    opened = []

    def connect(dsn: str) -> connection:
        opened.append(connection(dsn))
        return opened[-1]

    app = RestApplication()

    @app.dependency(scope=scope)
    def pool() -> Iterator[ThreadedConnectionPool]:
        made = ThreadedConnectionPool(1, 5, url, connection_factory=connect)
        yield made
        made.closeall()

    @app.get("/")
    def answer(pool: ThreadedConnectionPool) -> str:
        taken = pool.getconn()
        with taken.cursor() as cursor:
            cursor.execute("SELECT version()")
            found = cursor.fetchone()
        pool.putconn(taken)
        return str(found)

    app.startup_sync()
    for _ in range(REQUESTS):
        app.execute(Request("GET", "/"))
    app.shutdown_sync()
    return len(opened)
