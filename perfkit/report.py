"""The result of a load test: a table for the terminal, and HTML, JSON and CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from perfkit.budgets import Finding, format_value, key_name
from perfkit.histogram import Digest
from perfkit.plots import draw
from perfkit.results import TOTAL, Results
from perfkit.samples import RouteCounts
from perfkit.scrape import Durations, ServerSecond, merged
from perfkit.verdict import Verdict

LATENCY_NOTE = (
    "Percentiles are of all requests that got an answer, failed ones too; "
    "failures are counted apart."
)
OPEN_LOOP_NOTE = "Latency counts from the moment a request was due, so waiting to start is in it."


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """One route by the server's own count; quantiles are estimates from buckets."""

    requests: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    counts_agree: bool


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route, or the total, as the client saw it and as the server did."""

    route: str
    requests: int
    rate_per_second: float
    failures: int
    unanswered: int
    latency: Digest | None
    server: ServerFigures | None

    def figures(self) -> dict[str, float | None]:
        """Return the figures by the keys that budgets use."""
        latency = {} if self.latency is None else asdict(self.latency)
        return {
            **latency,
            "error_ratio": self.failures / self.requests if self.requests else None,
            "rate": self.rate_per_second,
        }


@dataclass(slots=True)
class Report:
    """Everything a report tells; *facts* are pairs of name and text on where it ran."""

    started_at: datetime
    command: str
    rows: list[RouteRow]
    results: Results
    findings: list[Finding]
    verdict: Verdict
    open_loop: bool
    server_seconds: list[tuple[float, ServerSecond]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """How to read the figures."""
        notes = [LATENCY_NOTE, *([OPEN_LOOP_NOTE] if self.open_loop else [])]
        if all(row.server is None for row in self.rows):
            notes.append("The server told no figures of its own: no /metrics was readable.")
        return notes


def route_rows(results: Results, observed: Mapping[str, Durations] | None) -> list[RouteRow]:
    """Return one row a route in alphabetical order, then the total.

    *observed* is what the server counted meanwhile, or None if it did not tell; routes
    that only the server saw, such as its own ``/metrics``, are left out.
    """
    rows = [
        _row(route, counts, results.elapsed_s, None if observed is None else observed.get(route))
        for route, counts in sorted(results.routes.items())
    ]
    shared = {route: seen for route, seen in (observed or {}).items() if route in results.routes}
    rows.append(_row(TOTAL, results.total, results.elapsed_s, merged(shared) if shared else None))
    return rows


def _row(route: str, counts: RouteCounts, elapsed_s: float, observed: Durations | None) -> RouteRow:
    answered = counts.latencies.count
    return RouteRow(
        route=route,
        requests=counts.requests,
        rate_per_second=counts.requests / elapsed_s if elapsed_s else 0.0,
        failures=counts.failures,
        unanswered=counts.requests - answered,
        latency=counts.latencies.digest(),
        server=None
        if observed is None
        else ServerFigures(
            requests=round(observed.count),
            p50_ms=_milliseconds(observed.quantile(0.5)),
            p95_ms=_milliseconds(observed.quantile(0.95)),
            p99_ms=_milliseconds(observed.quantile(0.99)),
            # A request without an answer may or may not have reached the server.
            counts_agree=answered <= round(observed.count) <= counts.requests,
        ),
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


# What stands before this column is the client's, the rest the server's.
SERVER_COLUMN = 9
HEADINGS = (
    "route", "requests", "rate/s", "failed", "p50", "p95", "p99", "p99.9", "max ms",
    "server", "p50", "p95", "p99 ms", "counts",
)  # fmt: skip


def cells(row: RouteRow) -> list[str]:
    """Return the texts of one row, in the order of `HEADINGS`."""
    latency, server = row.latency, row.server
    client = [
        getattr(latency, key, None) for key in ("p50_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms")
    ]
    own = [getattr(server, key, None) for key in ("p50_ms", "p95_ms", "p99_ms")]
    return [
        row.route,
        str(row.requests),
        f"{row.rate_per_second:.1f}",
        str(row.failures),
        *map(number, client),
        "-" if server is None else str(server.requests),
        *map(number, own),
        agreement(row),
    ]


def agreement(row: RouteRow) -> str:
    """Return whether client and server counted the same, and else by how much they differ."""
    if row.server is None:
        return "-"
    if row.server.counts_agree:
        return "agree"
    return f"{row.server.requests - row.requests + row.unanswered:+d}"


def number(value: float | None) -> str:
    """Return *value* with three digits or so, a dash for None."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: Sequence[RouteRow]) -> str:
    """Return the rows as aligned text, the client's figures left of the server's."""
    lines = [list(HEADINGS), *(cells(row) for row in rows)]
    for line in lines:
        line.insert(SERVER_COLUMN, "|")
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in lines
    )


