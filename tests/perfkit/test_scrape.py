import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from perfkit.scrape import Durations, Scraper, difference, fetch, merged, parse

NAME = "http_server_request_duration_seconds"


def exposition(*rows: tuple[str, str, int, int, int]) -> str:
    """Rows of method, route, status, and how many requests took up to 0.1 and 1 s."""
    lines = [f"# TYPE {NAME} histogram"]
    for method, route, status, fast, every in rows:
        labels = (
            f'http_request_method="{method}",http_route="{route}",'
            f'http_response_status_code="{status}"'
        )
        lines += [
            f'{NAME}_bucket{{{labels},le="0.1"}} {fast}',
            f'{NAME}_bucket{{{labels},le="1.0"}} {every}',
            f'{NAME}_bucket{{{labels},le="+Inf"}} {every}',
            f"{NAME}_count{{{labels}}} {every}",
            f"{NAME}_sum{{{labels}}} 1.5",
        ]
    return "\n".join(lines) + "\n"


def test_a_route_is_method_and_template_with_all_statuses_together() -> None:
    routes = parse(
        exposition(
            ("GET", "/users/{user_id}", 200, 3, 5),
            ("GET", "/users/{user_id}", 404, 1, 1),
            ("POST", "/users", 201, 0, 2),
        )
    )

    assert sorted(routes) == ["GET /users/{user_id}", "POST /users"]
    assert routes["GET /users/{user_id}"].count == 6
    assert routes["GET /users/{user_id}"].buckets == {0.1: 4, 1.0: 6, float("inf"): 6}


def test_other_metrics_are_left_alone() -> None:
    assert parse("# TYPE up gauge\nup 1\n") == {}


def test_text_that_is_no_exposition_raises_value_error() -> None:
    with pytest.raises(ValueError):
        parse("<html> {")


def test_a_difference_counts_only_what_came_in_between() -> None:
    before = parse(exposition(("GET", "/", 200, 3, 5), ("GET", "/quiet", 200, 1, 1)))
    after = parse(exposition(("GET", "/", 200, 4, 9), ("GET", "/quiet", 200, 1, 1)))

    change = difference(after, before)

    assert list(change) == ["GET /"]
    assert change["GET /"] == Durations(4, {0.1: 1, 1.0: 4, float("inf"): 4})


def test_a_counter_that_fell_was_reset_and_counts_from_zero() -> None:
    earlier = Durations(100, {float("inf"): 100})
    later = Durations(3, {float("inf"): 3})

    assert later.since(earlier) == later


@pytest.mark.parametrize(
    ("q", "expected"),
    [(0.1, 0.02), (0.5, 0.1), (0.75, 0.1 + 0.9 * 5 / 9), (0.9, 0.1 + 0.9 * 8 / 9), (0.99, 5.0)],
)
def test_a_quantile_is_linear_within_its_bucket_and_ends_at_the_last_bound(
    q: float, expected: float
) -> None:
    durations = Durations(20, {0.1: 10, 1.0: 19, 5.0: 19, float("inf"): 20})

    assert durations.quantile(q) == pytest.approx(expected)


def test_a_quantile_of_nothing_is_none() -> None:
    assert Durations().quantile(0.5) is None
    assert Durations(0, {0.1: 0, float("inf"): 0}).quantile(0.5) is None


def test_routes_merge_into_one_total() -> None:
    total = merged({"a": Durations(2, {1.0: 1}), "b": Durations(3, {1.0: 2})})

    assert total == Durations(5, {1.0: 3})


class Metrics(BaseHTTPRequestHandler):
    texts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        content = self.texts.pop(0).encode() if self.path == "/metrics" else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url():
    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_scraper_tells_what_came_between_its_making_and_its_finish(url: str) -> None:
    Metrics.texts = [exposition(("GET", "/", 200, n, n)) for n in (5, 12)]

    scraper = Scraper(f"{url}/metrics")
    scraper.finish()

    assert scraper.observed is not None
    assert scraper.observed["GET /"].count == 7
    assert [second.requests for second in scraper.seconds] == [7]


def test_a_server_without_metrics_is_told_from_one_without_requests(url: str) -> None:
    scraper = Scraper(f"{url}/none")

    scraper.start()
    scraper.finish()

    assert scraper.observed is None


def test_no_answer_is_none_and_an_error_status_is_an_answer(url: str) -> None:
    assert fetch("http://127.0.0.1:1/") is None
    assert fetch(f"{url}/none") == (404, "")
