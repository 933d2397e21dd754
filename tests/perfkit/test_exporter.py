"""What a scrape gets: the table's metrics, in the format it asks for, summed over workers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

from perfkit import metrics
from perfkit.errors import PerfkitError
from perfkit.exporter import FOLDER_VARIABLE, Exporter, asgi_app, exporter
from perfkit.store import FolderStore


def families(content: bytes) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(content.decode())}


def add_one_of_each(shown: Exporter) -> None:
    """Add a series to every metric of the table."""
    for row in metrics.TABLE:
        shown.store.add(row.name, row.labels, row.length)


def test_a_scrape_shows_every_row_of_the_table() -> None:
    shown = exporter()
    add_one_of_each(shown)

    content, _ = shown.scrape("")

    scraped = families(content)
    assert {(row.name.removesuffix("_total"), row.kind, row.help) for row in metrics.TABLE} <= {
        (family.name, family.type, family.documentation) for family in scraped.values()
    }


def test_a_scrape_shows_the_samples_that_the_table_promises() -> None:
    shown = exporter()
    add_one_of_each(shown)

    content, _ = shown.scrape("")

    names = {sample.name for family in families(content).values() for sample in family.samples}
    promised = {name for row in (*metrics.TABLE, *metrics.COLLECTED) for name in row.samples}
    assert promised <= names


def test_buckets_are_cumulative_and_end_with_everything() -> None:
    shown = exporter()
    numbers = shown.store.add("http_server_worker_wait_seconds", (), 17)
    numbers[0], numbers[1], numbers[4], numbers[16] = 20.5, 2.0, 3.0, 1.0

    def up_to(bound: str) -> float | None:
        return shown.registry.get_sample_value(
            "http_server_worker_wait_seconds_bucket", {"le": bound}
        )

    assert [up_to(bound) for bound in ("0.00025", "0.001", "0.0025", "10.0", "+Inf")] == [
        2.0,
        2.0,
        5.0,
        5.0,
        6.0,
    ]
    assert shown.registry.get_sample_value("http_server_worker_wait_seconds_sum") == 20.5


def test_series_with_the_same_labels_are_summed() -> None:
    shown = exporter()
    shown.store.add("http_server_active_requests", ("GET", "/"), 1)[0] += 1.0
    shown.store.add("http_server_active_requests", ("GET", "/"), 1)[0] += 2.0

    labels = {"http_request_method": "GET", "http_route": "/"}

    assert shown.registry.get_sample_value("http_server_active_requests", labels) == 3.0


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
def test_the_format_is_the_one_asked_for(accept: str, media_type: str) -> None:
    content, given = exporter().scrape(accept)

    assert given == media_type
    assert content.endswith(b"# EOF\n") == ("openmetrics" in accept)


def test_two_exporters_have_registries_of_their_own() -> None:
    assert exporter().registry is not exporter().registry


def test_a_registry_for_two_applications_is_refused() -> None:
    registry = CollectorRegistry()
    exporter(registry)

    with pytest.raises(PerfkitError, match="give each its own"):
        exporter(registry)


def test_a_registry_of_the_users_gets_the_table_and_nothing_else() -> None:
    registry = CollectorRegistry()

    content, _ = exporter(registry).scrape("")

    assert {"http", "perfkit"} <= {name.split("_")[0] for name in families(content)}
    assert "process_open_fds" not in families(content)


def test_workers_are_added_up_and_the_dead_have_no_gauges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    counting = (
        "import sys; from pathlib import Path; from perfkit.store import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1]))\n"
        "store.add('perfkit_spans_dropped_total', (), 1)[0] += 5\n"
        "store.add('http_server_active_requests', ('GET', '/'), 1)[0] += 5\n"
    )
    subprocess.run([sys.executable, "-c", counting, str(tmp_path)], check=True)
    living = exporter()
    living.store.add("perfkit_spans_dropped_total", (), 1)[0] += 2.0
    living.store.add("http_server_active_requests", ("GET", "/"), 1)[0] += 2.0

    labels = {"http_request_method": "GET", "http_route": "/"}

    value = living.registry.get_sample_value
    assert value("perfkit_spans_dropped_total") == 7.0
    assert value("http_server_active_requests", labels) == 2.0


def test_each_live_worker_shows_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    shown = exporter()
    shown.store.add("perfkit_spans_dropped_total", (), 1)

    content, _ = shown.scrape("")

    (memory,) = families(content)["process_resident_memory_bytes"].samples
    assert list(memory.labels) == ["pid"]
    assert memory.value > 1_000_000


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_cannot_serve_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / name))

    with pytest.raises(PerfkitError, match="create it, empty"):
        exporter()


async def answer_of(app: Any) -> tuple[int, bytes]:
    """Return status and content of what an ASGI application answers to GET /."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_a_port_of_its_own_shows_the_registry() -> None:
    shown = exporter()
    shown.store.add("perfkit_spans_dropped_total", (), 1)[0] += 4.0

    status, content = asyncio.run(answer_of(asgi_app(shown.registry)))

    assert status == 200
    assert b"perfkit_spans_dropped_total 4.0" in content


def test_a_port_of_its_own_shows_the_workers_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    FolderStore(tmp_path).add("perfkit_spans_dropped_total", (), 1)[0] += 6.0

    _, content = asyncio.run(answer_of(asgi_app()))

    assert b"perfkit_spans_dropped_total 6.0" in content


def test_a_port_of_its_own_without_anything_to_show_is_refused() -> None:
    with pytest.raises(PerfkitError, match="give the registry"):
        asgi_app()


def test_a_missing_package_is_told_with_its_extra() -> None:
    importing = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from perfkit.errors import MissingExtraError\n"
        "try:\n    import perfkit.exporter\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", importing], check=True, capture_output=True, text=True
    ).stdout

    assert "pip install 'measured-rest[metrics]'" in told


# An application whose folder cannot take what it counts; it says what it logs and answers.
UNLUCKY = """
import logging, resource, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
import perfkit
from restmachine import Request, RestApplication
app = perfkit.instrument(RestApplication())
app.get("/")(lambda: "served")
if sys.argv[1:] == ["full"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for _ in range(3):
    print(app.execute(Request("GET", "/")).status_code)
print(app.execute(Request("GET", "/metrics")).status_code)
"""


@pytest.mark.parametrize("trouble", ["read-only", "full"])
def test_a_folder_that_takes_nothing_costs_metrics_and_not_requests(
    trouble: str, tmp_path: Path
) -> None:
    folder = "/proc/self" if trouble == "read-only" else str(tmp_path)

    said = subprocess.run(
        [sys.executable, "-c", UNLUCKY, trouble],
        env={**os.environ, FOLDER_VARIABLE: folder},
        check=True,
        capture_output=True,
        text=True,
    )

    lines = said.stdout.splitlines()
    assert [line for line in lines if line.isdigit()] == ["200"] * 4
    assert [line for line in lines if "are lost from here on" in line] == lines[:1]
    assert said.stderr == ""
    assert list(tmp_path.iterdir()) == []
