"""The whole command as a user starts it, against a toy service."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MARK = "PERFKIT_TEST_RUN"


class Run:
    """One command, and every process that came of it, known by a mark in its environment."""

    def __init__(self, folder: Path, *options: str, server: bool = True) -> None:
        self.report = folder / "report"
        self.mark = uuid4().hex
        paths = [str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        ours = ["--app", "toy_service:app", "--no-services"] if server else []
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "perfkit", "loadtest", *ours, "--output", self.report),
                *("--locustfile", HERE / "toy_locustfile.py", "--duration", "1", *options),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> None:
        self.stdout, self.stderr = self.process.communicate(timeout=110)
        self.status = self.process.returncode

    def wait_for_load(self) -> None:
        """Return when the first line of progress is there."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "/s " in line:
                return

    @property
    def last_line(self) -> str:
        return self.stdout.splitlines()[-1]

    @property
    def found(self) -> dict:
        return json.loads((self.report / "report.json").read_text())

    def descendants(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def survivors_after(self, seconds: float) -> list[psutil.Process]:
        deadline = time.monotonic() + seconds
        while self.descendants() and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.descendants()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self.mark
        except (psutil.Error, OSError):
            return False


def finished(folder: Path, *options: str, server: bool = True) -> Run:
    run = Run(folder, *options, server=server)
    run.finish()
    return run


def child(run: Run, word: str) -> psutil.Process:
    return next(process for process in run.descendants() if word in process.cmdline())


def budgets(folder: Path, text: str) -> str:
    file = folder / "budgets.toml"
    file.write_text(text)
    return str(file)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def clean_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("clean")
    limits = budgets(folder, '[total]\nerror_ratio = 0\n[routes."GET /slow"]\np95_ms = 1\n')
    return finished(folder, "--scenario", "read", "--budgets", limits, "--duration", "2")


def test_a_run_within_budget_ends_with_status_0_and_says_so_last(clean_run: Run) -> None:
    assert clean_run.status == 0, clean_run.last_line
    assert clean_run.last_line.startswith(
        "within budget: 1 of 2 budgets met, 1 not exercised; report"
    )


def test_client_and_server_count_the_same_requests(clean_run: Run) -> None:
    route = clean_run.found["routes"][0]

    assert route["route"] == "GET /items/{id}"
    assert route["requests"] > 20
    assert route["server"]["requests"] == route["requests"]
    assert route["server"]["counts_agree"]
    assert 0 < route["server"]["p50_ms"] <= route["server"]["p99_ms"]


def test_the_table_on_standard_output_shows_both_sides(clean_run: Run) -> None:
    heading, route, total = clean_run.stdout.splitlines()[:3]

    assert heading.split()[:3] == ["route", "requests", "rate/s"]
    assert route.startswith("GET /items/{id} ")
    assert route.endswith("agree")
    assert total.startswith("total ")


def test_progress_goes_to_standard_error_with_the_placement(clean_run: Run) -> None:
    assert "    1 s " in clean_run.stderr
    assert "pinned" in clean_run.stderr


def test_the_folder_of_a_run_holds_page_data_and_logs(clean_run: Run) -> None:
    names = {path.name for path in clean_run.report.iterdir()}

    with (clean_run.report / "requests.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert names == {
        *("index.html", "report.json", "requests.csv", "timeline.csv"),
        *("generator.log", "server.log"),
    }
    assert [row["route"] for row in rows] == ["GET /items/{id}", "total"]
    assert int(rows[1]["requests"]) == clean_run.found["total"]["requests"]


def test_a_finished_run_leaves_no_process(clean_run: Run) -> None:
    assert clean_run.descendants() == []


def test_a_broken_budget_ends_with_status_3_and_names_route_and_limit(tmp_path: Path) -> None:
    limits = budgets(tmp_path, '[routes."GET /slow"]\np95_ms = 50\n')

    run = finished(tmp_path, "--scenario", "slow", "--budgets", limits)

    assert run.status == 3
    assert run.last_line.startswith("budget broken: GET /slow p95 2")
    assert "budget at most 50 ms" in run.last_line


def test_failed_requests_are_counted_apart_and_still_timed(tmp_path: Path) -> None:
    limits = budgets(tmp_path, "[total]\nerror_ratio = 0.5\n")

    run = finished(tmp_path, "--scenario", "fail", "--budgets", limits)

    route = run.found["routes"][0]
    assert run.status == 3
    assert "total error ratio 100 %" in run.last_line
    assert route["failures"] == route["requests"] > 0
    assert route["unanswered"] == 0
    assert route["p50_ms"] > 0
    assert run.found["errors"][0]["count"] == route["failures"]


def test_requests_that_a_hanging_server_never_answers_are_failures(tmp_path: Path) -> None:
    limits = budgets(tmp_path, "[total]\nerror_ratio = 0\n")

    run = finished(tmp_path, "--scenario", "hang", "--budgets", limits, "--users", "5")

    total = run.found["total"]
    assert (total["requests"], total["failures"], total["unanswered"]) == (5, 5, 5)
    assert run.found["errors"][0]["error"] == "no answer when the run ended"
    assert run.status == 3


def test_a_server_that_dies_makes_the_run_void(tmp_path: Path) -> None:
    run = finished(tmp_path, "--scenario", "fatal", "--duration", "5")

    assert run.status == 2
    assert run.last_line.startswith("void: the server died (killed by signal 9) after ")
    assert (run.report / "index.html").exists()
    assert run.descendants() == []


def test_a_rate_beyond_the_generator_makes_the_run_void(tmp_path: Path) -> None:
    run = finished(tmp_path, "--scenario", "read", "--rate", "30000", "--duration", "3")

    assert run.status == 2
    assert run.last_line.startswith("void: client saturated: ")
    assert "the load generator" in run.last_line


def test_an_open_loop_run_keeps_its_rate_and_charges_waiting_to_latency(tmp_path: Path) -> None:
    run = finished(
        tmp_path, "--scenario", "slow", "--rate", "40", "--users", "4", "--duration", "3"
    )

    # Four users at 0.2 s each answer 20 requests a second at most.
    assert run.found["total"]["p50_ms"] > 300
    assert run.found["total"]["server"]["p50_ms"] < 300
    assert run.status == 2
    assert "with all 4 users waiting for answers" in run.last_line


def test_an_open_loop_run_sends_as_many_requests_as_demanded(tmp_path: Path) -> None:
    run = finished(tmp_path, "--scenario", "read", "--rate", "100", "--duration", "3")

    # The schedule holds 300; the last ones may be due after the users have stopped.
    assert run.status == 0, run.last_line
    assert 280 < run.found["total"]["requests"] <= 300


def test_a_rate_refuses_users_that_follow_no_schedule(tmp_path: Path) -> None:
    run = finished(tmp_path, "--scenario", "closed", "--rate", "10")

    assert run.status == 1
    assert "derive Closed from perfkit.openloop.OpenLoopUser" in run.last_line
    assert run.descendants() == []


def test_load_workers_report_through_a_master_without_losing_requests(tmp_path: Path) -> None:
    run = finished(
        tmp_path, "--scenario", "read", "--distributed", "2", "--users", "6", "--duration", "2"
    )

    assert run.status == 0, run.last_line
    assert len(run.found["generators"]) == 2
    assert run.found["total"]["server"]["counts_agree"]
    assert run.descendants() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_and_still_writes_the_report(
    tmp_path: Path, number: signal.Signals
) -> None:
    run = Run(tmp_path, "--scenario", "read", "--duration", "60")
    run.wait_for_load()

    run.process.send_signal(number)
    run.finish()

    assert run.status == 2
    assert run.last_line.startswith(f"void: interrupted by {number.name} after ")
    assert run.found["total"]["requests"] > 0
    assert run.descendants() == []


def test_a_second_signal_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, "--scenario", "read", "--duration", "60")
    run.wait_for_load()
    child(run, "perfkit.generator").suspend()

    run.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    run.process.send_signal(signal.SIGINT)
    run.finish()

    assert run.status == 2
    assert run.last_line == "void: interrupted twice, so no report was finished"
    assert run.survivors_after(30) == []


