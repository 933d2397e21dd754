"""The page on timing: its code runs, and does what the page says."""

from __future__ import annotations

import json
import logging
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from perfkit.split import Split
from restmachine.testing import TestClient

PAGE = (Path(__file__).parents[2] / "docs" / "timing.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def names(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Run a block of the page, by its number, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "block.py").write_text(BLOCKS[request.param])
    return runpy.run_path("block.py")


@pytest.mark.parametrize("names", [0], indirect=True)
def test_the_first_example_states_what_it_says(
    names: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(names["app"]) as client, caplog.at_level(logging.WARNING, "perfkit.slow"):
        response = client.get("/api/data")

    assert float(response.headers["X-Response-Time"]) < 1
    assert "handler;dur=" in response.headers["Server-Timing"]
    assert caplog.records == []


@pytest.mark.parametrize("names", [1], indirect=True)
def test_the_second_example_keeps_the_slowest(names: dict[str, Any]) -> None:
    with TestClient(names["app"]) as client:
        response = client.get("/api/data")

    total, parts = names["slowest"]["/api/data"]
    assert sum(parts.values()) == pytest.approx(total)
    assert "X-Response-Time" in response.headers
    assert 0 < response.json()["so far"] < total


@pytest.mark.parametrize("names", [2], indirect=True)
def test_the_third_example_writes_spans(names: dict[str, Any], tmp_path: Path) -> None:
    sampled = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}

    with TestClient(names["app"]) as client:
        client.get("/nowhere", headers=sampled)

    lines = [json.loads(line) for line in (tmp_path / "spans.jsonl").read_text().splitlines()]
    assert {line["trace_id"] for line in lines} == {"a" * 32}
    assert lines[0]["kind"] == "server"


def test_there_are_no_other_examples() -> None:
    assert len(BLOCKS) == 3


def test_the_page_names_every_part() -> None:
    table = PAGE.partition("## The parts")[2].partition("All are wall time")[0]
    named = set(re.findall(r"`(\w+)(?:\.NAME)?`", table))

    times = ("float", "dict[str, float]")
    parts = {name for name, known in Split.__annotations__.items() if known in times}
    parts -= {"total", "operations_seconds"}
    assert named == {name.replace("dependencies", "dependency") for name in parts}
