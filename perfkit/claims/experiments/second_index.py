"""A primary key that is declared to have an index: it has one already."""

from collections.abc import Iterator

from sqlalchemy import Column, Integer, MetaData, Table, create_engine, make_url, text

from perfkit.claims import Experiment, Metric, Operation

ROWS = 10_000

experiment = Experiment(
    theme="queries",
    claims=["O-96"],
    question="How many bytes does an index take that another makes useless?",
    hypothesis="A column that is asked for by its key should say index=True.",
    metric=Metric("bytes of useless indexes", "B", "count"),
    hazard="A primary key and a unique column are kept unique by an index. index=True makes a "
    "second one on the same column, which takes as much room and is written each time, and which "
    "no query needs.",
    advice="Leave index=True to columns that are neither primary key nor unique.",
    conditions="SQLAlchemy, a table of one column with 10 000 rows.",
)


@experiment.before
def key_with_index(postgres: str) -> Iterator[Operation]:
    """Declares the primary key with index=True."""
    yield from creating(postgres, Column("id", Integer, primary_key=True, index=True))


@experiment.after
def key_alone(postgres: str) -> Iterator[Operation]:
    """Declares the primary key."""
    yield from creating(postgres, Column("id", Integer, primary_key=True))


def creating(url: str, column: Column[int]) -> Iterator[Operation]:
    """Yield what creates the table, fills it, and returns the bytes of useless indexes."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    metadata = MetaData()
    Table("claims_keys", metadata, column, prefixes=["TEMPORARY"])

    def useless_bytes() -> int:
        with engine.begin() as connection:
            metadata.create_all(connection, checkfirst=False)
            fill = "INSERT INTO claims_keys SELECT generate_series(1, :rows)"
            connection.execute(text(fill), {"rows": ROWS})
            useless = (
                "SELECT coalesce(sum(pg_relation_size(indexrelid)), 0)::bigint FROM pg_index "
                "WHERE indrelid = 'claims_keys'::regclass AND NOT indisprimary"
            )
            found = int(connection.execute(text(useless)).scalar_one())
            metadata.drop_all(connection, checkfirst=False)
        return found

    yield useless_bytes
    engine.dispose()
