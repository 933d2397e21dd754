"""A choice of fields of which none exists: dropped in silence, or refused."""

from collections.abc import Callable, Iterator

import psycopg

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import BadRequest, NotFound, Request, RestApplication

ALLOWED = ("id", "name", "email")
ASKED = ["name", "nmae", "title", "id,name", "Name"]

experiment = Experiment(
    theme="queries",
    claims=["O-32"],
    question="How many of five requests for an existing user are answered with 404?",
    hypothesis="Names that are not allowed can be dropped from the choice.",
    metric=ERRORS,
    hazard="Where nothing is left, the query is SELECT FROM, which PostgreSQL answers with a row "
    "without columns: an empty tuple, which `if not row` takes for no row at all.",
    advice="Refuse unknown names with 400 and say which are known; ask `is None` for no row.",
    conditions="One user that exists; two requests name fields that exist, three do not.",
)


@experiment.before
def dropped(postgres: str) -> Iterator[Operation]:
    """Drops unknown names."""
    yield from asking(postgres, lambda names: [name for name in ALLOWED if name in names])


@experiment.after
def refused(postgres: str) -> Iterator[Operation]:
    """Refuses unknown names."""

    def known(names: list[str]) -> list[str]:
        if unknown := set(names) - set(ALLOWED):
            raise BadRequest(f"no field {', '.join(unknown)}: choose from {', '.join(ALLOWED)}")
        return names

    yield from asking(postgres, known)


def asking(url: str, choose: Callable[[list[str]], list[str]]) -> Iterator[Operation]:
    """Yield what asks for each choice of fields and counts the answers 404."""
    app = RestApplication()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE claims_user AS SELECT 1 id, 'Ada' AS name, 'a@b.org' email"
        )

        @app.get("/users/1")
        def show(request: Request) -> dict[str, object]:
            names = choose(request.query_params["fields"].split(","))
            query = f"SELECT {', '.join(names)} FROM claims_user WHERE id = 1"
            row = connection.execute(query.encode()).fetchone()
            if not row:
                raise NotFound("no such user")
            return dict(zip(names, row, strict=True))

        def status(fields: str) -> int:
            request = Request("GET", "/users/1", query_params={"fields": fields})
            return app.execute(request).status_code

        yield lambda: sum(status(fields) == 404 for fields in ASKED)
