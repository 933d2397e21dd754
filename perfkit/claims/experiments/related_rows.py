"""The items of each owner by SQLAlchemy: loaded lazily, with selectinload, or joined."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ForeignKey, create_engine, event, make_url, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    joinedload,
    lazyload,
    mapped_column,
    relationship,
    selectinload,
)

from perfkit.claims import QUERIES, Experiment, Operation
from perfkit.claims.experiments._tables import table

experiment = Experiment(
    theme="queries",
    claims=["O-94"],
    question="How many queries does it take to load owners with their items?",
    hypothesis="Eager loading takes 1 or 2 queries instead of 101.",
    promised=50,
    metric=QUERIES,
    varies={"owners": [100, 600]},
    because="Lazily it is one query for each owner; selectinload asks for five hundred at a time.",
    advice="selectinload for collections; joinedload repeats the owner in each row, and suits "
    "single rows. Count queries in the tests.",
    conditions="SQLAlchemy with psycopg 3; every owner has two items. What is counted are the "
    "statements sent.",
)


class Base(DeclarativeBase):
    """What SQLAlchemy maps."""


class Owner(Base):
    """Who has items."""

    __tablename__ = "claims_owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list["Item"]] = relationship()


class Item(Base):
    """What somebody has."""

    __tablename__ = "claims_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("claims_owners.id"))


@experiment.prepare
def owners_with_items(postgres: str) -> Iterator[None]:
    """Have 600 owners with two items each."""
    owners = "SELECT generate_series(1, 600)"
    items = "SELECT i, i % 600 + 1 FROM generate_series(1, 1200) i"
    with (
        table(postgres, "claims_owners", "id int PRIMARY KEY", owners),
        table(postgres, "claims_items", "id int PRIMARY KEY, owner_id int", items) as connection,
    ):
        connection.execute("CREATE INDEX ON claims_items (owner_id)")
        yield


@experiment.before
def lazily(postgres: str, owners: int) -> Iterator[Operation]:
    """Loads the items of an owner when they are looked at."""
    yield from loading(postgres, owners, lazyload(Owner.items))


@experiment.after
def selected_in(postgres: str, owners: int) -> Iterator[Operation]:
    """Loads the items of many owners with one query more."""
    yield from loading(postgres, owners, selectinload(Owner.items))


@experiment.beside
def joined(postgres: str, owners: int) -> Iterator[Operation]:
    """Loads owners and items with one query."""
    yield from loading(postgres, owners, joinedload(Owner.items))


def loading(url: str, owners: int, how: Any) -> Iterator[Operation]:
    """Yield what loads owners with their items and counts the queries."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *event: sent.append(event[2]))

    def queries() -> int:
        sent.clear()
        with Session(engine) as session:
            statement = select(Owner).order_by(Owner.id).limit(owners).options(how)
            found = session.execute(statement).unique().scalars().all()
            assert sum(len(owner.items) for owner in found) == 2 * owners
        return len(sent)

    yield queries
    engine.dispose()
