import pytest

from perfkit.budgets import Budget, Finding
from perfkit.results import Results
from perfkit.samples import End, Gauges, RouteCounts, Second
from perfkit.usage import Usage
from perfkit.verdict import Circumstances, conclude

MET = Finding(Budget("total", "rate", 1), 2.0, "met")
BROKEN = Finding(Budget("GET /", "p95_ms", 50), 60.0, "broken")
IDLE = Gauges(users=1, cpu=0.3, waiting=0.1)


def measured(*seconds: Gauges, requests: int = 10) -> Results:
    results = Results()
    for at, gauges in enumerate(seconds):
        counts = RouteCounts()
        for _ in range(requests):
            counts.record(0.01, None)
        results.add(Second("the load generator", at, gauges, {"GET /": counts}))
    results.add(End(float(len(seconds))))
    return results


def test_a_run_with_all_budgets_met_is_within_budget() -> None:
    verdict = conclude(measured(IDLE), [MET, MET], Circumstances())

    assert (verdict.status, verdict.text) == (0, "within budget: 2 of 2 budgets met")


def test_budgets_that_were_not_exercised_are_stated_and_not_broken() -> None:
    unseen = Finding(Budget("GET /x", "p95_ms", 50), None, "not exercised")

    verdict = conclude(measured(IDLE), [MET, unseen], Circumstances())

    assert verdict.text == "within budget: 1 of 2 budgets met, 1 not exercised"


def test_a_run_without_budgets_says_so() -> None:
    assert conclude(measured(IDLE), [], Circumstances()).text == (
        "within budget: no budget was given"
    )


def test_a_broken_budget_is_status_3_and_named() -> None:
    verdict = conclude(measured(IDLE), [MET, BROKEN], Circumstances())

    assert verdict.status == 3
    assert verdict.text == "budget broken: GET / p95 60 ms, budget at most 50 ms"


def test_what_stopped_a_run_comes_before_its_budgets() -> None:
    verdict = conclude(measured(IDLE), [BROKEN], Circumstances(stopped="the server died after 3 s"))

    assert (verdict.status, verdict.text) == (2, "void: the server died after 3 s")


def test_a_run_without_requests_is_void() -> None:
    verdict = conclude(measured(IDLE, requests=0), [MET], Circumstances())

    assert (verdict.status, verdict.text) == (2, "void: not one request came to an end")


@pytest.mark.parametrize(
    ("busy", "shares"),
    [
        (Gauges(cpu=0.95), "computed for 95 % of a core and waited for one, which others used, "
         "for 0 %"),
        (Gauges(cpu=0.2, waiting=0.75), "computed for 20 % of a core and waited for one, which "
         "others used, for 75 %"),
    ],
    ids=["computing", "kept off its core"],
)  # fmt: skip
def test_a_generator_without_time_left_makes_the_run_void(busy: Gauges, shares: str) -> None:
    verdict = conclude(measured(IDLE, busy, busy, IDLE), [BROKEN], Circumstances())

    assert verdict.status == 2
    assert verdict.text.startswith(
        f"void: client saturated: the load generator had no time left in 2 of 4 s: it {shares}"
    )


def test_a_generator_that_was_busy_for_a_moment_does_not_void_the_run() -> None:
    busy = Gauges(cpu=1.0)

    assert conclude(measured(busy, IDLE, IDLE), [MET], Circumstances()).status == 0
    assert conclude(measured(busy, busy, *[IDLE] * 8), [MET], Circumstances()).status == 0


def test_seconds_after_the_users_stopped_say_nothing_of_the_generator() -> None:
    results = measured(IDLE, Gauges(cpu=1.0), Gauges(cpu=1.0))
    results.add(End(1.2))

    assert conclude(results, [MET], Circumstances()).status == 0


LATE = Gauges(cpu=0.3, lag_s=1.5)


def test_a_schedule_that_could_not_be_kept_makes_the_run_void() -> None:
    verdict = conclude(measured(LATE, LATE), [BROKEN], Circumstances(rate=500, users=20))

    assert verdict.status == 2
    assert verdict.text.startswith(
        "void: client saturated: requests started up to 1.5 s late with all 20 users waiting"
    )
    assert "10/s instead of 500/s" in verdict.text


def test_a_schedule_that_a_saturated_server_broke_is_a_broken_budget() -> None:
    run = Circumstances(rate=500, users=20, server=[Usage(cpu=0.97)] * 2)

    verdict = conclude(measured(LATE, LATE), [BROKEN], run)

    assert verdict.status == 3
    assert verdict.text.startswith(
        "budget broken: the server was saturated and served 10/s of 500/s demanded; GET / p95"
    )


def test_a_server_with_several_cores_is_saturated_when_all_of_them_are() -> None:
    run = Circumstances(rate=500, server=[Usage(cpu=0.97)] * 2, server_cores=2)

    assert conclude(measured(LATE, LATE), [], run).status == 2


def test_lateness_does_not_concern_a_closed_loop() -> None:
    assert conclude(measured(LATE, LATE), [MET], Circumstances()).status == 0
