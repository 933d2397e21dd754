"""An entity tag that never changes: clients that revalidate keep the old version for ever."""

from collections.abc import Callable

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, RestApplication

CHANGES = 10

experiment = Experiment(
    theme="responses",
    claims=["O-102"],
    question="How often is a client told that nothing changed, though it did?",
    hypothesis="A fixed ETag beside Cache-Control saves transfers.",
    metric=ERRORS,
    hazard="With a constant tag every revalidation is answered 304, and the client never sees "
    "another version.",
    advice="Make the tag of what changes with the representation: a version, a time of change, a "
    "hash. Leave it out rather than invent one.",
    conditions="Ten changes; after each the client asks with the tag that it has.",
)


@experiment.before
def constant() -> Operation:
    """Gives every version the same tag."""
    return lambda: stale_answers(lambda item: "fixed")


@experiment.after
def of_the_version() -> Operation:
    """Gives each version a tag of its own."""
    return lambda: stale_answers(lambda item: f"v{item['version']}")


def stale_answers(tag: Callable[[dict[str, int]], str]) -> int:
    """Change an item ten times and return how many revalidations missed that."""
    app = RestApplication()
    stored = {"version": 0}

    @app.resource_exists
    def item() -> dict[str, int]:
        return stored

    app.generate_etag(lambda item: tag(item))
    app.get("/item")(lambda item: item)
    held = app.execute(Request("GET", "/item")).headers["ETag"]
    stale = 0
    for version in range(1, CHANGES + 1):
        stored["version"] = version
        answer = app.execute(Request("GET", "/item", headers={"If-None-Match": held}))
        stale += answer.status_code == 304
        held = answer.headers["ETag"]
    return stale
