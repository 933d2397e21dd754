from itertools import count
from pathlib import Path
from random import Random

import psutil
import pytest

from perfkit.interleave import (
    Bench,
    Plan,
    Samples,
    benchmark_names,
    collect,
    generation,
    prepare,
    time_generation,
)
from perfkit.versions import Trees

BENCHMARKS = """\
import sys

import toy


def bench_one(benchmark):
    benchmark(toy.handle, 1)


def bench_two(benchmark):
    print("noise on standard output")
    assert benchmark(lambda: toy.handle(size=2)) == 1


def no_benchmark():
    raise AssertionError
"""
ONE, TWO = "bench_toy.py::bench_one", "bench_toy.py::bench_two"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two equal versions of a package `toy` and two benchmarks for it."""
    trees = Trees(tmp_path / "base", tmp_path / "head")
    sources = {
        trees.base / "toy.py": "def handle(size):\n    return sum(range(size))\n",
        trees.head / "toy.py": "def handle(size):\n    return sum(range(size))\n",
        trees.base / "benchmarks" / "bench_old.py": "def bench_old(benchmark):\n    ...\n",
        trees.head / "benchmarks" / "bench_toy.py": BENCHMARKS,
        trees.head / "benchmarks" / "helper.py": "def bench_nothing():\n    ...\n",
    }
    for folder in {path.parent for path in sources}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, source in sources.items():
        path.write_text(source)
    return Bench(trees, trees.head / "benchmarks", ["toy"])


def _any(name: str) -> bool:
    return True


def test_benchmarks_are_found_without_running_them(bench: Bench) -> None:
    assert benchmark_names(bench.benchmarks) == [ONE, TWO]


def test_what_runs_on_both_sides_gets_one_number_of_calls_for_both(bench: Bench) -> None:
    plan = prepare(bench, _any)

    assert set(plan.calls) == {ONE, TWO}
    assert min(plan.calls.values()) > 1
    assert plan.new == {}
    assert plan.gone == ["bench_old.py::bench_old"]


def test_only_wanted_benchmarks_are_prepared(bench: Bench) -> None:
    plan = prepare(bench, lambda name: name == TWO)

    assert set(plan.calls) == {TWO}
    assert plan.gone == []


def test_what_base_cannot_run_is_new(bench: Bench) -> None:
    (bench.trees.base / "toy.py").write_text("def handle(*, size):\n    return 1\n")

    plan = prepare(bench, _any)

    assert set(plan.calls) == {TWO}
    assert set(plan.new) == {ONE}
    assert "TypeError: handle() takes 0 positional arguments" in plan.new[ONE]


def test_both_sides_share_core_and_hash_seed_and_differ_in_their_tree(bench: Bench) -> None:
    asked = "import os, toy\nREPORT = [sorted(os.sched_getaffinity(0)), hash('x'), toy.__file__]\n"
    told = "def bench_told(benchmark):\n    raise ValueError(REPORT)\n"
    (bench.benchmarks / "bench_told.py").write_text(asked + told)

    with generation(bench, ["bench_told.py::bench_told"], seed=7) as workers:
        base, head = (worker.answer()["broken"].popitem()[1] for worker in workers)

    assert base.replace(str(bench.trees.base), "TREE") == head.replace(
        str(bench.trees.head), "TREE"
    )
    assert str(bench.trees.base) in base


def test_no_process_outlives_its_generation(bench: Bench) -> None:
    others = set(psutil.Process().children())

    with generation(bench, [ONE], seed=1) as workers:
        started = [worker.answer()["ready"] for worker in workers]
        running = set(psutil.Process().children()) - others

    assert started == [[ONE], [ONE]]
    assert len(running) == 2
    assert not any(process.is_running() for process in running)


def test_each_pass_times_each_side_first_once(bench: Bench) -> None:
    plan = Plan({ONE: 10, TWO: 10}, passes=3, new={}, gone=[])

    with generation(bench, [ONE, TWO], seed=1) as workers:
        assert [len(worker.answer()["ready"]) for worker in workers] == [2, 2]
        taken = time_generation(workers, plan, [ONE, TWO], Random(0))

    [pairs] = taken[ONE]
    firsts = [pair.base_first for pair in pairs]
    assert [firsts[0] + firsts[1], firsts[2] + firsts[3], firsts[4] + firsts[5]] == [1, 1, 1]
    assert min(min(pair.base, pair.head) for pair in pairs) > 0
    assert [len(pairs) for pairs in taken[TWO]] == [6]


def test_settled_benchmarks_leave_the_run_and_the_others_go_on(bench: Bench) -> None:
    plan = Plan({ONE: 10, TWO: 10}, passes=2, new={}, gone=[])
    looked: list[int] = []
    ticks = count()

    def decided(samples: Samples) -> list[str]:
        looked.append(len(samples[TWO]))
        return [ONE]

    collect(bench, plan, [4.0, 8.0], decided, lambda line: None, clock=lambda: float(next(ticks)))

    assert len(plan.samples[ONE]) == looked[0] < looked[1] == len(plan.samples[TWO])


def test_a_run_ends_early_when_all_is_settled(bench: Bench) -> None:
    plan = Plan({ONE: 10}, passes=2, new={}, gone=[])
    ticks = count()

    collect(bench, plan, [2.0, 1e9], list, lambda line: None, clock=lambda: float(next(ticks)))

    assert len(plan.samples[ONE]) == 1
