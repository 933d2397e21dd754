"""An answer for one user, marked public, and the cache that all users share."""

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, Response, RestApplication
from restmachine.decorators import cache_response

USERS = 10

experiment = Experiment(
    theme="caches",
    claims=["O-09"],
    question="How many users are sent another one's data by a shared cache?",
    hypothesis="Caching an answer for an hour is one more decorator.",
    metric=ERRORS,
    hazard="public lets every proxy keep the answer even though it was for one user, and send it "
    "to whoever asks for the same address.",
    advice="Say private where the answer depends on who asks. restmachine does so by itself on "
    "routes behind authorization; public=True is for what everyone may see.",
    conditions=f"{USERS} users ask for their own account through one shared cache that follows "
    "RFC 9111: it keeps answers to authorized requests only where they are public. What is "
    "counted are users who get an account that is not theirs.",
)


@experiment.before
def public() -> Operation:
    """Marks the answer public."""
    return lambda: shown_anothers(account(public=True))


@experiment.after
def private() -> Operation:
    """Leaves it to restmachine, which says private behind authorization."""
    return lambda: shown_anothers(account(public=False))


def account(*, public: bool) -> RestApplication:
    """Answer each user's own name, to those who say who they are."""
    app = RestApplication()

    @app.authorized
    def user(request: Request) -> str | None:
        return request.headers.get("Authorization")

    @app.get("/account")
    @cache_response(max_age=3600, public=public)
    def show(user: str) -> dict[str, str]:
        return {"account": user}

    return app


def shown_anothers(app: RestApplication) -> int:
    """Let all users ask through one cache and return how many get another's account."""
    kept: list[Response] = []

    def ask(user: str) -> str:
        if kept:
            return str(kept[0].body)
        answer = app.execute(Request("GET", "/account", headers={"Authorization": user}))
        if "public" in answer.headers["Cache-Control"]:
            kept.append(answer)
        return str(answer.body)

    users = [f"user-{number}" for number in range(USERS)]
    return sum(f'"{user}"' not in ask(user) for user in users)
