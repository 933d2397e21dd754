"""`python -m perfkit run`: an unchanged application, served and measured."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from perfkit.__main__ import main
from perfkit.scrape import fetch
from perfkit.server import choose_port

APPLICATIONS = """
import asyncio
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from restmachine import ASGIAdapter, RestApplication
import perfkit

app = RestApplication()

@app.get("/items/{item_id}")
async def item(item_id):
    return {"id": item_id}

@app.get("/slow")
async def slow():
    while not Path("go on").exists():
        await asyncio.sleep(0.01)
    return "done"

asgi_app = ASGIAdapter(app)

async def plain(request):
    return PlainTextResponse("x")

other = Starlette(routes=[Route("/items/{item_id}", plain)])

own = RestApplication()
own.get("/items/{item_id}")(lambda item_id: item_id)
perfkit.instrument(own)
"""
READY_SECONDS = 60.0
ACTIVE = 'http_server_active_requests{http_request_method="GET",http_route="/slow"} 1.0'
REQUESTS = "http_server_request_duration_seconds_count"


@contextmanager
def running(folder: Path, *options: str) -> Iterator[str]:
    """Serve what `APPLICATIONS` has, with options, and yield its address when it answers."""
    (folder / "served.py").write_text(APPLICATIONS)
    port = choose_port(None)
    command = [sys.executable, "-m", "perfkit", "run", "--port", str(port), *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + READY_SECONDS
            while fetch(f"{url}/ready") is None:
                assert time.monotonic() < deadline and process.poll() is None, (
                    folder / "log"
                ).read_text()
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def requests_of(url: str) -> list[tuple[str, str]]:
    """Return the labels of a route and the number of requests that a scrape shows for it."""
    answer = fetch(url)
    assert answer is not None
    found = re.findall(rf"^{REQUESTS}{{.*http_route=\"(.*?)\".*}} (.*)$", answer[1], re.MULTILINE)
    return sorted(found)


@pytest.mark.parametrize("target", ["served:asgi_app", "served:app", "served:other", "served:own"])
def test_an_unchanged_application_has_metrics(tmp_path: Path, target: str) -> None:
    with running(tmp_path, target) as url:
        fetch(f"{url}/items/1")

        shown = requests_of(f"{url}/metrics")

    assert ("/items/{item_id}", "1.0") in shown
    assert {route for route, _ in shown} == {"/items/{item_id}", "_UNMATCHED"}


def test_workers_show_their_sum_on_one_port(tmp_path: Path) -> None:
    port = choose_port(None)
    options = ("--workers", "2", "--metrics-port", str(port), "--exclude", "/excluded")
    with running(tmp_path, "served:asgi_app", *options) as url:
        for _ in range(20):
            fetch(f"{url}/items/1")
        on_the_application = fetch(f"{url}/metrics")

        shown = requests_of(f"http://127.0.0.1:{port}/anything")

    assert ("/items/{item_id}", "20.0") in shown
    assert on_the_application is not None
    assert on_the_application[0] == 404


def test_one_process_may_show_its_metrics_on_a_port_of_their_own(tmp_path: Path) -> None:
    port = choose_port(None)
    with running(tmp_path, "served:other", "--metrics-port", str(port)) as url:
        fetch(f"{url}/items/1")

        shown = requests_of(f"http://127.0.0.1:{port}/metrics")

    assert ("/items/{item_id}", "1.0") in shown


def test_settings_may_come_from_a_file(tmp_path: Path) -> None:
    port = choose_port(None)
    (tmp_path / "settings.py").write_text("workers = 2\nlog_level = 'warning'\n")
    options = ("--config", "settings.py", "--metrics-port", str(port), "--metrics-path", "/m")
    with running(tmp_path, "served:asgi_app", *options) as url:
        fetch(f"{url}/items/1")

        answer = fetch(f"http://127.0.0.1:{port}/m")

    assert answer is not None
    assert "process_open_fds{pid=" in answer[1]  # as only several workers show it


def test_scrapes_are_answered_while_the_server_shuts_down(tmp_path: Path) -> None:
    port = choose_port(None)
    with (
        running(tmp_path, "served:asgi_app", "--metrics-port", str(port)) as url,
        ThreadPoolExecutor() as pool,
    ):
        last = pool.submit(fetch, f"{url}/slow", timeout_s=READY_SECONDS)
        while ACTIVE not in text_of(f"http://127.0.0.1:{port}/"):
            time.sleep(0.05)
        children = psutil.Process().children()
        next(child for child in children if str(port) in child.cmdline()).terminate()
        time.sleep(0.5)

        shown = text_of(f"http://127.0.0.1:{port}/")
        (tmp_path / "go on").touch()

    assert last.result() == (200, "done")
    assert ACTIVE in shown
    assert "Traceback" not in (tmp_path / "log").read_text()


def text_of(url: str) -> str:
    answer = fetch(url)
    return "" if answer is None else answer[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["served:gone"], 'the module "served" has no "gone"'),
        (["nothing"], "names no application"),
        (["served:app", "--workers", "0"], "--workers is a whole number from 1 on"),
        (["served:app", "--metrics-path", "metrics"], 'a path starts with a slash: "/metrics"'),
        (["served:app", "--metrics-path", "/items/{item_id}"], "choose another with path="),
        (["served:app", "--record", "request"], 'did you mean "requests"?'),
        (["served:app", "--config", "gone.py"], "--config gone.py is not a Python module"),
        (["served:app", "--metrics-port", "70000"], "cannot show the metrics on 127.0.0.1:70000"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "served.py").write_text(APPLICATIONS)
    command = [sys.executable, "-m", "perfkit", "run", *arguments]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_no_number_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "served:app", "--port", "http"])

    assert ended.value.code == 1
    assert "argument --port" in capsys.readouterr().err
