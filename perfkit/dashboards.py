"""Writes the Grafana dashboard from the table of metrics.

Panels name metrics only through `perfkit.metrics`, so that a renamed metric renames
itself here. The output is the same for the same table, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from perfkit.errors import PerfkitError
from perfkit.metrics import (
    ACTIVE_REQUESTS,
    CACHE_LOOKUPS,
    CLIENT_ERRORS,
    DECISIONS_ENDED,
    DEPENDENCY_DURATION,
    GC_COLLECTIONS,
    GC_PAUSE,
    HTTP_CLIENT_DURATION,
    LABELS_FOLDED,
    LOOP_LAG,
    LOOP_STALLS,
    OPEN_FILES,
    POOL_CONNECTIONS,
    POOL_MAX,
    POOL_PENDING,
    POOL_WAIT_SECONDS,
    POOL_WAITS,
    PROCESS_CPU,
    PROCESS_MEMORY,
    QUERY_DURATION,
    REQUEST_DURATION,
    REQUEST_MEMORY,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    SPANS_DROPPED,
    STATEMENT_SECONDS,
    STATEMENTS,
    WORKER_WAIT,
    WORKERS_BUSY,
    WORKERS_WAITING,
    Metric,
)

FILE = "restmachine.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
METHOD, ROUTE, STATUS = REQUEST_DURATION.labels
SYSTEM, _ = QUERY_DURATION.labels
POOL, STATE = POOL_CONNECTIONS.labels
JOB = 'job=~"$job"'
CHOSEN = f'{JOB}, {ROUTE}=~"$route"'


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and how its series are called."""

    expression: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: *unit* is Grafana's name of it, *width* of 24 columns."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    kind: Literal["graph", "number"] = "graph"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--output", type=Path, default=Path("dashboards"), help="folder to write to (%(default)s)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when the file is out of date"
    )


def command(arguments: argparse.Namespace) -> int:
    """Write the dashboard, or compare it with the one that is there."""
    target: Path = arguments.output / FILE
    wanted = render()
    try:
        if not arguments.check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(wanted, encoding="utf-8")
            print(f"wrote {target}")
            return 0
        if target.read_text(encoding="utf-8") == wanted:
            return 0
    except OSError as error:
        reason = error.strerror or error
        raise PerfkitError(f"{error.filename}: {reason}; choose a folder with --output") from error
    print(f"{target} is out of date: run make dashboards", file=sys.stderr)
    return 1


