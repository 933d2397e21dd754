import pytest

from perfkit import curves, peer
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


def startups(**seconds: float) -> curves.Points:
    return {point.removeprefix("at"): {"startup": each} for point, each in seconds.items()}


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (startups(), 0.0),
        (startups(at0=3.0), 0.0),
        (startups(at10=0.5), 5.0),
        (startups(at1=0.4, at10=0.5), 5.0),
        (startups(at1=0.01, at10=1.0), 100.0),
    ],
)
def test_a_start_is_expected_to_grow_as_it_did_or_as_its_points(
    taken: curves.Points, expected: float
) -> None:
    assert curves.expected_startup(taken, 100) == pytest.approx(expected)


def test_a_peer_leaves_when_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "ANSWER_SECONDS", 0.001)

    assert curves.points(toys(), "raw", CURVE) == {}


def test_a_peer_leaves_before_it_would_start_for_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curves, "MOST_STARTUP_SECONDS", 0.0)

    assert list(curves.points(toys(), "raw", CURVE)) == ["1"]
