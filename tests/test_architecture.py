"""The rooms of both packages, what each may import, and what is public."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

from restmachine.decisions import DIAGRAM

ROOT = Path(__file__).parents[1]

# From top to bottom: a room imports only from rooms above it.
IN_ORDER = {
    "restmachine": """
        errors headers settings hooks departures layout workers streaming callbacks recipes
        cors csp decorators policies validation request response exchange routing resources
        storing flights response_cache
        negotiation preconditions ranges partial representations problems renditions
        outcome parsing converters binding dependencies multipart files questions registry decisions
        steps endings results direct checked observed linking inbound serving writing crossing plan
        router compiled hopping sending asgi application static targets servers testing diagram
        explanation
        exceptions error_models models content_renderers adapters server __main__ __init__
    """,
    "perfkit": """
        errors metrics record split timing spans tracing tracefiles otlp
        statements calls subclass occupancy libraries
        psycopg_driver psycopg_pools psycopg2_driver sqlite_driver asyncpg_driver
        sqlalchemy_engine redis_client httpx_client pools operations repeats
        histogram arrivals stats store tally exemplars totals meter caches clients
        machine guard usage processes worker terminal peer
        versions interleave regression workload turns comparison charts contender contest
        budgets options samples results exporter
        listeners allocations process functions garbage leaks memory loop
        gauges interpreter requests instrument asgi launched run
        scrape server supervisor services openloop generator verdict drawing plots report drive
        loadtest peerserver requester wire capacity point curves peers
        sampler calltree recording profiler profilee profile dashboards __main__ __init__
    """,
    "perfkit.claims": """
        experiment link upstream serving launching asking parts library measuring process wording
        judging schedule running lane lanes store ledger surprises plotting validation pages command
        __init__
    """,
}

ROOMS = {package: rooms.split() for package, rooms in IN_ORDER.items()}
# An experiment is written as a user of the claims would write it: it may use whatever it measures.
EXPERIMENTS = sorted((ROOT / "perfkit" / "claims" / "experiments").glob("*.py"))
MAY_USE = {
    "aiofiles", "asyncpg", "celery", "httpx", "limits", "orjson", "perfkit", "prometheus_client",
    "psutil", "psycopg", "psycopg2", "psycopg_pool", "pydantic", "redis", "restmachine",
    "sqlalchemy", "starlette", "ujson", "uvicorn",
}  # fmt: skip

# Each package from outside has one room, or few that are one subject.
THIRD_PARTIES = {
    "restmachine": {
        "orjson": {"representations"},
        "pydantic": {"validation", "exceptions", "error_models"},
        "python_multipart": {"multipart"},
        "uvicorn": {"servers"},
        "hypercorn": {"servers"},
    },
    "perfkit": {
        "asyncpg": {"asyncpg_driver"},
        "gevent": {"generator", "openloop"},
        "grafana_foundation_sdk": {"dashboards"},
        "hdrh": {"histogram"},
        "httptools": {"requester"},
        "httpx": {"httpx_client"},
        "jinja2": {"report"},
        "locust": {"generator", "openloop"},
        "matplotlib": {"charts", "drawing", "plots"},
        "memray": {"recording"},
        "numpy": {"stats"},
        "prometheus_client": {"exporter", "scrape"},
        "psutil": {"guard", "interleave", "machine", "process", "usage"},
        "psycopg": {"psycopg_driver"},
        "psycopg2": {"psycopg2_driver", "supervisor"},
        "psycopg_pool": {"psycopg_pools"},
        "pyinstrument": {"calltree", "sampler"},
        "redis": {"redis_client", "supervisor"},
        "restmachine": {
            "allocations",
            "calltree",
            "gauges",
            "instrument",
            "launched",
            "leaks",
            "loop",
            "memory",
            "requests",
            "profilee",
            "profiler",
            "run",
            "timing",
        },
        "sqlalchemy": {"sqlalchemy_engine"},
        "opentelemetry": {"otlp"},
        "uvicorn": {"peerserver"},
        "uvloop": {"contender", "point", "requester"},
    },
    "perfkit.claims": {
        "jinja2": {"pages"},
        "matplotlib": {"plotting"},
        "psutil": {"launching", "running"},
        "uvicorn": {"serving"},
    },
}
every_room = pytest.mark.parametrize(
    ("package", "room"), [(package, room) for package, rooms in ROOMS.items() for room in rooms]
)


def imported(package: str, room: str) -> set[str]:
    """Return the full names of the modules that a room imports when it runs."""
    return imports_of(folder_of(package) / f"{room}.py")


def folder_of(package: str) -> Path:
    return ROOT.joinpath(*package.split("."))


def imports_of(file: Path) -> set[str]:
    return set(chain.from_iterable(_names(node) for node in _running(ast.parse(file.read_text()))))


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node outside of `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from _running(node)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        return [f"{module}.{alias.name}" for alias in node.names] if module in ROOMS else [module]
    return []


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_has_its_place(package: str) -> None:
    files = {file.stem for file in folder_of(package).glob("*.py")}

    assert files == set(ROOMS[package])


@every_room
def test_imports_go_up(package: str, room: str) -> None:
    rooms = ROOMS[package]
    above = set(rooms[: rooms.index(room)])

    own = {
        name.removeprefix(f"{package}.").split(".")[0]
        for name in imported(package, room)
        if name.startswith(f"{package}.")
    }

    assert own <= above


@every_room
def test_a_package_knows_nothing_of_those_within_it(package: str, room: str) -> None:
    within = {other for other in ROOMS if other.startswith(f"{package}.")}

    assert not any(name.startswith(tuple(within)) for name in imported(package, room) if within)


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_an_experiment_uses_what_its_extra_brings(file: Path) -> None:
    tops = {name.split(".")[0] for name in imports_of(file)}

    assert tops - sys.stdlib_module_names <= MAY_USE


@every_room
def test_a_package_from_outside_is_imported_in_its_room_alone(package: str, room: str) -> None:
    tops = {name.split(".")[0] for name in imported(package, room)}
    outside = tops - sys.stdlib_module_names - {package.split(".")[0]}

    allowed = {name for name, rooms in THIRD_PARTIES[package].items() if room in rooms}
    assert outside <= allowed


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() + done.stderr.strip()


def test_restmachine_works_without_any_extra() -> None:
    missing = sorted(THIRD_PARTIES["restmachine"])
    code = f"""
