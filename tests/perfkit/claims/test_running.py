"""An experiment is run in turns, in fresh processes, and whatever ends it its rounds are kept."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.claims import running
from perfkit.claims.judging import Answer, judge
from perfkit.claims.library import Found, load
from perfkit.claims.parts import Part, Session
from perfkit.claims.running import Results, blank, run
from perfkit.errors import PerfkitError

PARENT = "import os\n    return lambda: os.getppid()"


def quiet(line: str) -> None:
    del line


def ran(found: Found, session: Session, **options: Any) -> Results:
    results = blank(found, seed=1)
    run(found, session, results, options.pop("progress", quiet), **options)
    return results


def variant(folder: Path, change: Callable[[str], str]) -> Found:
    file = folder / "sums.py"
    file.write_text(change(file.read_text()))
    return load(file)


def test_a_count_is_certain_after_three_generations(sums: Found, session: Session) -> None:
    results = ran(sums, session)

    assert judge(results).answer is Answer.CONFIRMED
    assert len(results["points"][0]["generations"]) == 3
    assert results["complete"]


def test_every_round_of_every_variant_and_of_the_control_is_kept(
    sums: Found, session: Session
) -> None:
    results = ran(sums, session)

    [first, *_] = results["points"][0]["generations"]
    assert first["rounds"] == {"twice": [2], "once": [1], "control": [2]}
    assert len(first["disturbed"]) == 1


def test_results_tell_the_machine_the_versions_and_the_source(sums: Found) -> None:
    results = blank(sums, seed=7)

    assert results["source"] == sums.source
    assert results["seed"] == 7
    assert {"machine", "Python", "packages", "source"} <= set(results["environment"])


def test_each_variant_has_a_process_of_its_own_in_each_generation(
    folder: Path, session: Session
) -> None:
    telling = "import os\n    return lambda: os.getpid()"
    found = variant(
        folder,
        lambda code: code.replace("return lambda: 2", telling).replace("return lambda: 1", telling),
    )

    results = ran(found, session, clock=itertools.count(0, 10).__next__)

    taken = [one["rounds"] for one in results["points"][0]["generations"]]
    pids = [set(rounds) for one in taken for rounds in one.values()]
    assert len(taken) >= 2
    assert all(len(rounds) == 1 for rounds in pids)
    assert len(set.union(*pids)) == len(pids)


def giving(folder: Path, body: str, change: Callable[[str], str] = str) -> Found:
    """Have both variants end with *body*, in an experiment that is changed otherwise as well."""
    return variant(
        folder,
        lambda code: change(
            code.replace("return lambda: 2", body).replace("return lambda: 1", body)
        ),
    )


def timed(code: str) -> str:
    return code.replace("CALLS", "OTHERS_WAIT")


def told(found: Found, session: Session) -> list[set[float]]:
    """Return what all rounds told, by generation."""
    results = ran(found, session, clock=itertools.count(0, 10).__next__)
    assert not results["failed"]
    taken = [one["rounds"] for one in results["points"][0]["generations"]]
    return [{value for values in rounds.values() for value in values} for rounds in taken]


def test_processes_of_what_is_counted_are_forks_of_one_in_each_generation(
    folder: Path, session: Session
) -> None:
    found = giving(folder, PARENT)

    first, second, *_ = told(found, session)

    assert len(first) == len(second) == 1
    assert first != second
    assert os.getpid() not in first | second


def test_processes_of_what_is_timed_are_all_started_anew(folder: Path, session: Session) -> None:
    found = giving(folder, PARENT, timed)

    assert told(found, session)[0] == {os.getpid()}


def test_timed_variants_are_set_up_at_the_same_time(
    folder: Path, session: Session, tmp_path: Path
) -> None:
    meeting = """

import os, time
from pathlib import Path


