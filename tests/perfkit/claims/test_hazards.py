"""Every red box states a damage that is there: where it disappears, these fail.

Damage that is counted needs one process of each variant; damage that is timed is told by an
order of magnitude, which no noise hides.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from perfkit.claims.library import OURS, Found, find
from perfkit.claims.parts import Session
from perfkit.claims.running import started_peer

ALL = find(OURS)
LACKING = {
    found.name: Session().missing(found.experiment.parts()) for found in ALL if found.experiment
}
# What lacks a part of the operating system says so, and is no failure.
FOUND = [found for found in ALL if not LACKING.get(found.name)]
COUNTED = [
    found
    for found in FOUND
    if found.experiment and found.experiment.hazard and found.experiment.metric.counted
]
# How many times as bad the dangerous way is at least, at the last of its points.
TIMED = {
    "background_computing": 2,
    "celery_delay": 2,
    "commit_on_read": 1.5,
    "counted_pages": 5,
    "full_queue": 2,
    "indexed_insert": 1.2,
    "keys_or_scan": 1,
    "offset_chunks": 1.5,
    "offset_or_keyset": 5,
    "optional_filter": 3,
    "snapshot_per_request": 20,
    "sync_redis_on_loop": 2,
}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


def measured(found: Found, session: Session, rounds: int, at: int = -1) -> tuple[float, float]:
    """Return the least of some rounds of *before* and of *after*, at one of the points."""
    experiment = found.experiment
    assert experiment
    names = [*experiment.variants][:2]
    point = experiment.points()[at]
    settings = session.settings(experiment.parts())
    with started_peer(found, "test", settings, "seed", None) as peer:
        peer.answer()
        if experiment.preparation:
            peer.ask({"prepare": True})
        values: dict[str, list[Any]] = {}
        for name in names:
            peer.ask({"open": name, "point": point})
            calls = peer.ask({"calibrate": name})["calls"]
            values[name] = [peer.ask({"round": name, "calls": calls})[0] for _ in range(rounds)]
            peer.ask({"close": name})
    before, after = (min(values[name]) for name in names)
    return before, after


@pytest.mark.parametrize("found", COUNTED, ids=lambda found: found.name)
def test_counted_damage_is_there_and_the_safe_way_has_none(found: Found, session: Session) -> None:
    advised, safe = measured(found, session, rounds=1)

    assert advised > 0
    assert safe == 0


@pytest.mark.parametrize(
    "found", [found for found in FOUND if found.name in TIMED], ids=lambda found: found.name
)
def test_timed_damage_is_there(found: Found, session: Session) -> None:
    advised, safe = measured(found, session, rounds=5)

    assert advised > TIMED[found.name] * safe


def test_every_hazard_is_counted_or_timed_here() -> None:
    hazards = {found.name for found in FOUND if found.experiment and found.experiment.hazard}

    assert hazards == {found.name for found in COUNTED} | set(TIMED)


@pytest.mark.parametrize(
    "found",
    [found for found in FOUND if found.experiment and not found.experiment.hazard],
    ids=lambda found: found.name,
)
def test_both_variants_of_every_other_experiment_run(found: Found, session: Session) -> None:
    before, after = measured(found, session, rounds=1, at=0)

    assert before > 0
    assert after > 0


def test_only_programs_of_the_operating_system_may_be_absent() -> None:
    told = {text for text in LACKING.values() if text}

    assert told <= {"needs nginx, install with apt-get install nginx"}
