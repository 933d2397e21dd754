"""The dashboard as committed: current, and about metrics that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from perfkit import dashboards, metrics
from perfkit.__main__ import main

FOLDER = Path(__file__).parents[2] / "dashboards"
SAMPLES = {name for row in (*metrics.TABLE, *metrics.COLLECTED) for name in row.samples}
NOT_METRICS = {"by", "or", "sum", "rate", "histogram_quantile", "topk", "vector", "label_values"}


def metric_names(expression: str) -> set[str]:
    """Return what PromQL names as metrics: words outside of matchers, ranges and groupings."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)|, \w+\)$", " ", expression)
    return set(re.findall(r"[a-zA-Z_]\w*", bare)) - NOT_METRICS


def grouped_labels(expression: str) -> set[str]:
    """Return the labels by which PromQL groups or selects."""
    groupings = re.findall(r"\bby \(([^)]*)\)", expression)
    matchers = re.findall(r"(\w+)=~", expression)
    return {label for grouping in groupings for label in grouping.split(", ")} | set(matchers)


def committed() -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads((FOLDER / "restmachine.json").read_text())
    return dashboard


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        yield from (variable["query"],) if variable["type"] == "query" else ()


QUERIES = sorted(set(queries(committed())))


def test_the_committed_dashboard_is_what_the_table_gives() -> None:
    assert (FOLDER / "restmachine.json").read_text() == dashboards.render()


@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_names_metrics_that_exist(expression: str) -> None:
    names = metric_names(expression)

    assert names
    assert names <= SAMPLES


@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_uses_labels_that_its_metrics_have(expression: str) -> None:
    names = metric_names(expression)
    rows = [row for row in (*metrics.TABLE, *metrics.COLLECTED) if names & set(row.samples)]
    of_the_scrape = {"job", "instance", "le"}

    shared = set.intersection(*(set(row.labels) for row in rows))

    assert grouped_labels(expression) <= shared | of_the_scrape


def test_every_metric_of_the_table_is_on_the_dashboard() -> None:
    shown = {name for expression in QUERIES for name in metric_names(expression)}

    assert [row.name for row in metrics.TABLE if not shown & set(row.samples)] == []


def test_a_query_that_names_an_unknown_metric_would_be_noticed() -> None:
    assert metric_names('sum by (job) (rate(http_gone_total{job="a"}[5m])) / vector(1)') == {
        "http_gone_total"
    }


def test_panels_have_identities_of_their_own() -> None:
    identities = [panel["id"] for panel in committed()["panels"]]

    assert len(set(identities)) == len(identities)


def test_panels_do_not_overlap() -> None:
    cells = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + row)
        for panel in committed()["panels"]
        for column in range(panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["h"])
    ]

    assert len(set(cells)) == len(cells)


def test_the_variables_choose_data_source_job_and_route() -> None:
    names = [variable["name"] for variable in committed()["templating"]["list"]]

    assert names == ["datasource", "job", "route"]


def test_the_command_writes_the_dashboard_to_a_new_folder(tmp_path: Path) -> None:
    status = main(["dashboards", "--output", str(tmp_path / "new")])

    assert status == 0
    assert (tmp_path / "new" / "restmachine.json").read_text() == dashboards.render()


def test_check_fails_for_a_stale_file_and_leaves_it_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "restmachine.json"
    stale.write_text("{}")

    status = main(["dashboards", "--output", str(tmp_path), "--check"])

    assert status == 1
    assert "out of date: run make dashboards" in capsys.readouterr().err
    assert stale.read_text() == "{}"


def test_check_passes_for_a_current_file(tmp_path: Path) -> None:
    (tmp_path / "restmachine.json").write_text(dashboards.render())

    assert main(["dashboards", "--output", str(tmp_path), "--check"]) == 0


def test_a_folder_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    status = main(["dashboards", "--output", str(tmp_path / "file")])

    assert status == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_prometheus_scrapes_the_path_that_instrument_serves() -> None:
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())

    assert {job["metrics_path"] for job in configuration["scrape_configs"]} == {"/metrics"}


def test_compose_mounts_files_that_exist() -> None:
    services = yaml.safe_load((FOLDER / "compose.yml").read_text())["services"]
    mounted = [volume for service in services.values() for volume in service["volumes"]]

    sources = [FOLDER / volume.split(":")[0] for volume in mounted]

    assert [source for source in sources if not source.exists()] == []


def test_compose_listens_on_this_machine_only() -> None:
    services = yaml.safe_load((FOLDER / "compose.yml").read_text())["services"]

    published = [port for service in services.values() for port in service["ports"]]

    assert published == ["127.0.0.1:9090:9090", "127.0.0.1:3000:3000"]


def test_compose_pins_a_version_of_every_image() -> None:
    services = yaml.safe_load((FOLDER / "compose.yml").read_text())["services"]

    assert [s["image"] for s in services.values() if not re.search(r":v?\d", s["image"])] == []


def test_the_provisioned_data_source_is_the_prometheus_of_compose() -> None:
    services = yaml.safe_load((FOLDER / "compose.yml").read_text())["services"]
    provisioned = yaml.safe_load(
        (FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )

    (source,) = provisioned["datasources"]

    assert source["type"] == "prometheus"
    assert source["url"].removeprefix("http://").split(":")[0] in services


def test_the_provisioned_folder_is_where_compose_mounts_the_dashboard() -> None:
    services = yaml.safe_load((FOLDER / "compose.yml").read_text())["services"]
    provisioned = yaml.safe_load(
        (FOLDER / "provisioning" / "dashboards" / "restmachine.yml").read_text()
    )

    folder = provisioned["providers"][0]["options"]["path"]

    assert f"./restmachine.json:{folder}/restmachine.json:ro" in services["grafana"]["volumes"]
