"""Speeding up what was guessed to be slow, or what a profile of the request names."""

import cProfile
import json
import pstats
from collections.abc import Callable
from typing import Any

import orjson

from perfkit.claims import LATENCY, Experiment, Operation

ROWS = 200

experiment = Experiment(
    theme="load testing",
    claims=["O-66", "O-119"],
    question="How much faster is a request when a profile chooses what is made faster?",
    hypothesis="Profile before optimising, and do less work instead of the same work faster.",
    metric=LATENCY,
    promised=2,
    advice="Let a profile of the whole request name the part, make that part smaller, and measure "
    "again. A part that takes a tenth of the time gives back a tenth at most, however fast it "
    "becomes.",
    conditions=f"A request that finds, sorts and renders {ROWS} rows, in process. The profile is "
    "taken as each variant is set up, and decides; the guess is that rendering JSON is slow.",
    precision=0.15,
    budget_s=15,
)

Rows = list[dict[str, object]]
Part = Callable[..., Any]
orders = [{"id": number, "customer": number * 7919 % ROWS} for number in range(ROWS)]
customers = [{"id": number, "name": f"customer {number}"} for number in range(ROWS)]


def joined() -> Rows:
    """Find the customer of each order by looking at all of them."""
    return [
        {**order, "name": next(one["name"] for one in customers if one["id"] == order["customer"])}
        for order in orders
    ]


def joined_by_key() -> Rows:
    """Find the customer of each order by its key."""
    names = {customer["id"]: customer["name"] for customer in customers}
    return [{**order, "name": names[order["customer"]]} for order in orders]


def ordered(rows: Rows) -> Rows:
    """Sort the rows by name."""
    return sorted(rows, key=lambda row: str(row["name"]))


def rendered(rows: Rows) -> bytes:
    """Render the rows as JSON."""
    return json.dumps(rows).encode()


FASTER: dict[str, Part] = {"joined": joined_by_key, "rendered": orjson.dumps}


@experiment.before
def as_written() -> Operation:
    """Changes nothing."""
    return request_with()


@experiment.after
def what_the_profile_names() -> Operation:
    """Makes that part faster which takes the most time."""
    profile = cProfile.Profile()
    profile.runcall(request_with())
    spent = pstats.Stats(profile).get_stats_profile().func_profiles
    named = max(FASTER, key=lambda part: spent[part].cumtime)
    return request_with(**{named: FASTER[named]})


@experiment.beside
def what_was_guessed() -> Operation:
    """Makes the rendering faster."""
    return request_with(rendered=FASTER["rendered"])


def request_with(joined: Part = joined, rendered: Part = rendered) -> Operation:
    """Return what answers one request with these parts."""
    return lambda: rendered(ordered(joined()))
