"""A feature of an application leaves no trace in the plan of a route that does not use it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from restmachine import RestApplication
from restmachine.hooks import KINDS
from restmachine.plan import Plan

# The benchmarks time the same applications.
BENCHED = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "features.py"))


def plan_of(app: RestApplication, path: str) -> Plan:
    plan, _ = app.dispatch("GET", path)
    return plan


def listing(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps()]


def extent(plan: Plan) -> dict[str, Any]:
    """Return what else a plan makes each request pay for."""
    return {
        "places": len(plan.blank),
        "callbacks": list(plan.checks),
        "hears": plan.hears,
        "media types": plan.media_types,
        "awaits": plan.may_await,
        "reads content": plan.reads_content,
        "looks for what follows": plan.ending is not None,
    }


# An error handler of the whole application waits for the errors of every route.
APART = [name for name in BENCHED["FEATURES"] if name != "error_handler"]


@pytest.fixture(params=[BENCHED["FEATURES"][name] for name in APART], ids=APART)
def app(request: pytest.FixtureRequest) -> RestApplication:
    """Give an application that knows a feature."""
    application: RestApplication = BENCHED["application"](request.param)
    return application


def test_plan_of_a_route_beside_a_feature_is_as_if_there_were_none(app: RestApplication) -> None:
    never = plan_of(BENCHED["application"](), BENCHED["PLAIN"])

    beside = plan_of(app, BENCHED["PLAIN"])

    assert listing(beside) == listing(never)
    assert extent(beside) == extent(never)


def test_plan_of_a_route_with_callbacks_is_longer() -> None:
    app = BENCHED["application"](BENCHED["resource_exists"])

    using, beside = plan_of(app, BENCHED["USED"]), plan_of(app, BENCHED["PLAIN"])

    assert set(listing(beside)) < set(listing(using))
    assert list(using.checks) == ["resource_exists"]


def test_error_handler_of_an_application_follows_every_plan_and_changes_no_decision() -> None:
    never = plan_of(BENCHED["application"](), BENCHED["PLAIN"])

    beside = plan_of(BENCHED["application"](BENCHED["error_handler"]), BENCHED["PLAIN"])

    assert listing(beside) == listing(never)
    assert extent(beside) == {**extent(never), "looks for what follows": True}


def test_observed_plan_lists_the_same_decisions_and_what_it_hears() -> None:
    never = plan_of(BENCHED["application"](), BENCHED["PLAIN"])

    observed = plan_of(BENCHED["listening_observer"](), BENCHED["PLAIN"])

    assert listing(observed) == listing(never)
    assert observed.hears.kinds == KINDS
    assert observed.hears.request_finished is not None
    assert observed.hears.request_started is None
