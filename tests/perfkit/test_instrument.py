"""What an instrumented application records and shows, and which options it refuses."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import perfkit
from perfkit.errors import PerfkitError
from perfkit.instrument import RECORDS
from perfkit.spans import Exporter
from restmachine import ASGIAdapter, Request, Response, RestApplication

REQUESTS = "http_server_request_duration_seconds_count"
BYTES = "http_server_response_body_size_bytes_sum"
ACTIVE = "http_server_active_requests"


def test_a_forked_child_counts_from_zero() -> None:
    # In a process of its own, for forking one that has threads is an error.
    forking = (
        "import os\n"
        "import perfkit\n"
        "from restmachine import Request, RestApplication\n"
        "app = perfkit.instrument(RestApplication())\n"
        "app.execute(Request('GET', '/a'))\n"
        "if os.fork() == 0:\n"
        "    app.execute(Request('GET', '/b'))\n"
        "    body = app.execute(Request('GET', '/metrics')).body\n"
        "    print(body.decode(), flush=True)\n"
        "else:\n"
        "    os.wait()\n"
    )

    text = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", forking],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    (count,) = re.findall(rf"^{REQUESTS}{{.*}} (.*)$", text, re.MULTILINE)
    assert float(count) == 1


@pytest.fixture
def app() -> RestApplication:
    """An instrumented application: as many bytes as the path has letters, or a failure."""
    application = RestApplication()

    @application.get("/items/{item_id}")
    def item(item_id: str) -> Response:
        return Response(200, "x" * len(item_id), content_type="text/plain")

    @application.get("/broken")
    def broken() -> None:
        raise RuntimeError("broken on purpose")

    return perfkit.instrument(application)


def get(app: RestApplication, path: str, **headers: str) -> Response:
    return app.execute(Request("GET", path, headers))


def scraped(
    app: RestApplication, path: str = "/metrics"
) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the samples of a scrape: by name, then by method, route and status."""
    names = ("http_request_method", "http_route", "http_response_status_code")
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    body = get(app, path).body
    text = body.decode() if isinstance(body, bytes) else str(body)
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            key = tuple(each.labels[name] for name in names if name in each.labels)
            samples.setdefault(each.name, {})[key] = each.value
    return samples


def test_metrics_are_served_by_the_application(app: RestApplication) -> None:
    get(app, "/items/12345")

    samples = scraped(app)

    assert samples[REQUESTS] == {("GET", "/items/{item_id}", "200"): 1.0}
    assert samples[BYTES] == {("GET", "/items/{item_id}", "200"): 5.0}
    assert samples[ACTIVE] == {("GET", "/items/{item_id}"): 0.0}
    assert "process_resident_memory_bytes" in samples


def test_a_scrape_does_not_count_itself(app: RestApplication) -> None:
    scraped(app)

    assert REQUESTS not in scraped(app)


def test_nothing_of_a_request_becomes_a_label(app: RestApplication) -> None:
    app.execute(Request("GET", "/items/secret", {"Authorization": "secret"}))
    app.execute(Request("GET", "/secret/path"))

    assert "secret" not in str(scraped(app))


def test_an_unknown_path_is_a_404_of_no_route(app: RestApplication) -> None:
    get(app, "/unknown")

    assert scraped(app)[REQUESTS] == {("GET", "_UNMATCHED", "404"): 1.0}