def test_nothing_survives_a_runner_that_is_killed(tmp_path: Path) -> None:
    run = Run(tmp_path, "--scenario", "read", "--duration", "60", "--distributed", "1")
    run.wait_for_load()

    run.process.kill()
    run.finish()

    assert run.survivors_after(30) == []


def test_a_generator_that_dies_makes_the_run_void(tmp_path: Path) -> None:
    run = Run(tmp_path, "--scenario", "read", "--duration", "60")
    run.wait_for_load()

    child(run, "perfkit.generator").kill()
    run.finish()

    assert run.status == 2
    assert run.last_line.startswith("void: the load generator died (killed by signal 9)")


def test_a_host_that_runs_already_is_driven_and_its_metrics_read(tmp_path: Path) -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "toy_service:app", "--port", str(port)],
        cwd=HERE,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)

        host = f"http://127.0.0.1:{port}"
        run = finished(
            tmp_path, "--host", host, "--scenario", "read", "--duration", "2", server=False
        )

        assert run.status == 0, run.last_line
        assert run.found["total"]["server"]["counts_agree"]
        assert server.poll() is None
    finally:
        server.terminate()
        server.wait()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def test_a_host_that_does_not_answer_is_one_line_and_status_1(tmp_path: Path) -> None:
    host = f"http://127.0.0.1:{free_port()}"

    run = finished(tmp_path, "--host", host, server=False)

    assert run.status == 1
    assert run.stdout == f"error: --host {host}: nothing answers there; is the server running?\n"
    assert run.stderr == ""
    assert not run.report.exists()


def test_an_unknown_scenario_names_those_that_exist(tmp_path: Path) -> None:
    run = finished(tmp_path, "--scenario", "raed")

    assert run.status == 1
    assert run.stdout == (
        'error: unknown scenario "raed": did you mean "read"? '
        "there are closed, fail, fatal, hang, read, slow\n"
    )


def test_a_port_in_use_is_one_line_and_status_1(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        run = finished(tmp_path, "--port", str(port))

    assert run.status == 1
    assert run.stdout.startswith(f"error: cannot use port {port} of 127.0.0.1: Address already in")
    assert not run.report.exists()


def test_an_application_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    run = finished(tmp_path, "--app", "no_such_module:app")

    assert run.status == 1
    assert run.last_line.startswith("error: the server died (exit status ")
    assert 'Could not import module "no_such_module"' in run.last_line
    assert run.descendants() == []
