"""Measures what the documents state in figures, and writes them there.

``python docs/figures.py measure`` runs the benchmarks and a load test and keeps both results
under ``reports/published/``, where ``make bench-peers PUBLISH=1``, ``make features``, ``make cost``
and ``make overhead`` keep their own, and ``python -m perfkit claims run`` those of the claims;
``write`` puts what is kept there into the README, ``docs/peers.md`` and ``docs/costs.md``, and
``check`` tells whether they say the same. No figure is typed by hand.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import costs_page

from perfkit.charts import draw
from perfkit.claims import library, store
from perfkit.claims.surprises import markdown, surprises
from perfkit.comparison import page, summary

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "reports" / "published"
README = ROOT / "README.md"
PEERS = ROOT / "docs" / "peers.md"
COSTS = ROOT / "docs" / "costs.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
BEGIN_PEERS, END_PEERS = "<!-- peers -->", "<!-- end of peers -->"
BEGIN_SURPRISES, END_SURPRISES = "<!-- surprises -->", "<!-- end of surprises -->"
BENCHMARKS = "tests/benchmarks/bench_plan.py"
LOADTEST = "make loadtest"


def measure() -> None:
    """Run the benchmarks and a load test, and keep their results."""
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    keep("bench.json", benchmark())
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "perfkit", "loadtest", "--output", folder]
        subprocess.run(command, cwd=ROOT, check=True)
        report = json.loads(Path(folder, "report.json").read_text())
    report["environment"].pop("system")
    wanted = ("started_at", "elapsed_s", "environment", "verdict", "total", "routes")
    keep("loadtest.json", {"command": LOADTEST, **{name: report[name] for name in wanted}})


def benchmark() -> dict[str, Any]:
    """Return the benchmarks of deciding: the median and quartile range of each, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "bench.json")
        options = ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"]
        command = [sys.executable, "-m", "pytest", BENCHMARKS, "--benchmark-only", *options]
        subprocess.run([*command, f"--benchmark-json={result}"], cwd=ROOT, check=True)
        report = json.loads(result.read_text())
    return {
        "command": "make figures",
        "python": platform.python_version(),
        "processor": report["machine_info"]["cpu"].get("brand_raw", "unknown"),
        "benchmarks": {
            run["name"]: {
                "median_s": run["stats"]["median"],
                "iqr_s": run["stats"]["iqr"],
                "rounds": run["stats"]["rounds"],
            }
            for run in report["benchmarks"]
        },
    }


def keep(name: str, result: dict[str, Any]) -> None:
    """Write a result where it is committed."""
    (PUBLISHED / name).write_text(json.dumps(result, indent=2) + "\n")


def kept(name: str) -> dict[str, Any]:
    """Return a result that is committed."""
    result: dict[str, Any] = json.loads((PUBLISHED / name).read_text())
    return result


def figures() -> str:
    """Return the README's section of figures, from the results that are kept."""
    return f"{deciding(kept('bench.json'))}\n\n{serving(kept('loadtest.json'))}"


def deciding(bench: dict[str, Any]) -> str:
    """Return what deciding costs above the handler."""
    medians = {name: run["median_s"] * 1e6 for name, run in bench["benchmarks"].items()}
    handler = medians["bench_bare_handler"]
    rows = [
        ("a GET without conditions", medians["bench_bare_get"]),
        ("the same with `Accept: */*`", medians["bench_bare_get_with_accept"]),
        ("the same by the plain walk over the table", medians["bench_bare_get_walked"]),
    ]
    table = "\n".join(f"| {name} | {median - handler:.2f} |" for name, median in rows)
    return (
        f"Deciding costs, above the handler's own call, in microseconds (medians of one run of "
        f"`{bench['command']}`, Python {bench['python']}, {bench['processor']}):\n\n"
        f"| request | microseconds |\n|---|---|\n{table}"
    )


def serving(load: dict[str, Any]) -> str:
    """Return the table of the load test."""
    rows = "\n".join(
        f"| {route['route']} | {route['requests']} | {route['failures']} | {route['p50_ms']:.1f} "
        f"| {route['p95_ms']:.1f} | {route['p99_ms']:.1f} | {route['server']['p50_ms']:.1f} |"
        for route in [*load["routes"], load["total"]]
    )
    environment = load["environment"]
    return (
        f"A run of `{load['command']}` ({environment['load']}; {environment['cores']}; "
        f"{environment['machine']}), in milliseconds:\n\n"
        f"| route | requests | failed | p50 | p95 | p99 | p50 in the server |\n"
        f"|---|---|---|---|---|---|---|\n{rows}"
    )


def surprising() -> str:
    """Return the most surprising of the claims' results, each with a link to its page."""
    results = store.read(PUBLISHED / "claims")
    # A question that is put together from figures can only be told by who runs the experiment.
    questions = {
        name: library.stated(library.OURS / f"{name}.py").get("question", name.replace("_", " "))
        for name in results
    }
    pages = {
        one["theme"]: f"docs/claims/{one['theme'].replace(' ', '-')}.md" for one in results.values()
    }
    return markdown(surprises(results.values()), questions, pages)


def between(text: str, begin: str, end: str, figures: str) -> str:
    """Return a document's text with other figures between two marks, where it has the marks."""
    if begin not in text:
        return text
    before, rest = text.split(begin)
    return f"{before}{begin}\n{figures}\n{end}{rest.split(end)[1]}"


def documents() -> dict[Path, str]:
    """Return what each document says by the results that are kept."""
    peers = kept("peers.json")
    readme = between(README.read_text(), BEGIN, END, figures())
    readme = between(readme, BEGIN_SURPRISES, END_SURPRISES, surprising())
    return {
        README: between(readme, BEGIN_PEERS, END_PEERS, summary(peers)),
        PEERS: page(peers),
        COSTS: costs_page.page(kept("features.json"), kept("cost.json"), kept("overhead.json")),
    }


def write() -> None:
    """Write the documents, and the charts that they show."""
    for path, text in documents().items():
        path.write_text(text)
    for name, chart in draw(kept("peers.json")).items():
        PEERS.with_name(name).write_text(chart)


def main(action: str) -> int:
    """Do one of the three things that the module's docstring tells of."""
    if action == "check":
        return int(any(path.read_text() != text for path, text in documents().items()))
    if action == "measure":
        measure()
    elif action != "write":
        print(f"figures: {action!r} is none of measure, write, check", file=sys.stderr)
        return 1
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
