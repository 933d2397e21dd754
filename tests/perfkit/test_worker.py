from pathlib import Path

import pytest

from perfkit.worker import Capture, WrongTreeError, check_origin, described, timed_round


def test_a_captured_call_is_made_once_and_kept_with_its_arguments() -> None:
    capture = Capture()

    result = capture(divmod, 7, 2)

    assert result == (3, 1)
    assert capture.function is not None
    assert capture.function() == (3, 1)


def test_a_round_calls_as_often_as_asked_and_a_fifth_before() -> None:
    calls: list[int] = []

    nanoseconds, interrupted = timed_round(lambda: calls.append(1), 50)

    assert len(calls) in {60, 110, 160}
    assert nanoseconds > 0
    assert isinstance(interrupted, bool)


def test_modules_of_another_tree_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongTreeError, match=rf"imported from .*, not from {tmp_path}"):
        check_origin(tmp_path, ["pytest"])


def test_modules_of_other_packages_may_come_from_anywhere(tmp_path: Path) -> None:
    check_origin(tmp_path, ["absent"])


def test_an_error_is_told_with_its_place_in_one_line() -> None:
    with pytest.raises(ValueError, match="first") as caught:
        raise ValueError("first line\nsecond line")

    place = f"test_worker.py:{caught.traceback[-1].lineno + 1}"
    assert described(caught.value) == f"{place}: ValueError: first line"
