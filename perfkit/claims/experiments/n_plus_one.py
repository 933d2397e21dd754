"""Twenty posts with their authors: a query for each author, or one JOIN, by length of the link."""

from collections.abc import Iterator

import psycopg

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.link import Links

POSTS = 20

experiment = Experiment(
    theme="queries",
    claims=["O-30", "O-57", "O-78"],
    promises={"O-78": 20},
    question="How much does one JOIN save against a query for each row?",
    hypothesis="One query instead of 21 is 20 times as fast.",
    metric=LATENCY,
    varies={"round_trip_ms": [0, 1, 20]},
    because="Each query waits for the database once: the longer the way, the nearer the gain "
    "comes to the number of queries saved, and without a way only their own cost is saved.",
    advice="Fetch what belongs together with one JOIN, or with one more query that asks for all "
    "keys at once. Count the queries of a request; do not wait until they are slow.",
    conditions="PostgreSQL on this machine, psycopg 3, 20 posts of 20 authors; the round trip is "
    "added by a proxy.",
    precision=0.15,
    budget_s=30,
)


@experiment.prepare
def posts_of_authors(postgres: str) -> Iterator[None]:
    """Have a thousand authors with a post each."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS claims_posts, claims_authors")
        connection.execute("CREATE TABLE claims_authors (id int PRIMARY KEY, name text)")
        connection.execute(
            "CREATE TABLE claims_posts (id int PRIMARY KEY, author_id int, title text)"
        )
        connection.execute(
            "INSERT INTO claims_authors SELECT i, 'author ' || i FROM generate_series(1, 1000) i"
        )
        connection.execute(
            "INSERT INTO claims_posts SELECT i, i, 'post ' || i FROM generate_series(1, 1000) i"
        )
        connection.execute("ANALYZE claims_posts, claims_authors")
        yield
        connection.execute("DROP TABLE claims_posts, claims_authors")


@experiment.before
def query_for_each(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Reads the posts, then the author of each."""
    with (
        link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):

        def author(key: int) -> str:
            found = connection.execute("SELECT name FROM claims_authors WHERE id = %s", [key])
            return str(next(found)[0])

        def posts() -> list[tuple[str, str]]:
            rows = connection.execute(
                "SELECT title, author_id FROM claims_posts ORDER BY id LIMIT %s", [POSTS]
            ).fetchall()
            return [(title, author(key)) for title, key in rows]

        yield posts


@experiment.after
def one_join(postgres: str, link: Links, round_trip_ms: float) -> Iterator[Operation]:
    """Reads posts and authors with one JOIN."""
    with (
        link.to_url(postgres, round_trip_s=round_trip_ms / 1000) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):

        def posts() -> list[tuple[str, str]]:
            return connection.execute(
                "SELECT title, name FROM claims_posts p JOIN claims_authors a ON a.id = author_id "
                "ORDER BY p.id LIMIT %s",
                [POSTS],
            ).fetchall()

        yield posts
