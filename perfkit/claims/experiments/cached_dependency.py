"""A dependency that two others ask for: computed by each of them, or once by injection."""

from perfkit.claims import CALLS, Experiment, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="dependencies",
    claims=["O-02"],
    question="Is a dependency that two functions ask for computed once a request?",
    hypothesis="Work that two functions of one request need is done once instead of twice.",
    promised=2,
    metric=CALLS,
    advice="Name shared work as a dependency and let each function ask for it: it runs once a "
    "request, and nothing of it is seen by another request.",
)


@experiment.before
def called_by_each() -> Operation:
    """Each dependency calls the shared function itself."""
    app, calls = RestApplication(), []

    def settings() -> dict[str, str]:
        calls.append(1)
        return {"currency": "EUR"}

    app.dependency(name="price")(lambda: (settings()["currency"], 3))
    app.dependency(name="total")(lambda: (settings()["currency"], 9))
    app.get("/cart")(lambda price, total: {"price": price, "total": total})

    return lambda: calls_of_one_request(app, calls)


@experiment.after
def injected() -> Operation:
    """Each dependency asks for the shared one by name."""
    app, calls = RestApplication(), []

    @app.dependency()
    def settings() -> dict[str, str]:
        calls.append(1)
        return {"currency": "EUR"}

    app.dependency(name="price")(lambda settings: (settings["currency"], 3))
    app.dependency(name="total")(lambda settings: (settings["currency"], 9))
    app.get("/cart")(lambda price, total: {"price": price, "total": total})

    return lambda: calls_of_one_request(app, calls)


def calls_of_one_request(app: RestApplication, calls: list[int]) -> int:
    """Answer one request and return how often the shared work was done."""
    calls.clear()
    assert app.execute(Request("GET", "/cart")).status_code == 200
    return len(calls)
