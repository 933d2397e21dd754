from pathlib import Path

import pytest

from perfkit.drive import ScenarioError, generator_commands, scenario_classes
from perfkit.options import Options

HERE = Path(__file__).parent


def options(
    *, rate: float | None = None, distributed: int | None = None, bind: str | None = None
) -> Options:
    return Options(
        users=12, rate=rate, duration_s=90, scenarios=(), workers=1, host=None, port=None,
        distributed=distributed, bind=bind, budgets=None, output=None, app="a:b", seed=None,
        services=False, locustfile=Path("mine.py"),
    )  # fmt: skip


def test_one_generator_carries_the_whole_load() -> None:
    (command,) = generator_commands(options(rate=2.5), "http://h:1", ["Read", "Browse"], 5)

    line = " ".join(command)
    assert "perfkit.generator --locustfile mine.py --headless --host http://h:1" in line
    assert "--rate 2.5 --users 12 --spawn-rate 12 --run-time 90s" in line
    assert "--master" not in line
    assert command[-2:] == ["Read", "Browse"]


def test_a_closed_loop_has_no_rate() -> None:
    (command,) = generator_commands(options(), "http://h:1", ["Read"], 5)

    assert "--rate" not in command


def test_a_distributed_load_is_a_master_on_loopback_and_its_workers() -> None:
    master, *workers = generator_commands(options(distributed=2), "http://h:1", ["Read"], 5557)

    assert "--master --master-bind-host 127.0.0.1 --master-bind-port 5557" in " ".join(master)
    assert "--expect-workers 2" in " ".join(master)
    assert len(workers) == 2
    assert all("--worker --master-host 127.0.0.1 --master-port 5557" in " ".join(worker)
               for worker in workers)  # fmt: skip
    assert all("--users" not in worker for worker in workers)


def test_workers_on_other_machines_are_waited_for_and_not_started() -> None:
    remote = options(distributed=3, bind="192.0.2.7")

    (master,) = generator_commands(remote, "http://h:1", ["Read"], 5557)

    assert "--master-bind-host 192.0.2.7 --master-bind-port 5557" in " ".join(master)
    assert "--expect-workers 3" in " ".join(master)


def test_scenarios_are_named_by_attribute_or_class() -> None:
    found = scenario_classes(HERE / "toy_locustfile.py", ("slow", "read"))

    assert found == {"slow": "Slow", "read": "Read"}


def test_a_locustfile_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_thing\n")

    with pytest.raises(ScenarioError, match="No module named 'no_such_thing'"):
        scenario_classes(broken, ())


def test_a_locustfile_without_users_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("")

    with pytest.raises(ScenarioError, match="has no user class that Locust could run"):
        scenario_classes(empty, ())
