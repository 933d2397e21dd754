import csv
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfkit.budgets import Budget, judge
from perfkit.report import Report, as_html, as_json, number, route_rows, table, write
from perfkit.results import Results
from perfkit.samples import End, Gauges, RouteCounts, Second
from perfkit.scrape import Durations, ServerSecond
from perfkit.verdict import Circumstances, conclude


def results() -> Results:
    """Ten requests to /a, one of them answered 500, and one to /b that got no answer."""
    found = Results()
    for at in range(2):
        a, b = RouteCounts(), RouteCounts()
        for _ in range(5):
            a.record(0.010, None)
        found.add(Second("the load generator", at, Gauges(4, 0.25), {"GET /a": a}))
    a.record(0.040, "status 500")
    b.record(None, "<refused> & gone")
    found.add(Second("load worker 1", 1, Gauges(4, 0.25), {"GET /a": a, "GET /b": b}))
    found.add(End(2.0))
    found.finish()
    return found


OBSERVED = {
    "GET /a": Durations(16, {0.01: 8, 0.05: 16, float("inf"): 16}),
    "GET /metrics": Durations(3, {0.01: 3, 0.05: 3, float("inf"): 3}),
}


def report(observed: dict[str, Durations] | None = None) -> Report:
    found = results()
    rows = route_rows(found, observed)
    measured = {row.route: row.figures() for row in rows}
    findings = judge([Budget("GET /a", "p95_ms", 5)], measured, partial=False)
    return Report(
        started_at=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
        command="python -m perfkit loadtest --users 4",
        rows=rows,
        results=found,
        findings=findings,
        verdict=conclude(found, findings, Circumstances()),
        open_loop=False,
        server_seconds=[(at, ServerSecond(at, 5, 9.0)) for at in (0.0, 1.0, 2.0)],
        facts={"machine": "a <small> one"},
    )


def test_a_row_has_the_figures_of_client_and_server() -> None:
    row = route_rows(results(), OBSERVED)[0]

    assert (row.route, row.requests, row.failures, row.unanswered) == ("GET /a", 16, 1, 0)
    assert row.rate_per_second == 8.0
    assert row.latency is not None
    assert row.latency.p50_ms == pytest.approx(10, rel=0.001)
    assert row.server is not None
    assert row.server.p50_ms == pytest.approx(10)
    assert row.server.counts_agree


def test_a_request_without_answer_may_have_reached_the_server_or_not() -> None:
    def agree(count: int) -> bool:
        observed = {"GET /b": Durations(count, {float("inf"): count})}
        server = route_rows(results(), observed)[1].server
        assert server is not None
        return server.counts_agree

    assert (agree(1), agree(2)) == (True, False)


def test_the_total_leaves_out_what_only_the_server_saw() -> None:
    total = route_rows(results(), OBSERVED)[-1]

    assert (total.route, total.requests) == ("total", 17)
    assert total.server is not None
    assert total.server.requests == 16


def test_the_table_is_aligned_and_a_missing_figure_is_a_dash() -> None:
    lines = table(route_rows(results(), OBSERVED)).splitlines()

    bars = {line.index("|") for line in lines}
    unanswered = lines[2].split()
    assert len({len(line) for line in lines}) == 1
    assert len(bars) == 1
    assert unanswered == ["GET", "/b", "1", "0.5", "1", *"-----", "|", *"-----"]
    assert lines[1].endswith("agree")


def test_counts_that_differ_are_shown_as_a_difference() -> None:
    observed = {"GET /a": Durations(19, {float("inf"): 19})}

    assert table(route_rows(results(), observed)).splitlines()[1].endswith("+3")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.5, "0.50"), (9.876, "9.88"), (98.76, "98.8"), (987.6, "988")],
)
def test_numbers_have_about_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_json_tells_verdict_rows_budgets_and_errors_with_units_in_names() -> None:
    data = json.loads(json.dumps(as_json(report(OBSERVED))))

    assert data["verdict"]["exit_status"] == 3
    assert data["verdict"]["kind"] == "budget broken"
    assert [route["route"] for route in data["routes"]] == ["GET /a", "GET /b"]
    assert data["total"]["requests"] == 17
    assert data["routes"][1]["p95_ms"] is None
    assert data["budgets"][0]["outcome"] == "broken"
    assert {"route": "GET /a", "error": "status 500", "count": 1} in data["errors"]
    first = data["timeline"][0]
    assert (first["at_s"], first["route"], first["requests"]) == (0, "total", 5)
    assert first["p99_ms"] == pytest.approx(10, rel=0.01)


def test_files_are_written_and_agree_with_each_other(tmp_path: Path) -> None:
    write(report(OBSERVED), tmp_path)

    data = json.loads((tmp_path / "report.json").read_text())
    with (tmp_path / "requests.csv").open(newline="") as file:
        requests = list(csv.DictReader(file))
    with (tmp_path / "timeline.csv").open(newline="") as file:
        timeline = list(csv.DictReader(file))

    assert [row["route"] for row in requests] == ["GET /a", "GET /b", "total"]
    assert requests[0]["server_requests"] == "16"
    assert requests[1]["server_requests"] == requests[1]["p50_ms"] == ""
    assert len(timeline) == len(data["timeline"])
    assert sum(int(row["requests"]) for row in timeline if row["route"] == "total") == 17
    assert (tmp_path / "index.html").read_text().startswith("<!doctype html>")


class Page(HTMLParser):
    """Collects what a browser would load, and the tags left open."""

    void = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [
            value or "" for name, value in attrs
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith("#")
        ]  # fmt: skip
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    text = as_html(report(OBSERVED))

    page = Page(text)

    assert page.loaded == []
    assert page.open == []
    assert "url(http" not in text
    assert "@import" not in text


def test_the_page_shows_verdict_table_plots_and_environment() -> None:
    text = as_html(report(OBSERVED))

    assert "budget broken" in text
    assert "GET /a p95 10" in text
    assert text.count("<svg") == 3
    assert "python -m perfkit loadtest --users 4" in text
    assert "a &lt;small&gt; one" in text
    assert "&lt;refused&gt; &amp; gone" in text


def test_plots_take_their_colours_from_the_page_in_light_and_dark() -> None:
    text = as_html(report(OBSERVED))

    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))

    assert "prefers-color-scheme: dark" in text
    assert "var(--blue)" in drawings
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) <= {"#ffffff"}


def test_a_run_without_any_answer_still_has_its_page() -> None:
    silent = report()
    silent.results = Results()
    silent.rows = route_rows(silent.results, None)

    text = as_html(silent)

    assert Page(text).open == []
    assert "no /metrics was readable" in text
