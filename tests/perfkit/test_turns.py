from collections.abc import Iterator
from itertools import count
from random import Random

import pytest

from perfkit.turns import Generation, Round, collect, ratio, take_turns, typical


def rounds(*seconds: float) -> list[Round]:
    return [Round(each, False, each) for each in seconds]


def steady(value: float, generations: int = 8) -> list[Generation]:
    """Generations in which `peer` takes *value* times as long as `floor`, more or less."""
    return [
        {
            "floor": rounds(1.0 + number, 2.0 + number),
            "peer": rounds(value * (1.0 + number), value * (2.0 + number) * (1 + number / 1000)),
        }
        for number in range(generations)
    ]


def test_peers_take_turns_in_an_order_and_then_in_its_reverse() -> None:
    asked: list[str] = []

    def measure(peer: str, row: str) -> Round:
        asked.append(peer)
        return Round(1.0, False, 1.0)

    take_turns(["row"], ["a", "b", "c"], 1, Random(1), measure)

    assert sorted(asked[:3]) == ["a", "b", "c"]
    assert asked[3:] == asked[2::-1]


def test_rounds_are_kept_by_row_and_peer() -> None:
    numbers = count()

    taken = take_turns(
        ["one", "two"], ["a", "b"], 2, Random(1), lambda *_: Round(next(numbers), False, 0.0)
    )

    assert {row: sorted(generation) for row, generation in taken.items()} == {
        "one": ["a", "b"],
        "two": ["a", "b"],
    }
    assert sorted(each.seconds for rows in taken.values() for r in rows.values() for each in r) == [
        float(number) for number in range(16)
    ]


def test_generations_go_on_as_long_as_another_one_fits() -> None:
    clock = ticking(step=4.0)
    told: list[str] = []

    samples = collect(
        lambda number: {"row": {"a": rounds(number)}}, 30.0, told.append, lambda: next(clock)
    )

    assert [generation["a"][0].seconds for generation in samples["row"]] == [1, 2, 3]
    assert told == ["1 generation", "2 generations", "3 generations"]


def test_there_is_one_generation_however_short_the_time() -> None:
    clock = ticking(step=4.0)

    samples = collect(
        lambda number: {"row": {"a": rounds(1)}}, 0.001, lambda _: None, lambda: next(clock)
    )

    assert len(samples["row"]) == 1


def ticking(step: float) -> Iterator[float]:
    return count(0.0, step)  # type: ignore[return-value]  # typeshed knows no float steps here


def test_a_ratio_lies_in_its_interval_and_has_a_spread() -> None:
    found = ratio(steady(2.0), "peer", "floor")

    assert found.value == pytest.approx(2.0, rel=0.01)
    assert found.interval is not None
    assert found.interval[0] <= found.value <= found.interval[1]
    assert found.spread is not None
    assert 0 < found.spread < 0.01
    assert found.generations == 8


def test_a_ratio_turns_round_with_its_peers() -> None:
    there = ratio(steady(2.0), "peer", "floor").value
    back = ratio(steady(2.0), "floor", "peer").value

    assert there * back == pytest.approx(1.0)


def test_too_few_generations_have_no_interval() -> None:
    assert ratio(steady(2.0, generations=5), "peer", "floor").interval is None
    assert ratio(steady(2.0, generations=1), "peer", "floor").spread is None


def test_typical_leaves_disturbed_rounds_out() -> None:
    generations = [{"a": [*rounds(1.0, 2.0, 3.0), Round(100.0, True, 100.0)]}]

    assert typical(generations, "a").seconds == 2.0


def test_typical_takes_disturbed_rounds_where_there_are_hardly_others() -> None:
    generations = [{"a": [Round(1.0, False, 1.0), *[Round(3.0, True, 3.0)] * 5]}]

    assert typical(generations, "a").seconds == 3.0
