from pathlib import Path

import pytest

from perfkit.budgets import Budget, BudgetFileError, judge, read_budgets

ROUTE = "GET /users/{user_id}"


def written(folder: Path, text: str) -> Path:
    path = folder / "budgets.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(BudgetFileError) as refused:
        read_budgets(written(folder, text))
    return str(refused.value)


def test_a_file_holds_limits_of_the_total_and_of_routes(tmp_path: Path) -> None:
    path = written(
        tmp_path, f'[total]\nerror_ratio = 0.0\nrate = 100\n[routes."{ROUTE}"]\np95_ms = 50\n'
    )

    assert read_budgets(path) == [
        Budget("total", "error_ratio", 0.0),
        Budget("total", "rate", 100.0),
        Budget(ROUTE, "p95_ms", 50.0),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[total]\np95ms = 1\n", 'unknown key "p95ms" in total: did you mean "p95_ms"?'),
        (f'[routes."{ROUTE}"]\nq = 1\n', f'unknown key "q" in routes."{ROUTE}": known are p50_ms'),
        ("[route]\n", 'unknown key "route": did you mean "routes"?'),
        ('[total]\np95_ms = "50"\n', "p95_ms in total is a number from 0 on, not '50'"),
        ("[total]\np95_ms = true\n", "p95_ms in total is a number from 0 on, not True"),
        ("[total]\nrate = -1\n", "rate in total is a number from 0 on, not -1"),
        ("[total]\nrate = inf\n", "rate in total is a number from 0 on, not inf"),
        ("[total]\nrate = nan\n", "rate in total is a number from 0 on, not nan"),
        ("[total]\nerror_ratio = 5\n", "error_ratio in total is at most 1, not 5"),
        ("total = 1\n", "total is a table of budgets"),
        ("routes = 1\n", '"routes" is a table of routes'),
        ("[total\n", "is not TOML"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    message = refusal(tmp_path, text)

    assert words in message
    assert "budgets.toml" in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BudgetFileError, match="No such file"):
        read_budgets(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("key", "limit", "value", "outcome"),
    [
        ("p95_ms", 50, 50.0, "met"),
        ("p95_ms", 50, 50.1, "broken"),
        ("error_ratio", 0, 0.0, "met"),
        ("error_ratio", 0, 0.001, "broken"),
        ("rate", 100, 100.0, "met"),
        ("rate", 100, 99.9, "broken"),
    ],
)
def test_rate_is_a_lower_limit_and_all_others_are_upper_ones(
    key: str, limit: float, value: float, outcome: str
) -> None:
    findings = judge([Budget(ROUTE, key, limit)], {ROUTE: {key: value}}, partial=False)

    assert [finding.outcome for finding in findings] == [outcome]


def test_a_route_without_request_breaks_its_budget_in_a_whole_run() -> None:
    (finding,) = judge([Budget(ROUTE, "p95_ms", 50)], {}, partial=False)

    assert finding.outcome == "broken"
    assert finding.text == f"{ROUTE} saw no request, budget p95 at most 50 ms"


def test_a_route_without_request_is_not_exercised_in_a_run_of_some_scenarios() -> None:
    (finding,) = judge([Budget(ROUTE, "p95_ms", 50)], {}, partial=True)

    assert finding.outcome == "not exercised"


def test_a_route_that_never_answered_breaks_its_latency_budget() -> None:
    measured = {ROUTE: {"error_ratio": 1.0, "rate": 3.0}}

    (finding,) = judge([Budget(ROUTE, "p99_ms", 50)], measured, partial=True)

    assert finding.outcome == "broken"
    assert finding.text == f"{ROUTE} got no answer, budget p99 at most 50 ms"


def test_a_broken_budget_names_value_and_limit_with_units() -> None:
    (slow,) = judge([Budget(ROUTE, "p999_ms", 50)], {ROUTE: {"p999_ms": 61.25}}, partial=False)
    (few,) = judge([Budget("total", "rate", 100)], {"total": {"rate": 42.0}}, partial=False)

    assert slow.text == f"{ROUTE} p99.9 61.25 ms, budget at most 50 ms"
    assert few.text == "total rate 42/s, budget at least 100/s"
