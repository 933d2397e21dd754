"""The settings that the page shows start a server, as printed; only port and workers differ."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from blocks import BLOCKS
from servings import WITHIN_S

from restmachine.servers import hypercorn_settings, uvicorn_settings

APP = """
from restmachine import ASGIAdapter, RestApplication

app = RestApplication()
asgi_app = ASGIAdapter(app)


@app.get("/")
def root():
    return {"served": True}
"""
UVICORN = "Uvicorn Configuration 1"
HYPERCORN = "Hypercorn Configuration 1"

Serve = Callable[..., tuple[int, "subprocess.Popen[str]"]]


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[str], Path]:
    """Write a block as the file whose name its first line states."""

    def write(block: str) -> Path:
        code = BLOCKS[block].code
        path = tmp_path / code.splitlines()[0].removeprefix("# ")
        path.write_text(code)
        return path

    return write


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start `python -m restmachine serve` with a settings file; return port and process."""
    (tmp_path / "app.py").write_text(APP)
    started = []

    def serve(config: Path) -> tuple[int, "subprocess.Popen[str]"]:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "restmachine", "serve", "app:asgi_app"),
                *("--config", config.name, "--port", str(port), "--workers", "1"),
            ],
            cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return port, process

    yield serve
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def answer(port: int, process: "subprocess.Popen[str]") -> bytes:
    """Return what the server answers, once it accepts connections."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        except ConnectionError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError(f"no answer: {process.communicate(timeout=5)[0]}")


@pytest.mark.settings(UVICORN, "in-process")
def test_settings_of_uvicorn_are_read_in_its_own_words(settings: Callable[[str], Path]) -> None:
    assert uvicorn_settings(settings(UVICORN)) == {
        "host": "0.0.0.0",
        "port": 8000,
        "workers": (os.cpu_count() or 1) * 2 + 1,
        "loop": "uvloop",
        "http": "httptools",
        "log_level": "warning",
        "access_log": False,
        "limit_concurrency": 1000,
        "backlog": 2048,
    }


@pytest.mark.settings(UVICORN, "uvicorn")
def test_settings_of_uvicorn_start_it(settings: Callable[[str], Path], serve: Serve) -> None:
    port, process = serve(settings(UVICORN))

    assert answer(port, process) == b'{"served":true}'
    process.terminate()
    printed, _ = process.communicate(timeout=WITHIN_S)
    assert printed == ""


@pytest.mark.settings(HYPERCORN, "in-process")
def test_settings_of_hypercorn_are_read_in_its_own_words(
    settings: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert hypercorn_settings(settings(HYPERCORN)) == {
        "bind": ["0.0.0.0:8000"],
        "workers": 4,
        "worker_class": "uvloop",
        "keep_alive_timeout": 5,
        "graceful_timeout": 10,
        "backlog": 2048,
        "h11_max_incomplete_size": 16384,
        "accesslog": "-",
        "errorlog": "-",
        "loglevel": "warning",
    }
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.settings(HYPERCORN, "hypercorn")
def test_settings_of_hypercorn_start_it(settings: Callable[[str], Path], serve: Serve) -> None:
    port, process = serve(settings(HYPERCORN))

    assert answer(port, process) == b'{"served":true}'
    process.terminate()
    printed, _ = process.communicate(timeout=WITHIN_S)
    assert "hypercorn calls it keep_alive_timeout" in printed
    assert "Traceback" not in printed
    assert process.returncode == 0