def test_a_failing_handler_counts_as_500(app: RestApplication) -> None:
    get(app, "/broken")

    assert scraped(app)[REQUESTS] == {("GET", "/broken", "500"): 1.0}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "text/plain; version=0.0.4"),
        ("text/html", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0,*/*;q=0.1", "application/openmetrics-text"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_a_scrape_gets_the_format_it_asks_for(
    app: RestApplication, accept: str, media_type: str
) -> None:
    response = get(app, "/metrics", Accept=accept)

    assert response.status_code == 200
    assert str(response.headers.get("Content-Type")).startswith(media_type)


def test_an_excluded_route_leaves_no_series() -> None:
    app = RestApplication()
    app.get("/health")(lambda: "well")
    perfkit.instrument(app, exclude=["/health"])

    get(app, "/health")

    assert "/health" not in str(scraped(app))


@pytest.mark.parametrize("spelling", ["/health", "/health/", "//health"])
def test_excluded_paths_may_be_spelt_as_routes_may(spelling: str) -> None:
    app = RestApplication()

    @app.get("/health/")
    def health() -> str:
        return "well"

    perfkit.instrument(app, exclude=[spelling])
    get(app, "/health")

    assert REQUESTS not in scraped(app)


def test_two_applications_count_apart(app: RestApplication) -> None:
    other = perfkit.instrument(RestApplication())

    get(app, "/items/1")

    assert REQUESTS not in scraped(other)


def test_the_metrics_may_have_another_path() -> None:
    moved = perfkit.instrument(RestApplication(), path="/internal/metrics")

    assert get(moved, "/metrics").status_code == 404
    assert "process_open_fds" in scraped(moved, "/internal/metrics")


def test_without_a_path_the_registry_alone_has_the_metrics() -> None:
    registry = CollectorRegistry()
    app = perfkit.instrument(RestApplication(), registry=registry, path=None)

    status = get(app, "/metrics").status_code

    assert status == 404
    labels = {
        "http_request_method": "GET",
        "http_route": "_UNMATCHED",
        "http_response_status_code": "404",
    }
    assert registry.get_sample_value(REQUESTS, labels) == 1.0


def test_the_applications_authorization_protects_its_metrics() -> None:
    app = RestApplication()

    @app.default_authorized
    def authorized(request: Request) -> bool:
        return request.headers.get("Authorization") == "Bearer scraper"

    perfkit.instrument(app)

    assert get(app, "/metrics").status_code == 401
    assert get(app, "/metrics", Authorization="Bearer scraper").status_code == 200


def test_an_application_is_instrumented_once(app: RestApplication) -> None:
    with pytest.raises(PerfkitError, match="instrumented already"):
        perfkit.instrument(app)


def test_an_adapter_is_not_an_application() -> None:
    adapter: Any = ASGIAdapter(RestApplication())

    with pytest.raises(PerfkitError, match="got a ASGIAdapter: instrument the application"):
        perfkit.instrument(adapter)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "metrics"}, 'a path starts with a slash: "/metrics"'),
        ({"exclude": ["health"]}, 'a path starts with a slash: "/health"'),
        ({"exclude": "/health"}, r'exclude=\["/health"\]'),
    ],
)
def test_a_wrong_option_is_told_with_the_right_one(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PerfkitError, match=message):
        perfkit.instrument(RestApplication(), **options)


def test_a_path_that_is_taken_is_refused() -> None:
    app = RestApplication()

    @app.get("/metrics")
    def own() -> str:
        return "mine"

    with pytest.raises(PerfkitError, match="choose another with path="):
        perfkit.instrument(app)


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[str]:
    """The address of an instrumented application behind uvicorn with two workers."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "served.py").write_text(
        "import perfkit\n"
        "from restmachine import ASGIAdapter, RestApplication\n"
        "asgi_app = ASGIAdapter(perfkit.instrument(RestApplication()))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "served:asgi_app", "--workers=2", "--port=0"],
        cwd=tmp_path,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        try:
            said = ""
            while said.count("Application startup complete") < 2:
                said += server.stderr.readline() or pytest.fail(said)
            yield re.findall(r"http://[\d.:]+", said)[0]
        finally:
            server.terminate()
            server.communicate()


def test_several_workers_count_every_request_once(two_workers: str) -> None:
    # Without keep-alive each request is a new connection, which either worker may take.
    reconnecting = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=two_workers, limits=reconnecting, trust_env=False) as client:
        for _ in range(40):
            client.get("/unknown")

        text = client.get("/metrics").text

    assert re.findall(rf"^{REQUESTS}{{.*}} (.*)$", text, re.MULTILINE) == ["40.0"]
    assert re.findall(rf"^{ACTIVE}{{.*}} (.*)$", text, re.MULTILINE) == ["0.0"]


def test_importing_perfkit_imports_no_extra() -> None:
    asking = "import perfkit, sys; print(*{'locust', 'prometheus_client'} & set(sys.modules))"

    asked = [sys.executable, "-c", asking]

    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout == "\n"


def test_without_its_extra_instrument_says_what_to_install() -> None:
    instrumenting = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import perfkit; from perfkit.errors import MissingExtraError\n"
        "from restmachine import RestApplication\n"
        "try:\n    perfkit.instrument(RestApplication())\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", instrumenting], check=True, capture_output=True, text=True
    ).stdout

    assert "pip install 'measured-rest[metrics]'" in told


@pytest.fixture
def everything() -> Iterator[RestApplication]:
    """An application of which all is recorded, its spans in memory."""
    spans = Exporter(lambda batch: None)
    application = RestApplication()
    application.get("/items/{item_id}")(lambda item_id: item_id)
    yield perfkit.instrument(
        application,
        record=list(RECORDS),
        slow=0.0,
        slow_query=60.0,
        server_timing=True,
        response_time=True,
        queue_field="X-Request-Start",
        spans=spans,
        memory_every=1,
        stall_after=1.0,
    )
    spans.close()


def test_everything_can_be_recorded_at_once(
    everything: RestApplication, caplog: pytest.LogCaptureFixture
) -> None:
    response = get(everything, "/items/secret")

    assert response.status_code == 200
    assert response.headers["X-Response-Time"]
    assert "total;dur=" in response.headers["Server-Timing"]
    assert "secret" not in caplog.text
    assert scraped(everything)[REQUESTS] == {("GET", "/items/{item_id}", "200"): 1.0}


def test_the_trace_of_a_request_is_an_exemplar_of_its_duration(everything: RestApplication) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    get(everything, "/items/1", traceparent=f"00-{trace}-b7ad6b7169203331-01")

    openmetrics = get(everything, "/metrics", Accept="application/openmetrics-text").body

    assert f'# {{trace_id="{trace}"}}'.encode() in openmetrics
    assert trace.encode() not in get(everything, "/metrics").body


def test_collections_are_timed_when_asked_for(everything: RestApplication) -> None:
    gc.collect()

    body = get(everything, "/metrics").body

    assert b'python_gc_pause_seconds_count{generation="2"}' in body


def test_worker_threads_and_pools_are_read_once_a_second() -> None:
    registry = CollectorRegistry()
    app = perfkit.instrument(RestApplication(), registry=registry)
    get(app, "/unknown")

    deadline = time.monotonic() + 30
    while registry.get_sample_value("http_server_worker_threads_busy") is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert registry.get_sample_value("http_server_worker_threads_busy") == 0
    assert registry.get_sample_value("http_server_worker_requests_waiting") == 0


def test_recording_nothing_leaves_no_trace_in_the_plans() -> None:
    app = perfkit.instrument(RestApplication(), record=())
    get(app, "/unknown")

    assert REQUESTS not in scraped(app)
    assert not app.dispatch("GET", "/unknown")[0].observed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record": "requests"}, r'record=\["requests"\]'),
        ({"record": ["request"]}, 'did you mean "requests"'),
        ({"record": ["everything"]}, "there are requests, queries"),
        ({"slow": -1.0}, "slow= takes seconds from 0 on"),
        ({"slow_query": -1.0}, "a slow query takes seconds from 0 on"),
        ({"record": ["loop"], "stall_after": 0.0}, "give a threshold above"),
    ],
)
def test_an_option_that_means_nothing_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PerfkitError, match=message):
        perfkit.instrument(RestApplication(), **options)
