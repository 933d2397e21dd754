"""An entity tag made by hash(), which every process salts anew, behind two workers."""

import subprocess
import sys
from functools import cache

from perfkit.claims import ERRORS, Experiment, Operation
from restmachine import Request, RestApplication

REQUESTS = 10

experiment = Experiment(
    theme="caches",
    claims=["O-99"],
    question="How many revalidations are answered in full though nothing changed?",
    hypothesis="A tag made from what is cached lets clients revalidate.",
    metric=ERRORS,
    hazard="hash() of text is salted in every process. A client that comes to another worker, or "
    "after a restart, holds a tag that no one knows, and is sent everything again.",
    advice="Make tags with hashlib, or of a version. That takes microseconds.",
    conditions=f"Two workers, each a Python of its own that makes the tag; {REQUESTS} requests of "
    "a client which goes to them by turns and always sends the last tag. What is counted are the "
    "answers other than 304. The salts are fixed at 1 and 2, so that the count is too.",
)

BY_HASH = "print(hash(sys.argv[1]))"
BY_HASHLIB = "import hashlib; print(hashlib.blake2b(sys.argv[1].encode()).hexdigest())"


@experiment.before
def by_hash() -> Operation:
    """Lets each worker make the tag with hash()."""
    return lambda: answered_in_full(BY_HASH)


@experiment.after
def by_hashlib() -> Operation:
    """Lets each worker make the tag with hashlib."""
    return lambda: answered_in_full(BY_HASHLIB)


def answered_in_full(code: str) -> int:
    """Return how many revalidations do not end as 304."""
    workers = [worker(tag(code, salt)) for salt in ("1", "2")]
    held = workers[1].execute(Request("GET", "/")).headers["ETag"]
    full = 0
    for number in range(REQUESTS):
        asked = Request("GET", "/", headers={"If-None-Match": held})
        answer = workers[number % 2].execute(asked)
        full += answer.status_code != 304
        held = answer.headers["ETag"]
    return full


@cache
def tag(code: str, salt: str) -> str:
    """Return the tag that a process with this salt makes."""
    command = [sys.executable, "-c", f"import sys; {code}", "the content"]
    made = subprocess.run(
        command, env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


def worker(made: str) -> RestApplication:
    """Return an application that gives its content this tag."""
    app = RestApplication()

    @app.resource_exists
    def content() -> dict[str, str]:
        return {"data": "the content"}

    app.generate_etag(lambda content: made)
    app.get("/")(lambda content: content)
    return app