def met(place):
    Path(place, str(os.getpid())).touch()
    deadline = time.monotonic() + 20
    while len(list(Path(place).iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    number = len(list(Path(place).iterdir()))
    return lambda: number
"""
    (tmp_path / "place").mkdir()
    waiting = f"return met({str(tmp_path / 'place')!r})"
    found = giving(folder, waiting, lambda code: timed(code) + meeting)

    assert told(found, session)[0] == {3}


def test_timed_variants_that_share_a_database_are_set_up_one_after_another(
    folder: Path, session: Session, tmp_path: Path
) -> None:
    counting = """

import os, time
from pathlib import Path


def alone(place):
    mark = Path(place, str(os.getpid()))
    mark.touch()
    time.sleep(0.1)
    number = len(list(Path(place).iterdir()))
    mark.unlink()
    return lambda: number
"""
    (tmp_path / "place").mkdir()
    counted = f"return alone({str(tmp_path / 'place')!r})"
    found = giving(folder, counted, lambda code: timed(code).replace("():", "(redis):") + counting)

    assert told(found, session)[0] == {1}


def test_variants_that_need_no_isolation_share_a_process(folder: Path, session: Session) -> None:
    telling = "import os\n    return lambda: os.getpid()"
    found = variant(
        folder,
        lambda code: (
            code.replace("return lambda: 2", telling)
            .replace("return lambda: 1", telling)
            .replace("metric=CALLS,", "metric=CALLS, isolated=False,")
        ),
    )

    results = ran(found, session, clock=itertools.count(0, 10).__next__)

    first = results["points"][0]["generations"][0]["rounds"]
    assert len(set(first["twice"] + first["once"] + first["control"])) == 1


def test_the_budget_ends_a_run_that_cannot_tell(folder: Path, session: Session) -> None:
    random = "import random\n    return lambda: random.random()"
    found = variant(folder, lambda code: code.replace("return lambda: 1", random))

    results = ran(found, session, clock=itertools.count(0, 10).__next__)

    # The clock ticks ten seconds at each look; a budget of twenty is over three times at sixty.
    assert 1 <= len(results["points"][0]["generations"]) < 8
    assert judge(results).answer is Answer.UNDECIDED


def test_a_variant_that_fails_is_a_result_with_its_place(folder: Path, session: Session) -> None:
    found = variant(folder, lambda code: code.replace("return lambda: 1", "return lambda: 1 / 0"))

    results = ran(found, session)

    assert "ZeroDivisionError" in results["failed"]
    assert "sums.py" in results["failed"]
    assert judge(results).answer is Answer.NOT_RUN


def test_a_process_that_dies_is_a_result(folder: Path, session: Session) -> None:
    dying = "import os\n    return lambda: os._exit(3)"
    found = variant(folder, lambda code: code.replace("return lambda: 1", dying))

    assert "status 3" in ran(found, session)["failed"]


def test_a_missing_part_says_what_to_install(folder: Path) -> None:
    absent = Part("no program", install="apt-get install it", programs=("no-such-program",))
    found = variant(
        folder, lambda code: code.replace("metric=CALLS,", 'metric=CALLS, needs=["nginx"],')
    )
    with Session({"nginx": absent}) as session:
        results = ran(found, session)

    assert results["not_run"] == "needs no-such-program, install with apt-get install it"
    assert judge(results).answer is Answer.NOT_RUN


def test_a_missing_package_says_what_to_install(folder: Path, session: Session) -> None:
    found = variant(folder, lambda code: "import no_such_package\n" + code)

    results = ran(found, session)

    assert results["not_run"].startswith("needs no_such_package, install with pip install")
    assert results["claims"] == ["O-02"]


def test_a_part_that_does_not_start_fails_its_experiment_alone(folder: Path) -> None:
    def refuse(stack: object) -> None:
        raise PerfkitError("no port is free")

    broken = Part("a server", start=refuse)
    found = variant(
        folder, lambda code: code.replace("metric=CALLS,", 'metric=CALLS, needs=["nginx"],')
    )
    with Session({"nginx": broken}) as session:
        results = ran(found, session)

    assert results["failed"] == "no port is free"


def test_an_interrupted_run_keeps_what_was_measured(sums: Found, session: Session) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    results = blank(sums, seed=1)
    with pytest.raises(KeyboardInterrupt):
        run(sums, session, results, interrupt)

    assert len(results["points"][0]["generations"]) == 1
    assert not results["complete"]


def test_too_much_memory_is_a_failure(
    sums: Found, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MEMORY_MIB", 1)

    assert "MiB, over 1" in ran(sums, session)["failed"]


def test_memory_is_that_of_the_variants_and_not_of_who_starts_them(
    sums: Found, session: Session
) -> None:
    held = b"x" * (600 * 2**20)

    results = ran(sums, session)

    assert len(held) > 500 * 2**20
    assert 10 < results["memory_mib"] < 500
    assert not results["failed"]


def test_a_disturbed_turn_is_repeated_and_marked(
    sums: Found, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfkit.claims.running.STEAL_SHARE", -1)
    monkeypatch.setattr("perfkit.claims.running.LONG_TURN_SECONDS", 60)

    results = ran(sums, session)

    [first, *_] = results["points"][0]["generations"]
    assert first["disturbed"] == [True]
    assert results["repeated"] == 3 * 2


def test_a_clock_that_jumps_disturbs(monkeypatch: pytest.MonkeyPatch) -> None:
    walls = iter([1000.0, 1000.2, 1003.0])
    steady = iter([5.0, 5.2, 5.4])
    monkeypatch.setattr("perfkit.claims.running.time.time", lambda: next(walls))
    monkeypatch.setattr("perfkit.claims.running.time.monotonic", lambda: next(steady))
    monkeypatch.setattr("perfkit.claims.running.STEAL_SHARE", 10)
    watch = running._Watch()

    assert [watch.disturbed(), watch.disturbed()] == [False, True]


def test_preparation_is_there_for_every_variant_and_cleared_up_after_them(
    folder: Path, session: Session
) -> None:
    mark = folder / "mark"
    preparing = f"""
from pathlib import Path

@experiment.prepare
def marked():
    Path({str(mark)!r}).write_text("7")
    yield
    Path({str(mark)!r}).unlink()
"""
    reading = f"return lambda: int(Path({str(mark)!r}).read_text())"
    found = variant(folder, lambda code: code.replace("return lambda: 1", reading) + preparing)

    results = ran(found, session)

    assert results["points"][0]["generations"][0]["rounds"]["once"] == [7]
    assert not mark.exists()


def test_timing_finds_a_large_effect_and_spends_little_on_statistics(
    folder: Path, session: Session
) -> None:
    found = variant(
        folder,
        lambda code: (
            code.replace("CALLS", "LATENCY")
            .replace("return lambda: 2", "return lambda: sum(range(20_000))")
            .replace("return lambda: 1", "return lambda: sum(range(1000))")
        ),
    )

    results = ran(found, session)

    verdict = judge(results)
    assert verdict.answer is Answer.CONFIRMED
    assert results["statistics_s"] < 0.02 * results["elapsed_s"]
    assert results["memory_mib"] < 500
