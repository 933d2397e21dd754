"""The form of an experiment refuses what could not be run, in one line."""

from collections.abc import Callable
from typing import Any

import pytest

from perfkit.claims import CALLS, LATENCY, PEAK_MEMORY, Experiment, Metric
from perfkit.claims.experiment import ExperimentError


def form(metric: Metric = LATENCY, **changes: Any) -> Experiment:
    experiment = Experiment(question="?", hypothesis="!", metric=metric, **changes)
    experiment.before(one)
    experiment.after(other)
    return experiment


def one(postgres: str) -> Callable[[], None]:
    return lambda: None


def other(postgres: str, redis: str) -> Callable[[], None]:
    return lambda: None


def test_the_points_are_all_combinations_of_what_varies() -> None:
    experiment = form(varies={"rows": [1, 2], "level": ["a", "b"]}, because="of that")

    assert experiment.points() == [
        {"rows": 1, "level": "a"}, {"rows": 1, "level": "b"},
        {"rows": 2, "level": "a"}, {"rows": 2, "level": "b"},
    ]  # fmt: skip


def test_nothing_that_varies_makes_one_point() -> None:
    assert form().points() == [{}]


@pytest.mark.parametrize("metric", [CALLS, PEAK_MEMORY])
def test_what_is_counted_is_timeless_unless_it_counts_by_time(metric: Metric) -> None:
    assert form(metric).timeless
    assert not form(metric, alone=True).timeless
    assert not form(LATENCY).timeless


def test_parts_are_what_parameters_name_beside_what_varies() -> None:
    experiment = form(needs=["nginx"], varies={"rows": [1]}, because="of that")

    assert experiment.parts() == ["nginx", "postgres", "redis"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"promised": 0.5}, "promised is how many times better"),
        ({"promises": {"O-01": 2}}, "promises is for the ids in claims"),
        ({"matters": 0}, "shares above 0"),
        ({"budget_s": 0}, "budget_s"),
        ({"varies": {"rows": []}, "because": "x"}, "without values"),
        ({"varies": {"rows": [1]}}, "because="),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ExperimentError, match=says):
        form(**changes).check()


def test_one_variant_alone_is_no_experiment() -> None:
    experiment = Experiment(question="?", hypothesis="!", metric=LATENCY)
    experiment.before(one)

    with pytest.raises(ExperimentError, match=r"@experiment\.after"):
        experiment.check()


def test_variants_come_in_their_order() -> None:
    experiment = Experiment(question="?", hypothesis="!", metric=LATENCY)

    with pytest.raises(ExperimentError, match="comes once"):
        experiment.after(one)
    with pytest.raises(ExperimentError, match="after the two"):
        experiment.beside(one)


def test_before_is_declared_once() -> None:
    experiment = form()

    with pytest.raises(ExperimentError, match="first, and once"):
        experiment.before(one)


def test_two_variants_cannot_share_a_name() -> None:
    experiment = form()

    with pytest.raises(ExperimentError, match="one: another name"):
        experiment.beside(one)
