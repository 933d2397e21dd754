"""What the page promises of timers and of the memory monitor."""

import pytest
from servings import Served


@pytest.mark.block("Request Timing")
def test_time_of_a_request_is_in_its_answer(served: Served) -> None:
    answer = served.ask("GET /api/data")

    assert answer.status == 200
    assert answer.json() == {"message": "Hello"}
    assert 0.1 <= float(answer.headers["X-Response-Time"]) < 1.0
    assert served.notes == []


@pytest.mark.block("Request Timing")
def test_slow_request_is_logged_with_its_method_and_path(served: Served) -> None:
    answer = served.ask("GET /slow")

    (note,) = served.notes
    assert note.startswith("WARNING: Slow request: GET /slow took 2.")
    assert float(answer.headers["X-Response-Time"]) >= 2.0


@pytest.mark.block("Request Timing")
def test_request_that_fails_is_a_plain_500(served: Served) -> None:
    failed = served.ask("GET /broken")
    after = served.ask("GET /quick")

    assert failed.status == 500
    assert "X-Response-Time" not in failed.headers
    assert "X-Response-Time" in after.headers


@pytest.mark.block("5. Monitor Performance")
def test_only_slow_requests_are_logged(served: Served) -> None:
    quick = served.ask("GET /quick")
    before = served.notes
    slow = served.ask("GET /slow")

    assert (quick.status, slow.status) == (200, 200)
    assert before == []
    (note,) = served.notes
    assert note.startswith("WARNING: Slow: /slow 2.")


@pytest.mark.block("Memory Profiling")
def test_largest_allocations_of_a_request_are_logged(served: Served) -> None:
    answer = served.ask("GET /api/data")

    assert answer.json() == [str(number) for number in range(10_000)]
    assert [note.split(": ", 2)[:2] for note in served.notes] == [["DEBUG", "Memory"]] * 3
    assert all("size=" in note for note in served.notes)
