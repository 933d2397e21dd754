import os

import pytest

from perfkit.contest import WrongAnswerError, contenders, run
from perfkit.interleave import pick_core
from perfkit.peer import PeerError
from perfkit.turns import ratio
from tests.perfkit.toy_contests import rows, toys


def quiet(_: str) -> None:
    """Take what progress tells."""


def test_every_peer_is_timed_in_every_row() -> None:
    samples = run(toys("null", "slow", only="small same together wide"), 0.1, quiet)

    assert sorted(samples) == ["same", "small", "together", "wide"]
    assert {peer for generations in samples.values() for peer in generations[0]} == {
        "raw",
        "null",
        "slow",
    }


def test_more_work_takes_longer_and_none_takes_least() -> None:
    samples = run(toys("null", "slow"), 0.1, quiet)["small"]

    assert ratio(samples, "slow", "raw").value > 3
    assert ratio(samples, "null", "raw").value < 1


def test_a_wrong_answer_is_an_error_and_no_figure() -> None:
    with pytest.raises(WrongAnswerError) as caught:
        run(toys("wrong"), 0.1, quiet)

    assert str(caught.value) == (
        'wrong answers the row "small JSON" with body b\'{"routes": 2}\' instead of '
        "'{\"routes\": 1}'"
    )


def test_a_peer_that_cannot_be_made_is_named() -> None:
    with pytest.raises(PeerError, match=r"cannot time broken: .*no application today"):
        run(toys("broken"), 0.1, quiet)


def test_all_peers_run_on_one_core() -> None:
    core = pick_core()

    with contenders(toys("slow"), rows("small"), core, 1) as workers:
        cores = [os.sched_getaffinity(worker.pid) for worker in workers.values()]

    assert cores == [{core}, {core}]
