"""A list made by hand of the fields to send, or by a model of the answer: the processor time."""

from typing import Any

from pydantic import BaseModel

from perfkit.claims import CPU, Experiment, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="responses",
    claims=["O-107"],
    question="Does a model of the answer save processor time?",
    hypothesis="Sending fewer fields makes an answer cheaper.",
    metric=CPU,
    varies={"rows": [1, 100]},
    because="The model checks each row and drops fields after they were fetched; what that costs "
    "can be more than what encoding fewer fields saves.",
    advice="Take a model for safety: for what leaves, and as a promise to clients. For speed, "
    "fetch fewer columns.",
    conditions="In process; rows of fourteen fields, all of them narrow, of which the model has "
    "three. No row is fetched from anywhere: that cost is the same for both.",
    precision=0.1,
    budget_s=10,
)


class Public(BaseModel):
    """What everybody may know of a user."""

    id: int
    username: str
    email: str


@experiment.before
def whole(rows: int) -> Operation:
    """Answers the rows as they were fetched."""
    app = RestApplication()

    @app.get("/users")
    def users() -> list[dict[str, Any]]:
        return fetched(rows)

    return lambda: app.execute(Request("GET", "/users"))


@experiment.after
def modelled(rows: int) -> Operation:
    """Answers what the declared model has."""
    app = RestApplication()

    @app.get("/users")
    def users() -> list[Public]:
        return fetched(rows)  # type: ignore[return-value]  # the models are made of it

    return lambda: app.execute(Request("GET", "/users"))


@experiment.beside
def picked(rows: int) -> Operation:
    """Answers the three fields, picked by hand."""
    app = RestApplication()

    @app.get("/users")
    def users() -> list[dict[str, Any]]:
        names = ("id", "username", "email")
        return [{name: row[name] for name in names} for row in fetched(rows)]

    return lambda: app.execute(Request("GET", "/users"))


def fetched(rows: int) -> list[dict[str, Any]]:
    """Return so many rows."""
    row = {"id": 1, "username": "ada", "email": "ada@example.org"}
    return [row | {f"field_{number}": "value" for number in range(11)} for _ in range(rows)]