import sys
sys.modules.update(dict.fromkeys({missing}))
import restmachine, restmachine.__main__, restmachine.testing
app = restmachine.RestApplication()
app.get("/")(lambda: {{"works": True}})
print(app.execute(restmachine.Request("GET", "/")).body)
"""

    assert run(code) == "b'{\"works\":true}'"


@pytest.mark.parametrize("module", ["perfkit", "perfkit.loadtest", "perfkit.regression"])
def test_locust_is_loaded_only_by_the_process_that_drives(module: str) -> None:
    code = f"import {module}, sys; print({{'locust', 'gevent'}} & set(sys.modules))"

    assert run(code) == "set()"


@pytest.mark.parametrize("package", ROOMS)
def test_all_names_what_is_public(package: str) -> None:
    module = import_module(package)

    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    public |= set(getattr(module, "_LATER", ()))
    assert sorted(module.__all__) == sorted(public)


@pytest.mark.parametrize("package", {package.split(".")[0] for package in ROOMS})
def test_types_are_shipped(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def names_of_tests() -> Iterator[str]:
    """Yield the names of tests of the diagram, and the ids in their tables."""
    folders = (ROOT / "tests" / name for name in ("http", "restmachine"))
    for file in chain.from_iterable(folder.glob("test_*.py") for folder in folders):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.name
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CASES":
                assert isinstance(node.value, ast.List)
                for row in node.value.elts:
                    assert isinstance(row, ast.Tuple)
                    yield ast.literal_eval(row.elts[0])


def test_every_decision_is_named_by_a_test() -> None:
    words = set(chain.from_iterable(re.split("[-_]", name.lower()) for name in names_of_tests()))

    assert {id for id in DIAGRAM if id.lower() not in words} == set()
