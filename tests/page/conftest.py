"""The performance page's code, executed as printed and asked in three ways.

    block of the page + stand-ins = stage
    stage + test client | app.execute | uvicorn in a process of its own = served

All of this is collected only where the page stands beside the checkout.

A test names the block it is about with the marker `block` and takes `served`; it then runs
once for every way of serving. The terminal report ends with a table of all blocks.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
import redis

from perfkit.services import POSTGRES_VARIABLE, REDIS_VARIABLE, Services, start_services

# Processes that serve find these modules by their plain names.
sys.path.append(str(Path(__file__).parent))

from blocks import BLOCKS, PAGE
from servings import SERVINGS, WITHIN_S, Served
from stage import Facts
from stub import Stub, running_stub

collect_ignore_glob = [] if PAGE.exists() else ["test_*.py"]

TABLES = """
DROP TABLE IF EXISTS posts, users;
CREATE TABLE users (
    id integer PRIMARY KEY, name text, email text, bio text,
    created_at timestamptz DEFAULT now()
);
INSERT INTO users
SELECT n, 'user ' || n, n || '@example.org', 'the story of ' || n,
       timestamptz '2024-01-01 00:00Z' + n * interval '1 hour'
FROM generate_series(1, 120) AS n;
UPDATE users SET name = 'Ada' WHERE id = 7;
CREATE TABLE posts (
    id integer PRIMARY KEY, title text, content text, created_at timestamptz,
    author_id integer REFERENCES users
);
INSERT INTO posts
SELECT n, 'title ' || n, 'content ' || n,
       timestamptz '2024-02-01 00:00Z' + n * interval '1 hour', n
FROM generate_series(1, 25) AS n;
GRANT ALL ON users, posts TO "user";
"""


# ---- what each test runs with ------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers that say which block a test is about."""
    config.addinivalue_line(
        "markers", "block(*sections, first_way=False, servings=...): what a test is about"
    )
    config.addinivalue_line("markers", "settings(block, serving): settings that a test starts")
    config.stash[VERDICTS] = Counter()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `served` with each of its blocks, in each way of serving."""
    if "served" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("block")
    whole = [name for name, block in BLOCKS.items() if block.is_application]
    options = marker.kwargs if marker else {}
    way = ", first way" if options.get("first_way") else ""
    names = [f"{section} 1{way}" for section in marker.args] if marker else whole
    servings = options.get("servings", SERVINGS)
    pairs = [(name, serving) for name in names for serving in servings]
    ids = [f"{name} | {serving}" for name, serving in pairs]
    metafunc.parametrize("served", pairs, ids=ids, indirect=True)


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """PostgreSQL with the page's database and role, and Redis; always private ones."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(POSTGRES_VARIABLE, raising=False)
            patch.delenv(REDIS_VARIABLE, raising=False)
            started = stack.enter_context(start_services(database="mydb"))
        yield started


@pytest.fixture(scope="session")
def postgres(services: Services) -> Iterator[psycopg2.extensions.connection]:
    """A connection of our own, which commits every statement."""
    connection = psycopg2.connect(services.postgres_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute('CREATE ROLE "user" LOGIN')
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def cache(services: Services) -> Iterator[redis.Redis]:
    """A client of Redis of our own."""
    with redis.Redis.from_url(services.redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture(scope="session")
def stub() -> Iterator[Stub]:
    """What stands for api.example.com."""
    with running_stub() as running:
        yield running


@pytest.fixture
def served(
    request: pytest.FixtureRequest,
    services: Services,
    postgres: psycopg2.extensions.connection,
    cache: redis.Redis,
    stub: Stub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:
    """Serve a block in one way, with fresh tables, an empty cache and a stub that forgot."""
    name, serving = request.param
    with postgres.cursor() as cursor:
        cursor.execute(TABLES)
    cache.flushdb()
    stub.reset()
    server = urlsplit(services.postgres_url)
    monkeypatch.setenv("PGPORT", str(server.port))
    monkeypatch.setenv("PGUSER", str(server.username))
    monkeypatch.setenv("PGAPPNAME", tmp_path.name[:60])
    # The process from which servers are forked imports before it is told any path.
    folders = (Path(__file__).parent, Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)), prepend=os.pathsep)
    facts = Facts(name, str(tmp_path), urlsplit(services.redis_url).port or 0, stub.server_port)
    running = SERVINGS[serving](facts)
    try:
        yield running
    finally:
        running.leave()


@pytest.fixture
def connections(
    postgres: psycopg2.extensions.connection, served: Served
) -> Callable[[], list[tuple[int, str]]]:
    """Return, by a call, process and role of each connection that the block has now."""

    def listed() -> list[tuple[int, str]]:
        with postgres.cursor() as cursor:
            cursor.execute(
                "SELECT pid, usename FROM pg_stat_activity WHERE application_name = %s",
                (served.name,),
            )
            return cursor.fetchall()

    return listed


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], bool]:
    """Return, by a call, whether something comes true soon; another process makes it so."""

    def comes_true(condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    return comes_true


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level("ERROR", logger="restmachine")


# ---- the table: block, runs, behaves -----------------------------------------------------

Verdict = tuple[str, str, str, bool]
VERDICTS = pytest.StashKey[Counter[Verdict]]()
"""How many tests of a block, a way of serving and a kind passed or failed."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    """Count a test for the table."""
    report: pytest.TestReport = yield
    if report.when == "call" or report.failed:
        for name, serving, kind in cells_of(item):
            item.config.stash[VERDICTS][name, serving, kind, report.passed] += 1
    return report


def cells_of(item: pytest.Item) -> list[tuple[str, str, str]]:
    """Return block, way of serving and kind of the cells that a test fills."""
    if settings := item.get_closest_marker("settings"):
        return [(*settings.args, kind) for kind in ("runs", "behaves")]
    callspec = getattr(item, "callspec", None)
    if callspec is None or "served" not in callspec.params:
        return []
    kind = "behaves" if item.get_closest_marker("block") else "runs"
    return [(*callspec.params["served"], kind)]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    verdicts = config.stash[VERDICTS]
    tested = [name for name in BLOCKS if any(name == verdict[0] for verdict in verdicts)]
    if not tested:
        return
    seen = {serving for _, serving, _, _ in verdicts}
    servings = [name for name in (*SERVINGS, "hypercorn") if name in seen]
    width = max(map(len, tested))
    line = f"{'':<{width}}" + "".join(f"  {name:<17}" for name in servings)
    terminalreporter.section("blocks of the performance page")
    terminalreporter.write_line(line.rstrip())
    line = f"{'block':<{width}}" + "  runs     behaves " * len(servings)
    terminalreporter.write_line(line.rstrip())
    for name in tested:
        cells = [
            told(verdicts[name, serving, kind, True], verdicts[name, serving, kind, False])
            for serving in servings
            for kind in ("runs", "behaves")
        ]
        line = f"{name:<{width}}" + "".join(f"  {cell:<7}" for cell in cells)
        terminalreporter.write_line(line.rstrip())


def told(passed: int, failed: int) -> str:
    """Return what a cell of the table says."""
    if failed:
        return "FAILED"
    return "yes" if passed else "-"
