"""The time of a whole run is held, whatever its experiments would like to take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from perfkit.claims import running
from perfkit.claims.judging import LOOKS, Answer, judge
from perfkit.claims.library import Found, load
from perfkit.claims.parts import Session
from perfkit.claims.running import Results, blank, run
from perfkit.claims.schedule import LIKELY_SHARE, Allowance, allowance, expected, time_left


@pytest.fixture
def timed(folder: Path) -> Found:
    """An experiment that is timed, for a minute."""
    (folder / "timed.py").write_text(
        (folder / "sums.py")
        .read_text()
        .replace("CALLS", "LATENCY")
        .replace("metric", "budget_s=60, metric")
    )
    return load(folder / "timed.py")


class Time:
    """A clock, on which each generation takes so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now = 0.0

        def generation(runner: Any, number: int, points: Sequence[Results]) -> None:
            del number
            self.now += seconds
            for point in points:
                rounds = {name: [1.0, 1.0] for name in (*runner.experiment.variants, "control")}
                point["generations"].append({"rounds": rounds, "disturbed": [False, False]})

        monkeypatch.setattr(running._Runner, "generation", generation)

    def run_all(self, todo: Sequence[Found], seconds: float) -> list[Results]:
        """Run all of *todo* as a whole run of so many seconds does."""
        every = []
        with Session() as session:
            for number, one in enumerate(todo):
                results = blank(one, 1)
                allowed = allowance(todo[number:], seconds - self.now)
                run(one, session, results, lambda line: None, lambda: self.now, allowed)
                every.append(results)
        return every


def never(*_: Any) -> bool:
    return False


def test_what_is_counted_is_expected_to_end_soon(sums: Found, timed: Found) -> None:
    assert [expected(sums), expected(timed)] == [3, 60]


def test_the_time_left_follows_what_was_expected(sums: Found, timed: Found) -> None:
    assert time_left([sums, timed], 0.0, []) == "63 s"
    assert time_left([timed], 9.0, [sums]) == "3 min"


def test_an_experiment_has_its_budget_and_three_of_them_until_it_can_tell(timed: Found) -> None:
    assert allowance([timed, timed], 1000.0) == Allowance(60, 180)


def test_less_time_than_all_are_likely_to_take_is_shared_out(timed: Found) -> None:
    likely = 60 + 9 * LIKELY_SHARE * 60

    allowed = allowance([timed] * 10, likely / 2)

    assert allowed.enough == pytest.approx(30)
    assert allowed.most == 180


@pytest.mark.parametrize("left", [0.0, -3.0])
def test_there_is_no_time_after_the_end(timed: Found, left: float) -> None:
    assert allowance([timed], left) == Allowance(0, 0)


@pytest.mark.parametrize(
    ("elapsed", "longest", "telling", "ends"),
    [
        (0.0, 0.0, False, False),
        (50.0, 10.0, False, False),
        (50.0, 10.1, False, True),
        (20.0, 1.0, True, False),
        (20.1, 1.0, True, True),
        (20.1, 1.0, False, False),
    ],
)
def test_no_generation_begins_without_time_for_it(
    elapsed: float, longest: float, telling: bool, ends: bool
) -> None:
    assert Allowance(20, 60).ends(elapsed, longest, telling) is ends


@pytest.mark.parametrize("generation_s", [2.0, 3.0, 7.0])
def test_a_whole_run_of_experiments_that_never_settle_is_held(
    timed: Found, monkeypatch: pytest.MonkeyPatch, generation_s: float
) -> None:
    monkeypatch.setattr(running, "settled", never)
    time = Time(monkeypatch, generation_s)

    time.run_all([timed] * 20, 600.0)

    # How long a generation takes is known after one of them.
    assert 600 - generation_s <= time.now <= 600 + generation_s


def test_what_the_end_comes_before_is_told_and_left_for_another_run(
    timed: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "settled", never)
    time = Time(monkeypatch, 10.0)

    *_, last = time.run_all([timed] * 4, 130.0)

    assert judge(last).answer is Answer.NOT_RUN
    assert "--minutes" in judge(last).reason
    assert not last["complete"]


def test_generations_enough_for_a_verdict_come_before_the_share(
    timed: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "settled", never)
    time = Time(monkeypatch, 10.0)

    [first, *_] = time.run_all([timed] * 10, 200.0)

    assert len(first["points"][0]["generations"]) == LOOKS[0]
