import json
from typing import Any

import pytest

from perfkit.comparison import kept, page, samples_of, summary
from perfkit.turns import Round, Samples


def generation(**microseconds: float) -> dict[str, list[Round]]:
    return {
        peer: [Round(each / 1e6, False, each / 1e6), Round(each / 1e6, False, each / 1e6)]
        for peer, each in microseconds.items()
    }


SAMPLES: Samples = {
    "small": [generation(null=1, raw=2, restmachine=3, starlette=6, fastapi=30)] * 6,
    "list": [generation(null=1, raw=20, restmachine=21, starlette=40, fastapi=30)] * 6,
}
SERVED: Samples = {"small": [generation(raw=50, restmachine=62.5, starlette=100, fastapi=200)] * 6}


@pytest.fixture
def document() -> dict[str, Any]:
    latency = {"p50_ms": 0.1, "p95_ms": 0.2, "p99_ms": 0.3, "p999_ms": 0.4, "max_ms": 0.5}
    point = {"startup": 0.5, "bytes": 10_000, "seconds": 3e-6, "peak": 7_000}
    return {
        "command": "make bench-peers",
        "started": "2026-11-28T00:00:00+00:00",
        "environment": {"machine": "an abacus"},
        "peers": {
            peer: {"version": "1.0", "practice": f"How {peer} is written."}
            for peer in ("null", "raw", "restmachine", "starlette", "fastapi")
        },
        "rows": [
            {"name": "small", "title": "small JSON"},
            {"name": "list", "title": "a list"},
        ],
        "process": kept(SAMPLES),
        "wire": kept(SERVED),
        "load": {
            "row": "small",
            "share": 0.7,
            "peers": {
                "restmachine": {
                    "capacities": [9000.0, 10000.0],
                    "latency": latency,
                    "lateness": latency,
                    "connection_bytes": 6_500,
                }
            },
        },
        "curve_titles": {"routes": "number of routes", "fields": "header fields"},
        "curves": {
            "routes": {
                "restmachine": {"10": point, "1010": point | {"bytes": 5_010_000}},
                "fastapi": {"10": point},
            },
            "fields": {"restmachine": {"0": point}},
        },
    }


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {start} ")]


def test_rounds_survive_being_kept() -> None:
    assert samples_of(json.loads(json.dumps(kept(SAMPLES)))) == SAMPLES


def test_the_page_has_microseconds_ratios_and_the_fastest_other(document: dict[str, Any]) -> None:
    text = page(document)

    small = lines_of(text, "small JSON")
    assert small[0] == "| small JSON | 1.0 | 2.0 | 3.0 | 6.0 | 30.0 |"
    assert small[1] == ("| small JSON | 1.00 ± 0.0% | 1.50 ± 0.0% | 3.00 ± 0.0% | 15.00 ± 0.0% |")
    assert small[2] == "| small JSON | starlette | 2.00 | 2.00 to 2.00 |"
    assert small[3] == "| small JSON | 2.00 | 5.00 | 29.00 |"


def test_the_page_states_cpu_time_as_the_floors_share(document: dict[str, Any]) -> None:
    small = lines_of(page(document), "small JSON")

    assert small[5] == "| small JSON | 0.80 ± 0.0% | 0.50 ± 0.0% | 0.25 ± 0.0% |"
    assert small[7] == "| small JSON | 20,000 | 16,000 | 10,000 | 5,000 |"


def test_the_page_tells_of_load_and_of_growth(document: dict[str, Any]) -> None:
    text = page(document)

    ours = lines_of(text, "restmachine")
    assert ours[0] == "| restmachine | 10,000 | 0.10 | 0.30 | 0.40 | 0.30 | 6.5 |"
    assert "| restmachine | 5.0 |" in ours
    assert "| fastapi | 3.0 |  |" in lines_of(text, "fastapi")


def test_the_page_says_how_each_is_written(document: dict[str, Any]) -> None:
    assert "**starlette** 1.0. How starlette is written." in page(document)


def test_a_part_that_was_not_measured_is_not_on_the_page(document: dict[str, Any]) -> None:
    for phase in ("wire", "load", "curves"):
        del document[phase]

    text = page(document)

    assert "## In process" in text
    assert "## Over the wire" not in text
    assert "## Under load" not in text
    assert "## As an application grows" not in text


def test_the_summary_sets_ours_beside_the_fastest_other_of_each_row(
    document: dict[str, Any],
) -> None:
    text = summary(document)

    assert lines_of(text, "small JSON") == [
        "| small JSON | 1.50 | 3.00 (starlette) | 0.80 | 0.50 (starlette) |"
    ]
    assert lines_of(text, "a list") == ["| a list | 1.05 | 1.50 (fastapi) |  |  |"]


def test_the_page_says_when_generations_are_too_few_to_trust(document: dict[str, Any]) -> None:
    enough = page(document)
    document["process"] = kept({row: rounds[:5] for row, rounds in SAMPLES.items()})

    few = page(document)

    assert "too few to trust" not in enough
    assert "5 here: too few to trust, as an interval takes 6" in few
