"""A client that keeps what it was told is fresh: how many requests reach the server."""

from perfkit.claims import Experiment, Metric, Operation
from restmachine import Request, RestApplication
from restmachine.decorators import cache_response

READS = 24
MAX_AGE_S = 3600

experiment = Experiment(
    theme="caches",
    claims=["O-09"],
    question="How many requests does max-age=3600 spare the server?",
    hypothesis="An answer cached for an hour spares the server the requests of that hour.",
    metric=Metric("requests", "requests", "count"),
    varies={"minutes_between_reads": [5, 20, 90]},
    because="An answer is taken from the client's cache as long as it is fresh: a client that "
    "comes back later than that asks each time, and so does every new client.",
    advice="State how long an answer may be wrong, for it will be: nobody can call it back. With "
    "an entity tag a client that comes late is answered 304 rather than everything.",
    conditions=f"One client with a cache of its own reads {READS} times; the hours are simulated, "
    "the answers are restmachine's with @cache_response, and without. A server-side cache is "
    "another thing: this header asks the clients.",
)


@experiment.before
def unmarked(minutes_between_reads: int) -> Operation:
    """States nothing, so the client asks each time."""
    app = RestApplication()
    app.get("/")(lambda: {"data": [1, 2, 3]})
    return lambda: requests_that_arrive(app, minutes_between_reads)


@experiment.after
def fresh_for_an_hour(minutes_between_reads: int) -> Operation:
    """States that the answer stays fresh for an hour."""
    app = RestApplication()
    app.get("/")(cache_response(max_age=MAX_AGE_S)(lambda: {"data": [1, 2, 3]}))
    return lambda: requests_that_arrive(app, minutes_between_reads)


def requests_that_arrive(app: RestApplication, minutes_between_reads: int) -> int:
    """Let a client with a cache read and return how often it had to ask."""
    asked, fresh_until = 0, 0
    for read in range(READS):
        now = read * minutes_between_reads * 60
        if now >= fresh_until:
            answer = app.execute(Request("GET", "/"))
            asked += 1
            fresh_until = now + max_age(answer.headers.get("Cache-Control") or "")
    return asked


def max_age(cache_control: str) -> int:
    """Return for how many seconds an answer may be kept."""
    stated = dict(part.strip().partition("=")[::2] for part in cache_control.split(","))
    return int(stated.get("max-age", 0))
