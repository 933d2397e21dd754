import pytest

from perfkit import curves
from perfkit.contest import WrongAnswerError
from tests.perfkit.toy_contests import PACKAGE, toys

(CURVE,) = curves.declared(PACKAGE)


def test_each_peer_has_its_points() -> None:
    told: list[str] = []

    drawn = curves.run(toys("slow"), told.append)

    assert list(drawn["routes"]) == ["raw", "slow"]
    assert list(drawn["routes"]["raw"]) == ["1", "10"]
    assert told == ["number of routes: raw", "number of routes: slow"]


def test_a_point_tells_what_more_work_costs() -> None:
    contest = toys("slow")

    raw, slow = (curves.measured(contest, peer, CURVE, 1) for peer in ("raw", "slow"))

    assert slow["seconds"] > 3 * raw["seconds"] > 0
    assert raw["startup"] > 0
    assert raw["peak"] > 0


def test_a_wrong_answer_is_no_point() -> None:
    with pytest.raises(WrongAnswerError, match='wrong answers the row "among routes"'):
        curves.measured(toys("wrong"), "wrong", CURVE, 1)


def test_a_peer_leaves_before_it_would_start_for_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curves, "MOST_STARTUP_SECONDS", 0.0)

    assert list(curves.points(toys(), "raw", CURVE)) == ["1"]
