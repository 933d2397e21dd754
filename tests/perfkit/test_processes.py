import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from perfkit.processes import ProcessGroup, last_words, pinned, place, usable_cores

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    "time.sleep(60)",
]


def gone(pid: int, within_s: float = 30.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_the_server_gets_a_core_of_its_own() -> None:
    placement = place(workers=1, cores=[0, 1])

    assert (placement.server, placement.generator) == ((1,), (0,))
    assert placement.note == "server pinned to core 1, generator to core 0"


def test_each_worker_gets_a_core_while_one_is_left_for_the_generator() -> None:
    assert place(workers=2, cores=[0, 1, 2, 3]).server == (2, 3)
    assert place(workers=8, cores=[0, 1, 2, 3]).generator == (0,)


@pytest.mark.parametrize(
    ("cores", "words"), [([0], "share the only core"), (None, "cannot bind a process")]
)
def test_where_nothing_can_be_pinned_the_report_says_so(
    cores: list[int] | None, words: str
) -> None:
    placement = place(workers=1, cores=cores)

    assert (placement.server, placement.generator) == (None, None)
    assert words in placement.note


def test_a_child_inherits_the_cores_it_is_started_on(tmp_path: Path) -> None:
    cores = usable_cores()
    wanted = cores[-1:] if cores else None
    log = tmp_path / "log"
    code = "import os; print(getattr(os, 'sched_getaffinity', lambda _: None)(0))"

    with ProcessGroup() as group:
        group.start([sys.executable, "-c", code], log, cores=wanted).wait()

    assert log.read_text().strip() == str(set(wanted) if wanted else None)
    assert usable_cores() == cores


def test_pinning_ends_with_its_block() -> None:
    before = usable_cores()

    with pinned(None):
        inside = usable_cores()

    assert inside == usable_cores() == before


def test_the_end_of_the_block_ends_everything_started_in_it(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        child = group.start(SLEEP, tmp_path / "log")

    assert child.returncode == -signal.SIGTERM


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with ProcessGroup() as group:
        child = group.start(STUBBORN, log)
        wait_for(log, "deaf")

    assert child.returncode == -signal.SIGKILL


def test_grandchildren_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    grandchild = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True)"
    owner = (
        "import sys, pathlib; from perfkit.processes import ProcessGroup;"
        "group = ProcessGroup();"
        "group.start(sys.argv[2:], pathlib.Path(sys.argv[1])).wait();"
        "import time; time.sleep(60)"
    )
    command = [sys.executable, "-c", owner, str(log), sys.executable, "-c", grandchild, *SLEEP]
    log.touch()
    process = subprocess.Popen(command)
    wait_for(log, "\n")
    pid = int(log.read_text())

    process.kill()
    process.wait()

    assert gone(pid)


def test_the_group_is_not_the_terminal_s(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        child = group.start(SLEEP, tmp_path / "log")

        assert os.getpgid(child.pid) != os.getpgid(0)


def test_last_words_are_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Traceback\nValueError: no\n\n  \n")

    assert last_words(log) == "ValueError: no"

    log.write_text("")
    assert last_words(log) == "it wrote nothing"
