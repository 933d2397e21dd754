"""What dead workers left is added up once, whoever is killed in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perfkit.store import FolderStore
from perfkit.totals import compact, live_processes, read_folder, summed

COUNTER, GAUGE = "perfkit_spans_dropped_total", "http_server_active_requests"
RECYCLED = 20


def recycle(folder: Path, workers: int, count: float = 1.0) -> None:
    """Let so many workers count, and end."""
    for _ in range(workers):
        store = FolderStore(folder)
        store.add(COUNTER, (), 1)[0] += count
        store.add(GAUGE, ("GET", "/"), 1)[0] += 1.0
        del store  # and with it goes the lock, as with the process


def total(folder: Path) -> float:
    return summed(read_folder(folder))[COUNTER, ()][0]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_of_the_dead_become_one(tmp_path: Path) -> None:
    recycle(tmp_path, RECYCLED)

    compact(tmp_path)

    assert left(tmp_path) == ["perfkit.lock", "perfkit.totals"]
    assert total(tmp_path) == RECYCLED


def test_a_few_files_are_left_alone(tmp_path: Path) -> None:
    recycle(tmp_path, 3)
    before = left(tmp_path)

    compact(tmp_path)

    assert left(tmp_path) == before
    assert total(tmp_path) == 3


def test_totals_grow_by_what_dies_later(tmp_path: Path) -> None:
    recycle(tmp_path, RECYCLED)
    compact(tmp_path)
    recycle(tmp_path, RECYCLED, count=2.0)

    compact(tmp_path)

    assert left(tmp_path) == ["perfkit.lock", "perfkit.totals"]
    assert total(tmp_path) == 3 * RECYCLED


def test_a_living_worker_keeps_its_file(tmp_path: Path) -> None:
    living = FolderStore(tmp_path)
    numbers = living.add(COUNTER, (), 1)
    recycle(tmp_path, RECYCLED)

    compact(tmp_path)
    numbers[0] += 100.0

    assert total(tmp_path) == RECYCLED + 100
    assert live_processes(tmp_path) == {os.getpid()}


def test_gauges_of_the_dead_are_not_added_up(tmp_path: Path) -> None:
    recycle(tmp_path, RECYCLED)

    compact(tmp_path)

    assert (GAUGE, ("GET", "/")) not in summed(read_folder(tmp_path))


# A process that adds up, and is killed at the so manieth change of the file system.
KILLED = """
import os, signal, sys
from pathlib import Path
from perfkit.totals import compact
left = int(sys.argv[2])

def watch(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
    if writes or event in ("os.rename", "os.remove"):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

sys.addaudithook(watch)
compact(Path(sys.argv[1]), few=2)
"""


def killed_after(changes: int, folder: Path) -> int:
    process = [sys.executable, "-c", KILLED, str(folder), str(changes)]
    return subprocess.run(process, check=False).returncode


# The lock, the new totals, their rename, then two files for each of three workers.
@pytest.mark.parametrize("changes", range(9))
def test_whoever_is_killed_in_the_middle_leaves_everything_counted_once(
    tmp_path: Path, changes: int
) -> None:
    recycle(tmp_path, 3)

    status = killed_after(changes, tmp_path)

    assert status == -signal.SIGKILL
    assert total(tmp_path) == 3
    recycle(tmp_path, 3)
    assert total(tmp_path) == 6
    compact(tmp_path, few=0)
    assert total(tmp_path) == 6
    assert left(tmp_path) == ["perfkit.lock", "perfkit.totals"]


def test_the_killing_covers_every_change(tmp_path: Path) -> None:
    recycle(tmp_path, 3)

    assert killed_after(9, tmp_path) == 0


# A process that adds up again and again, until its input ends.
ADDING = """
import select, sys
from pathlib import Path
from perfkit.totals import compact
while not select.select([sys.stdin], [], [], 0)[0]:
    compact(Path(sys.argv[1]), few=0)
"""


def test_a_reader_never_counts_twice_or_misses_while_several_add_up(tmp_path: Path) -> None:
    adding = [sys.executable, "-c", ADDING, str(tmp_path)]
    recycle(tmp_path, 1)
    processes = [subprocess.Popen(adding, stdin=subprocess.PIPE) for _ in range(2)]
    seen = []
    for _ in range(150):
        recycle(tmp_path, 1)
        seen.append(total(tmp_path))
    for process in processes:
        process.communicate()

    assert seen == [float(count) for count in range(2, 152)]
    assert [process.returncode for process in processes] == [0, 0]


def test_a_thousand_recycled_workers_leave_few_files(tmp_path: Path) -> None:
    for _ in range(100):
        recycle(tmp_path, 10)
        compact(tmp_path)

    assert total(tmp_path) == 1000
    assert len(left(tmp_path)) < 50


def test_what_a_killed_worker_never_finished_is_removed(tmp_path: Path) -> None:
    recycle(tmp_path, RECYCLED)
    old, young = tmp_path / "perfkit-1-old", tmp_path / "perfkit-2-young"
    for path in (old, young):
        path.with_suffix(".new").touch()
        path.with_suffix(".numbers").touch()
    long_ago = time.time() - 3600
    os.utime(old.with_suffix(".new"), (long_ago, long_ago))

    compact(tmp_path)

    assert [name for name in left(tmp_path) if name.startswith("perfkit-")] == [
        "perfkit-2-young.new",
        "perfkit-2-young.numbers",
    ]


def test_a_folder_that_cannot_be_written_keeps_its_files(tmp_path: Path) -> None:
    recycle(tmp_path, RECYCLED)
    (tmp_path / "perfkit.lock").mkdir()

    with pytest.raises(OSError, match=r"perfkit\.lock"):
        compact(tmp_path)

    assert total(tmp_path) == RECYCLED