def render() -> str:
    """Return the dashboard as JSON, keys sorted."""
    built = _dashboard().build()
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def rate(name: str, matchers: str, by: str = "") -> str:
    """Return the PromQL of the summed rate per second of a counter's sample *name*."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({name}{{{matchers}}}[$__rate_interval]))"


def quantile(fraction: float, metric: Metric, matchers: str, by: str = "") -> str:
    """Return the PromQL of a quantile of a histogram, estimated from its buckets."""
    grouping = f"{by}, le" if by else "le"
    return f"histogram_quantile({fraction}, {rate(metric.bucket, matchers, grouping)})"


def rows() -> Iterator[tuple[str, tuple[Panel, ...]]]:
    """Yield each row of the dashboard: its title and its panels."""
    yield "Now", _numbers()
    yield "Requests", _requests()
    yield "Latency", tuple(_latency(percent) for percent in (50, 95, 99))
    yield "Sizes and workers", _sizes()
    yield "Decisions and dependencies", _inside()
    yield "Databases, caches and other systems", _systems()
    yield "Connection pools", _pools()
    yield "Event loop and memory", _interpreter()
    yield "Process", _process()


def _numbers() -> tuple[Panel, ...]:
    requests, failed = REQUEST_DURATION.count, f'{CHOSEN}, {STATUS}=~"5.."'
    ratio = f"({rate(requests, failed)} or vector(0)) / {rate(requests, CHOSEN)}"
    p95 = quantile(0.95, REQUEST_DURATION, CHOSEN)
    active = f"sum ({ACTIVE_REQUESTS.name}{{{CHOSEN}}})"
    return (
        _number("Rate", "Requests per second.", "reqps", rate(requests, CHOSEN)),
        _number("Errors", "Part of the requests answered with a 5xx.", "percentunit", ratio),
        _number("p95", "95 of 100 requests took at most this.", "s", p95),
        _number("In flight", ACTIVE_REQUESTS.help, "short", active),
    )


def _number(title: str, description: str, unit: str, expression: str) -> Panel:
    return Panel(title, description, unit, (Query(expression),), 6, "number")


def _requests() -> tuple[Panel, ...]:
    requests, failed = REQUEST_DURATION.count, f'{CHOSEN}, {STATUS}=~"5.."'
    ratio = f"{rate(requests, failed, ROUTE)} / {rate(requests, CHOSEN, ROUTE)}"
    active = f"sum by ({ROUTE}) ({ACTIVE_REQUESTS.name}{{{CHOSEN}}})"
    return (
        Panel(
            "Rate by route",
            "Requests per second.",
            "reqps",
            (Query(rate(requests, CHOSEN, f"{METHOD}, {ROUTE}"), _legend(METHOD, ROUTE)),),
            8,
        ),
        Panel(
            "Error ratio by route",
            "Part of the requests answered with a 5xx; a route without any is not drawn.",
            "percentunit",
            (Query(ratio, _legend(ROUTE)),),
            6,
        ),
        Panel("In flight", ACTIVE_REQUESTS.help, "short", (Query(active, _legend(ROUTE)),), 5),
        Panel(
            "Rate by status",
            "Requests per second; 499 means that the client left before its answer.",
            "reqps",
            (Query(rate(requests, CHOSEN, STATUS), _legend(STATUS)),),
            5,
        ),
    )


def _latency(percent: int) -> Panel:
    expression = quantile(percent / 100, REQUEST_DURATION, CHOSEN, ROUTE)
    return Panel(
        f"p{percent} by route", REQUEST_DURATION.help, "s", (Query(expression, _legend(ROUTE)),), 8
    )


def _sizes() -> tuple[Panel, ...]:
    received = quantile(0.95, REQUEST_SIZE, CHOSEN, ROUTE)
    sent = quantile(0.95, RESPONSE_SIZE, CHOSEN, ROUTE)
    workers = (
        Query(f"sum ({WORKERS_BUSY.name}{{{JOB}}})", "threads busy"),
        Query(f"sum ({WORKERS_WAITING.name}{{{JOB}}})", "requests waiting"),
    )
    return (
        Panel(
            "p95 request size", REQUEST_SIZE.help, "bytes", (Query(received, _legend(ROUTE)),), 6
        ),
        Panel("p95 response size", RESPONSE_SIZE.help, "bytes", (Query(sent, _legend(ROUTE)),), 6),
        Panel("Wait for a worker thread", WORKER_WAIT.help, "s", _quantiles(WORKER_WAIT), 6),
        Panel(
            "Worker threads", "Threads that are busy, and requests that wait.", "short", workers, 6
        ),
    )


def _inside() -> tuple[Panel, ...]:
    (dependency,) = DEPENDENCY_DURATION.labels
    decision, status = DECISIONS_ENDED.labels
    (label,) = LABELS_FOLDED.labels
    ended = rate(DECISIONS_ENDED.name, JOB, f"{decision}, {status}")
    made = quantile(0.95, DEPENDENCY_DURATION, JOB, dependency)
    folded = rate(LABELS_FOLDED.name, JOB, label)
    dropped = rate(SPANS_DROPPED.name, JOB)
    return (
        Panel(
            "Where decisions end",
            "Requests per second by the last decision and by status, where decisions are recorded.",
            "reqps",
            (Query(ended, _legend(decision, status)),),
            8,
        ),
        Panel(
            "p95 by dependency",
            DEPENDENCY_DURATION.help,
            "s",
            (Query(made, _legend(dependency)),),
            8,
        ),
        Panel(
            "Not shown in full",
            "Observations per second counted under _OTHER by label, and spans dropped.",
            "ops",
            (Query(folded, _legend(label)), Query(dropped, "spans dropped")),
            8,
        ),
    )


def _systems() -> tuple[Panel, ...]:
    queries = rate(QUERY_DURATION.count, CHOSEN, f"{SYSTEM}, {ROUTE}")
    p95 = quantile(0.95, QUERY_DURATION, CHOSEN, f"{SYSTEM}, {ROUTE}")
    return (
        Panel(
            "Queries by route",
            "Queries and commands per second.",
            "ops",
            (Query(queries, _legend(SYSTEM, ROUTE)),),
            6,
        ),
        Panel(
            "p95 query by route", QUERY_DURATION.help, "s", (Query(p95, _legend(SYSTEM, ROUTE)),), 6
        ),
        *_statements(),
        *_others(),
    )


def _statements() -> tuple[Panel, ...]:
    text = STATEMENTS.labels[1]
    often = f"topk(10, {rate(STATEMENTS.name, JOB, text)})"
    long = f"topk(10, {rate(STATEMENT_SECONDS.name, JOB, text)})"
    return (
        Panel("Most frequent", STATEMENTS.help, "ops", (Query(often, _legend(text)),), 6),
        Panel(
            "Most time",
            "Seconds per second waited for the ten statements that take most.",
            "short",
            (Query(long, _legend(text)),),
            6,
        ),
    )


def _others() -> tuple[Panel, ...]:
    method, server = HTTP_CLIENT_DURATION.labels
    calls = quantile(0.95, HTTP_CLIENT_DURATION, JOB, f"{method}, {server}")
    system, kind = CLIENT_ERRORS.labels
    errors = rate(CLIENT_ERRORS.name, JOB, f"{system}, {kind}")
    cache, result = CACHE_LOOKUPS.labels
    hits = rate(CACHE_LOOKUPS.name, f'{JOB}, {result}=~"hit"', cache)
    ratio = f"{hits} / {rate(CACHE_LOOKUPS.name, JOB, cache)}"
    return (
        Panel(
            "p95 call to other servers",
            HTTP_CLIENT_DURATION.help,
            "s",
            (Query(calls, _legend(method, server)),),
            8,
        ),
        Panel(
            "Failed calls",
            "Per second, by the exception in which they ended.",
            "ops",
            (Query(errors, _legend(system, kind)),),
            8,
        ),
        Panel(
            "Cache hits",
            "Part of the lookups that found what they looked for.",
            "percentunit",
            (Query(ratio, _legend(cache)),),
            8,
        ),
    )


def _pools() -> tuple[Panel, ...]:
    size = f"sum by ({POOL}) ({POOL_MAX.name}{{{JOB}}})"
    connections = f"sum by ({POOL}, {STATE}) ({POOL_CONNECTIONS.name}{{{JOB}}})"
    pending = f"sum by ({POOL}) ({POOL_PENDING.name}{{{JOB}}})"
    waits = rate(POOL_WAIT_SECONDS.name, JOB, POOL)
    mean = f"{waits} / {rate(POOL_WAITS.name, JOB, POOL)}"
    return (
        Panel(
            "Connections",
            "Connections by state, and how many there may be.",
            "short",
            (Query(connections, _legend(POOL, STATE)), Query(size, f"{_legend(POOL)} at most")),
            8,
        ),
        Panel("Waiting", POOL_PENDING.help, "short", (Query(pending, _legend(POOL)),), 8),
        Panel("Mean wait", POOL_WAITS.help, "s", (Query(mean, _legend(POOL)),), 8),
    )


def _interpreter() -> tuple[Panel, ...]:
    (generation,) = GC_PAUSE.labels
    stalls = rate(LOOP_STALLS.name, CHOSEN, ROUTE)
    pauses = quantile(0.99, GC_PAUSE, JOB, generation)
    memory = quantile(0.95, REQUEST_MEMORY, CHOSEN, ROUTE)
    return (
        _graph("Event loop lag", LOOP_LAG.help, "s", *_quantiles(LOOP_LAG)),
        _graph("Event loop stalls", LOOP_STALLS.help, "ops", Query(stalls, _legend(ROUTE))),
        _graph("p99 garbage collection", GC_PAUSE.help, "s", Query(pauses, _legend(generation))),
        _graph(
            "p95 memory of a request", REQUEST_MEMORY.help, "bytes", Query(memory, _legend(ROUTE))
        ),
    )


def _quantiles(metric: Metric) -> tuple[Query, ...]:
    return tuple(
        Query(quantile(percent / 100, metric, JOB), f"p{percent}") for percent in (50, 95, 99)
    )


def _process() -> tuple[Panel, ...]:
    instance = _legend("instance")
    memory = f"sum by (instance) ({PROCESS_MEMORY.name}{{{JOB}}})"
    files = f"sum by (instance) ({OPEN_FILES.name}{{{JOB}}})"
    cpu = rate(PROCESS_CPU.name, JOB, "instance")
    collections = rate(GC_COLLECTIONS.name, JOB, "generation")
    return (
        Panel("Memory", PROCESS_MEMORY.help, "bytes", (Query(memory, instance),), 6),
        Panel("CPU", "Cores in use; 1 is one core.", "short", (Query(cpu, instance),), 6),
        Panel("Open files", OPEN_FILES.help, "short", (Query(files, instance),), 6),
        Panel(
            "Garbage collections",
            "Per second, by generation; only with one worker.",
            "ops",
            (Query(collections, f"generation {_legend('generation')}"),),
            6,
        ),
    )


def _graph(title: str, description: str, unit: str, *queries: Query) -> Panel:
    """Return a panel of a quarter of the width."""
    return Panel(title, description, unit, queries, 6)


def _legend(*labels: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def _dashboard() -> dashboard.Dashboard:
    board = (
        dashboard.Dashboard("restmachine")
        .uid("restmachine")
        .description("Requests of a restmachine application, as perfkit measures them.")
        .tags(["restmachine", "perfkit"])
        .readonly()
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(_datasource())
        .with_variable(_variable("job", f"label_values({REQUEST_DURATION.count}, job)"))
        .with_variable(
            _variable("route", f"label_values({REQUEST_DURATION.count}{{{JOB}}}, {ROUTE})")
        )
    )
    identity = 0
    for title, panels in rows():
        board.with_row(dashboard.Row(title).id(identity := identity + 1))
        for panel in panels:
            board.with_panel(_built(panel, identity := identity + 1))
    return board


def _datasource() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .query(query)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all"))
    )


def _built(panel: Panel, identity: int) -> timeseries.Panel | stat.Panel:
    drawn: timeseries.Panel | stat.Panel
    if panel.kind == "number":
        last = common.ReduceDataOptions().calcs(["lastNotNull"])
        drawn = stat.Panel().reduce_options(last).height(4)
    else:
        legend = (
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        drawn = timeseries.Panel().legend(legend).fill_opacity(10).min(0).height(8)
    drawn.id(identity).title(panel.title).description(panel.description)
    drawn.datasource(SOURCE).unit(panel.unit).span(panel.width)
    for letter, query in zip(ascii_uppercase, panel.queries, strict=False):
        drawn.with_target(
            prometheus.Dataquery()
            .ref_id(letter)
            .datasource(SOURCE)
            .expr(query.expression)
            .legend_format(query.legend)
            .range()
        )
    return drawn
