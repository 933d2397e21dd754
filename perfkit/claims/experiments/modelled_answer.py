"""An answer with all that was fetched, or with what a model lets through: its bytes."""

import json
from typing import Any

from pydantic import BaseModel

from perfkit.claims import WIRE_BYTES, Experiment, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="responses",
    claims=["O-107"],
    question="How many bytes does a model of the answer keep back?",
    hypothesis="A model of the answer sends only what is needed.",
    metric=WIRE_BYTES,
    varies={"notes": [0, 1000]},
    because="What is kept back is as large as it is.",
    advice="Declare a model for what must not go out, such as hashes of passwords. What is not "
    "needed for speed's sake should not be fetched in the first place.",
    conditions="The content of one answer, as JSON; the length of internal notes is varied.",
)


class Public(BaseModel):
    """What everybody may know of a user."""

    id: int
    username: str
    email: str


@experiment.before
def whole(notes: int) -> Operation:
    """Answers the row."""
    app = RestApplication()

    @app.get("/users/1")
    def show() -> dict[str, Any]:
        return user(notes)

    return lambda: content_bytes(app)


@experiment.after
def modelled(notes: int) -> Operation:
    """Answers what the declared model has."""
    app = RestApplication()

    @app.get("/users/1")
    def show() -> Public:
        return user(notes)  # type: ignore[return-value]  # the model is made of it

    return lambda: content_bytes(app)


def user(notes: int) -> dict[str, Any]:
    """Return what was fetched."""
    return {
        "id": 1, "username": "ada", "email": "ada@example.org",
        "hashed_password": "x" * 60, "internal_notes": "x" * notes,
    }  # fmt: skip


def content_bytes(app: RestApplication) -> int:
    """Return the length of the answer, without spaces whatever encodes it."""
    answer = app.execute(Request("GET", "/users/1"))
    return len(json.dumps(json.loads(answer.body), separators=(",", ":")))
