import os
import subprocess
import sys
import time

from perfkit.usage import ProcessUsage, Usage, cpu_seconds, unique_bytes


def compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_process_that_computes_wants_a_whole_core() -> None:
    usage = ProcessUsage()

    compute(0.5)

    assert usage.sample().wanted > 0.5


def test_a_process_that_sleeps_wants_nothing() -> None:
    usage = ProcessUsage()

    time.sleep(1.0)

    assert usage.sample().wanted < 0.5


def test_waiting_for_a_core_counts_as_wanting_it() -> None:
    before = os.sched_getaffinity(0)
    core = {min(before)}
    os.sched_setaffinity(0, core)
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        usage = ProcessUsage()
        compute(0.5)
        sample = usage.sample()
    finally:
        rival.kill()
        rival.wait()
        os.sched_setaffinity(0, before)

    assert sample.cpu < 0.9
    assert sample.wanted > sample.cpu + 0.1


def test_a_tree_includes_its_children_and_survives_its_own_end() -> None:
    code = (
        "import subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass']);"
        "print(child.pid, flush=True); sys.stdin.read(); child.kill(); child.wait()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    alone, tree = ProcessUsage(process.pid), ProcessUsage(process.pid, tree=True)

    time.sleep(0.5)
    usage = tree.sample()
    parent = alone.sample()
    process.communicate()

    assert usage.wanted > 0.3 > parent.wanted
    assert tree.sample() == Usage(0.0, 0.0)


def test_cpu_time_grows_by_what_a_process_computes() -> None:
    before = cpu_seconds(os.getpid())

    compute(0.3)

    assert 0.3 <= cpu_seconds(os.getpid()) - before < 0.6


def test_cpu_time_of_another_process_stands_still_while_it_waits() -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert waiting.stdout is not None
    waiting.stdout.readline()
    before = cpu_seconds(waiting.pid)

    time.sleep(0.5)
    after = cpu_seconds(waiting.pid)

    waiting.communicate(b"\n")
    assert before > 0
    assert after - before < 0.4


def test_memory_of_a_process_grows_by_what_it_holds() -> None:
    before = unique_bytes(os.getpid())

    held = b"x" * 50_000_000

    assert unique_bytes(os.getpid()) - before > 0.9 * len(held)
