"""A hundred rows as objects of SQLAlchemy, or three of their columns."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, create_engine, make_url, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from perfkit.claims import LATENCY, Experiment, Operation
from perfkit.claims.experiments._tables import table

experiment = Experiment(
    theme="queries",
    claims=["O-98"],
    question="What does it save to select three columns instead of whole objects?",
    hypothesis="Three columns are faster than entities.",
    metric=LATENCY,
    advice="Select columns for lists that are only shown, and entities for what is changed. Rows "
    "are no entities: what expects attributes, methods or lazy relations has to be written anew.",
    conditions="PostgreSQL on this machine, SQLAlchemy with psycopg 3, a hundred rows of twelve "
    "narrow columns, a session for each call, so that each makes its objects anew.",
    precision=0.15,
    budget_s=8,
)


class Base(DeclarativeBase):
    """What SQLAlchemy maps."""


class Account(Base):
    """A row with many columns."""

    __tablename__ = "claims_accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    street: Mapped[str]
    city: Mapped[str]
    country: Mapped[str]
    phone: Mapped[str]
    language: Mapped[str]
    currency: Mapped[str]
    plan: Mapped[str]
    referrer: Mapped[str]
    remarks: Mapped[str]


@experiment.prepare
def accounts(postgres: str) -> Iterator[None]:
    """Have a hundred rows."""
    columns = (
        "id int PRIMARY KEY, name text, email text, street text, city text, country text, "
        "phone text, language text, currency text, plan text, referrer text, remarks text"
    )
    rows = (
        "SELECT i, 'name', 'e-mail', 'street', 'city', 'country', 'phone', 'language', 'currency', "
        "'plan', 'referrer', 'remarks' FROM generate_series(1, 100) i"
    )
    with table(postgres, "claims_accounts", columns, rows):
        yield


@experiment.before
def entities(postgres: str) -> Iterator[Operation]:
    """Selects whole objects."""
    yield from selecting(postgres, select(Account))


@experiment.after
def columns(postgres: str) -> Iterator[Operation]:
    """Selects three columns."""
    yield from selecting(postgres, select(Account.id, Account.name, Account.email))


def selecting(url: str, statement: Select[*tuple[Any, ...]]) -> Iterator[Operation]:
    """Yield what reads all rows and takes three values of each."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    whole = statement.column_descriptions[0]["expr"] is Account

    def read() -> list[tuple[int, str, str]]:
        with Session(engine) as session:
            found = session.execute(statement)
            rows = found.scalars() if whole else found
            return [(row.id, row.name, row.email) for row in rows]

    yield read
    engine.dispose()
