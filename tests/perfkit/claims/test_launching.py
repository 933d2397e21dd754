"""Servers are real processes which answer, are told apart, and are gone after their block."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from celery import Celery
from redis import Redis

from perfkit.claims.asking import asking, cpu_per_request, statuses
from perfkit.claims.experiments import _served
from perfkit.claims.launching import Launched, Launcher
from perfkit.claims.parts import Session
from perfkit.errors import PerfkitError
from perfkit.processes import pinned, usable_cores
from perfkit.scrape import fetch

TASKS = """
import os
from pathlib import Path
from celery import Celery

tasks = Celery("some_tasks", broker=os.environ["BROKER"])

@tasks.task(name="some_tasks.remember")
def remember(path):
    Path(path).touch()
"""
SERVED = _served.SERVED
QUIET = "--log-level error --no-access-log"


@pytest.fixture
def launcher() -> Launcher:
    return Launcher(usable_cores())


def running(pids: Sequence[int]) -> list[int]:
    """Return those that have not ended; who inherited one may ask after it seconds later."""
    return [
        pid
        for pid in pids
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def everyone(server: Launched) -> set[str]:
    """Return the numbers that two workers answer with."""
    return {server.get("/worker") for _ in server.each_worker(2)}


def test_uvicorn_serves_a_file_and_is_gone_after_the_block(launcher: Launcher) -> None:
    with launcher.uvicorn(SERVED) as server:
        answer = server.get("/")
        pids = server.pids()

    assert answer == '{"hello":"world"}'
    assert len(pids) == 1
    assert fetch(server.url) is None
    assert running(pids) == []


def test_each_of_several_workers_can_be_asked_alone(launcher: Launcher) -> None:
    with launcher.uvicorn(SERVED, f"--workers 2 {QUIET}", apart=False) as server:
        answered = everyone(server)
        workers = server.workers()
        pids = server.pids()

    assert answered == {f'{{"worker":{worker}}}' for worker in workers}
    assert len(workers) == 2
    assert running(pids) == []


def test_hypercorn_takes_its_settings(launcher: Launcher) -> None:
    with launcher.hypercorn(SERVED, "workers = 2") as server:
        answer = server.get("/")
        pids = server.pids()

    assert answer == '{"hello":"world"}'
    assert len(pids) >= 3


def test_gunicorn_takes_options_and_settings(launcher: Launcher) -> None:
    with launcher.gunicorn(SERVED, "--workers 2", settings="keepalive = 3") as server:
        answer = server.get("/")
        pids = server.pids()

    assert answer == '{"hello":"world"}'
    assert len(pids) == 3


def test_a_program_gets_its_port_its_files_and_its_variables(launcher: Launcher) -> None:
    code = "import os, sys; print(open(sys.argv[1]).read(), os.environ['WORD'], flush=True)"
    command = [sys.executable, "-c", code, "{folder}/note"]

    with launcher.program(
        command, files={"note": "port {port}"}, variables={"WORD": "hello"}
    ) as server:
        server.wait_until(lambda: False, or_end=True)
        said = server.log.read_text()

    assert said == f"port {server.port} hello\n"


def test_a_server_that_ends_is_told_with_its_last_words(launcher: Launcher, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("raise ValueError('no such table')")

    with (
        pytest.raises(PerfkitError, match=r"the server died \(exit status 1: .*no such table"),
        launcher.uvicorn(str(file)),
    ):
        pass


def test_an_answer_that_is_no_200_is_an_error(launcher: Launcher) -> None:
    with launcher.uvicorn(SERVED) as server, pytest.raises(PerfkitError, match="/nothing: 404"):
        server.get("/nothing")


def test_a_server_leaves_the_core_of_who_asks_to_it() -> None:
    cores = usable_cores()
    assert cores

    with pinned(cores[:1]), Launcher(cores).program([sys.executable, "-c", "input()"]) as server:
        used = psutil.Process(server.process.pid).cpu_affinity()

    assert used == (cores[1:] or cores)


def test_celery_works_off_the_tasks_of_a_file(launcher: Launcher, tmp_path: Path) -> None:
    file = tmp_path / "some_tasks.py"
    file.write_text(TASKS)
    with Session() as session:
        url = session.settings(["redis"])["redis"]
        with (
            Redis.from_url(url) as client,
            launcher.celery(str(file), variables={"BROKER": url}) as worker,
        ):
            Celery(broker=url).send_task("some_tasks.remember", [str(tmp_path / "done")])
            worker.wait_until((tmp_path / "done").exists)
            left = client.llen("celery")

    assert left == 0


def test_what_is_asked_is_answered(launcher: Launcher) -> None:
    async def asked() -> tuple[int, float]:
        async with asking(server.port, "/", connections=4) as ask:
            return await ask(50), await cpu_per_request(server, ask, 50)

    with launcher.uvicorn(SERVED) as server:
        done, spent = asyncio.run(asked())

    assert done == 50
    assert 0 < spent < 0.1


def test_a_connection_that_the_server_closed_meanwhile_is_told(launcher: Launcher) -> None:
    async def asked() -> None:
        async with asking(server.port, "/", connections=1) as ask:
            await asyncio.sleep(1.5)
            await ask(1)

    with (
        launcher.uvicorn(SERVED, "--timeout-keep-alive 1 --log-level error") as server,
        pytest.raises(PerfkitError, match="closed a connection that was idle"),
    ):
        asyncio.run(asked())


def test_requests_at_once_are_answered_each(launcher: Launcher) -> None:
    with launcher.uvicorn(SERVED) as server:
        answered = asyncio.run(statuses(server.port, "/wait", 20))

    assert answered == [200] * 20