def errors(results: Results) -> list[tuple[str, str, int]]:
    """Return route, text and count of each kind of failure, the most frequent first."""
    found = [
        (route, text, count)
        for route, counts in results.routes.items()
        for text, count in counts.errors.items()
    ]
    return sorted(found, key=lambda error: (-error[2], error[0], error[1]))


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain data; names carry their units."""
    total = report.rows[-1]
    return {
        "verdict": {
            "exit_status": report.verdict.status,
            "kind": report.verdict.kind,
            "reason": report.verdict.reason,
        },
        "started_at": report.started_at.isoformat(),
        "elapsed_s": round(report.results.elapsed_s, 3),
        "command": report.command,
        "options": report.options,
        "environment": report.facts,
        "notes": report.notes,
        "total": _plain(total),
        "routes": [_plain(row) for row in report.rows[:-1]],
        "budgets": [
            {
                "scope": finding.budget.scope,
                "key": finding.budget.key,
                "limit": finding.budget.limit,
                "value": finding.value,
                "outcome": finding.outcome,
            }
            for finding in report.findings
        ],
        "errors": [
            {"route": route, "error": text, "count": count}
            for route, text, count in errors(report.results)
        ],
        "generators": {
            source: [{"at_s": at, **asdict(gauges)} for at, gauges in sorted(log.gauges.items())]
            for source, log in report.results.generators.items()
        },
        "timeline": timeline_records(report),
        "server_timeline": [
            {"at_s": round(at, 2), "requests": round(second.requests), "p95_ms": second.p95_ms}
            for at, second in report.server_seconds
        ],
    }


def _plain(row: RouteRow) -> dict[str, Any]:
    plain = asdict(row)
    latency = plain.pop("latency") or dict.fromkeys(Digest.__slots__)
    server = plain.pop("server")
    return {**plain, **latency, "server": server}


def route_records(report: Report) -> list[dict[str, Any]]:
    """Return the rows flat, the server's figures as ``server_...``: one line of requests.csv."""
    records = []
    for row in report.rows:
        plain = _plain(row)
        server = plain.pop("server") or dict.fromkeys(ServerFigures.__slots__)
        records.append({**plain, **{f"server_{key}": value for key, value in server.items()}})
    return records


def timeline_records(report: Report) -> list[dict[str, Any]]:
    """Return one record a second and route, and one for the total."""
    return [
        {
            "at_s": row.at,
            "route": row.route,
            "requests": row.requests,
            "failures": row.failures,
            **(dict.fromkeys(Digest.__slots__) if row.latency is None else asdict(row.latency)),
        }
        for row in report.results.timeline
    ]


def as_html(report: Report) -> str:
    """Return one self-contained page, which needs no network and follows the reader's theme."""
    environment = Environment(loader=PackageLoader("perfkit", "."), autoescape=True)
    return environment.get_template("report.html").render(
        report=report,
        plots=draw(report.results, report.server_seconds),
        headings=HEADINGS,
        server_column=SERVER_COLUMN,
        rows=[(row, cells(row)) for row in report.rows],
        errors=errors(report.results)[:20],
        number=number,
        key_name=key_name,
        format_value=format_value,
    )


def write(report: Report, folder: Path) -> None:
    """Write index.html, report.json, requests.csv and timeline.csv into *folder*."""
    (folder / "report.json").write_text(json.dumps(as_json(report), indent=1) + "\n")
    _write_csv(folder / "requests.csv", route_records(report))
    _write_csv(folder / "timeline.csv", timeline_records(report))
    (folder / "index.html").write_text(as_html(report), encoding="utf-8")


def _write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if records:
            writer.writerow(records[0])
            writer.writerows(record.values() for record in records)
