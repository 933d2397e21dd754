"""An answer with all fields of a user, or with the two that the client asked for: its bytes."""

import json

from perfkit.claims import WIRE_BYTES, Experiment, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="queries",
    claims=["O-32"],
    question="How many bytes does an answer save with two fields instead of five?",
    hypothesis="Chosen fields make an answer smaller.",
    metric=WIRE_BYTES,
    varies={"biography": [0, 100, 5000]},
    because="The fields left away are no larger than they are.",
    advice="Offer a choice of fields where there are wide ones, and check the names asked for.",
    conditions="The content of one answer, as JSON; the length of the longest field is varied.",
)


@experiment.before
def all_fields(biography: int) -> Operation:
    """Answers everything."""
    return answering(biography, {})


@experiment.after
def two_fields(biography: int) -> Operation:
    """Answers what was asked for."""
    return answering(biography, {"fields": "id,name"})


def answering(biography: int, query: dict[str, str]) -> Operation:
    """Return what answers one request and tells the length of its content."""
    app = RestApplication()
    user = {
        "id": 1, "name": "Ada", "email": "ada@example.org", "created_at": "2026-01-01T00:00:00Z",
        "bio": "x" * biography,
    }  # fmt: skip

    @app.get("/users/1")
    def show(request: Request) -> dict[str, object]:
        fields = request.query_params.get("fields")
        return {name: user[name] for name in fields.split(",")} if fields else user

    request = Request("GET", "/users/1", query_params=query)
    return lambda: len(json.dumps(json.loads(app.execute(request).body), separators=(",", ":")))
