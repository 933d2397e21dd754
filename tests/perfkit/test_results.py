import pytest

from perfkit.results import OPEN_SECONDS, TOTAL, Results
from perfkit.samples import End, Gauges, RouteCounts, Second


def second(at: int, source: str = "a", **latencies_ms: float) -> Second:
    routes = {}
    for route, latency in latencies_ms.items():
        routes[route] = RouteCounts()
        routes[route].record(latency / 1000, None)
    return Second(source, at, Gauges(users=1, cpu=0.5), routes)


def test_totals_add_up_over_seconds_and_sources() -> None:
    results = Results()

    results.add(second(0, "a", x=1))
    results.add(second(0, "b", x=3, y=2))
    results.add(second(1, "a", x=2))

    assert results.routes["x"].requests == 3
    assert results.total.requests == 4
    assert sorted(results.generators) == ["a", "b"]


def test_a_second_of_the_timeline_merges_what_all_sources_say_of_it() -> None:
    results = Results()
    results.add(second(0, "a", x=1))
    results.add(second(1, "a", x=1))
    results.add(second(0, "b", x=9))

    results.finish()

    first = results.timeline[0]
    assert (first.at, first.route, first.requests) == (0, TOTAL, 2)
    assert first.latency is not None
    assert first.latency.max_ms == pytest.approx(9, rel=0.001)
    assert [(row.at, row.route) for row in results.timeline] == [
        (0, TOTAL), (0, "x"), (1, TOTAL), (1, "x"),
    ]  # fmt: skip


def test_seconds_long_past_keep_their_digest_only() -> None:
    results = Results()

    for at in range(100):
        results.add(second(at, x=1))

    assert len(results._open) == OPEN_SECONDS + 1
    assert len(results.timeline) == 2 * (100 - OPEN_SECONDS - 1)


def test_a_report_that_comes_very_late_still_counts_in_the_totals() -> None:
    results = Results()
    for at in range(OPEN_SECONDS + 5):
        results.add(second(at, x=1))

    results.add(second(0, "b", x=1))
    results.finish()

    assert results.routes["x"].requests == OPEN_SECONDS + 6
    assert [row.requests for row in results.timeline if row.at == 0] == [1, 1]


def test_the_end_tells_the_exact_length_of_the_run() -> None:
    results = Results()
    results.add(second(0, x=1))
    results.add(second(1, x=1))

    assert (results.elapsed_s, results.ended) == (2.0, False)

    results.add(End(1.25))

    assert (results.elapsed_s, results.ended) == (1.25, True)


def test_progress_shows_a_second_once_every_source_has_told_of_it() -> None:
    results = Results()
    assert results.latest() is None
    results.add(second(0, "a", x=1))
    results.add(second(0, "b", x=1))
    results.add(second(1, "a", x=1))

    latest = results.latest()

    assert latest is not None
    assert (latest.at, latest.requests) == (0, 2)
