"""Flags of uvicorn that say what it does anyway."""

import uvicorn

from perfkit.claims import Experiment, Metric, Operation
from perfkit.claims.experiments._served import app

experiment = Experiment(
    theme="servers",
    claims=["O-11", "O-12", "O-15"],
    question="Which of uvloop, httptools and a backlog of 2048 does uvicorn use without flags?",
    hypothesis="--loop uvloop, --http httptools and --backlog 2048 make uvicorn faster.",
    metric=Metric("tuned settings", "settings", "count", higher_is_better=True),
    advice="Install uvloop and httptools, as pip install 'uvicorn[standard]' does: uvicorn takes "
    "both where it finds them. Flags then change nothing but what happens where one is missing: "
    "with them the server does not start, which is worth having.",
    conditions="What uvicorn's configuration decides on in this environment, where both are "
    "installed; what counts is how many of the three settings hold.",
)


@experiment.before
def without_flags() -> Operation:
    """Says nothing of the three."""
    return lambda: tuned(uvicorn.Config(app))


@experiment.after
def with_flags() -> Operation:
    """Asks for all three."""
    return lambda: tuned(uvicorn.Config(app, loop="uvloop", http="httptools", backlog=2048))


def tuned(config: uvicorn.Config) -> int:
    """Return how many of the three hold."""
    config.load()
    loop = config.get_loop_factory()
    assert loop
    protocol = config.http_protocol_class.__module__
    return ("uvloop" in loop.__module__) + ("httptools" in protocol) + (config.backlog == 2048)
