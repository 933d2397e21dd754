"""Where numbers are kept: seen by other processes, and there after a violent end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perfkit import store
from perfkit.store import FolderStore, MemoryStore
from perfkit.totals import live_processes, read_folder

# A worker which counts three requests, says so, and waits to be ended.
WORKER = """
import sys
from pathlib import Path
from perfkit.store import FolderStore
store = FolderStore(Path(sys.argv[1]))
store.add("requests", ("GET",), 2)[0] += 3.0
print("counted", flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has counted three requests in *folder* and goes on living."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"counted\n"
            yield process
        finally:
            process.kill()


def test_memory_shows_numbers_as_they_are_now() -> None:
    memory = MemoryStore()
    numbers = memory.add("requests", ("GET", "/"), 2)

    numbers[1] += 5.0

    assert [tuple(series) for series in memory.read()] == [
        ("requests", ("GET", "/"), [0.0, 5.0], True)
    ]


def test_a_folder_shows_what_another_process_counts_while_it_lives(tmp_path: Path) -> None:
    with worker(tmp_path) as process:
        (series,) = read_folder(tmp_path)

        assert (series.metric, series.labels, list(series.numbers)) == (
            "requests",
            ("GET",),
            [3.0, 0.0],
        )
        assert series.alive
        assert live_processes(tmp_path) == {process.pid}


def test_what_a_process_counted_outlives_its_kill(tmp_path: Path) -> None:
    with worker(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()

        (series,) = read_folder(tmp_path)

    assert list(series.numbers) == [3.0, 0.0]
    assert not series.alive
    assert live_processes(tmp_path) == set()


def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    length = store.FILE_BYTES // store.DOUBLE_BYTES
    numbers = FolderStore(tmp_path)

    rows = [numbers.add("requests", (str(index),), length) for index in range(3)]
    rows[2][0] += 7.0

    assert sorted((series.labels, series.numbers[0]) for series in read_folder(tmp_path)) == [
        (("0",), 0.0),
        (("1",), 0.0),
        (("2",), 7.0),
    ]


def test_series_of_one_file_keep_their_own_numbers(tmp_path: Path) -> None:
    numbers = FolderStore(tmp_path)

    numbers.add("requests", ("GET",), 2)[1] += 1.0
    numbers.add("requests", ("PUT",), 3)[2] += 2.0

    assert [(series.labels, list(series.numbers)) for series in read_folder(tmp_path)] == [
        (("GET",), [0.0, 1.0]),
        (("PUT",), [0.0, 0.0, 2.0]),
    ]


def test_two_stores_of_one_process_do_not_share_numbers(tmp_path: Path) -> None:
    first, second = FolderStore(tmp_path), FolderStore(tmp_path)

    first.add("requests", (), 1)[0] += 1.0
    second.add("requests", (), 1)[0] += 2.0

    assert sorted(series.numbers[0] for series in read_folder(tmp_path)) == [1.0, 2.0]


def test_a_half_written_key_is_not_read(tmp_path: Path) -> None:
    FolderStore(tmp_path).add("requests", ("GET",), 1)
    (keys,) = tmp_path.glob("*.keys")

    with keys.open("ab") as file:
        file.write(b'["requests", ["PO')

    assert [series.labels for series in read_folder(tmp_path)] == [("GET",)]


def test_a_forked_child_writes_to_files_of_its_own(tmp_path: Path) -> None:
    forking = (
        "import os, sys; from pathlib import Path; from perfkit.store import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1]))\n"
        "store.add('requests', (), 1)[0] += 1\n"
        "if os.fork() == 0:\n"
        "    store.add('requests', (), 1)[0] += 10\n"
        "else:\n"
        "    os.wait()\n"
    )

    subprocess.run([sys.executable, "-c", forking, str(tmp_path)], check=True)

    assert sorted(series.numbers[0] for series in read_folder(tmp_path)) == [1.0, 10.0]


def test_a_forked_child_does_not_keep_its_parent_alive(tmp_path: Path) -> None:
    forking = (
        "import os, sys; from pathlib import Path; from perfkit.store import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1]))\n"
        "store.add('requests', (), 1)\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    store.add('requests', (), 1)\n"
        "    print(parent, os.getpid(), flush=True)\n"
        "    sys.stdin.read()\n"
    )

    with subprocess.Popen(
        [sys.executable, "-c", forking, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        parent, child = map(int, process.stdout.readline().split())
        process.wait()

        assert live_processes(tmp_path) == {child}
        assert child != parent


def test_a_folder_that_goes_away_costs_numbers_and_not_requests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    numbers = FolderStore(folder)
    before = numbers.add("requests", ("before",), 5000)
    folder.rename(tmp_path / "elsewhere")

    rows = [before, *(numbers.add("requests", (str(index),), 5000) for index in range(2))]
    for row in rows:
        row[4999] += 1.0

    assert [series.labels for series in read_folder(tmp_path / "elsewhere")] == [("before",)]
    assert len(live_processes(tmp_path / "elsewhere")) == 1
    assert len(caplog.messages) == 1
    assert "are lost from here on" in caplog.messages[0]
