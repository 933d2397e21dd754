"""Serving: settings files, addresses, and real servers as processes of their own."""

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

from restmachine.__main__ import main
from restmachine.errors import ConfigurationError, MissingExtraError
from restmachine.servers import check_address, hypercorn_settings, uvicorn_settings

APP = """
import os
from restmachine import ASGIAdapter, RestApplication

app = RestApplication()


@app.get("/worker")
def worker():
    return {"pid": os.getpid()}


async def plain(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    else:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


broken = RestApplication()


@broken.on_startup
def database():
    raise OSError("no database")
"""

PAGE_SETTINGS = """
import multiprocessing

bind = "127.0.0.1:{port}"
workers = multiprocessing.cpu_count() * 0 + 1
worker_class = "uvicorn.workers.UvicornWorker"
loop = "uvloop"
http = "httptools"
log_level = "warning"
access_log = False
limit_concurrency = 1000
backlog = 2048
"""

READY_WITHIN_S = 60.0

Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Start `python -m restmachine serve`; what still runs at the end is killed by pid."""
    started = []

    def serve(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "restmachine", "serve", *arguments]
        process = subprocess.Popen(
            command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield serve
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def answer(process: subprocess.Popen[str], port: int, path: str = "/worker") -> tuple[int, bytes]:
    """Return status and content, once the server accepts connections."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=READY_WITHIN_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except ConnectionError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError(f"the server did not answer: {process.communicate(timeout=5)[0]}")


def stop(process: subprocess.Popen[str]) -> str:
    """Ask a server to end and return what it printed."""
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=READY_WITHIN_S)[0]


# ---- servers -----------------------------------------------------------------------------


def test_application_of_the_framework_is_served_by_uvicorn(serve: Serve, port: int) -> None:
    process = serve("shop:app", "--port", str(port))

    status, content = answer(process, port)

    assert (status, content) == (200, b'{"pid":%d}' % process.pid)
    printed = stop(process)
    assert f"Uvicorn running on http://127.0.0.1:{port}" in printed
    assert "Application shutdown complete" in printed


def test_any_asgi_callable_is_served(serve: Serve, port: int) -> None:
    process = serve("shop:plain", "--port", str(port))

    assert answer(process, port) == (204, b"")


def test_port_0_takes_a_free_port_and_says_which(serve: Serve) -> None:
    process = serve("shop:app", "--port", "0")
    assert process.stdout is not None
    running = next(line for line in process.stdout if "running on" in line)

    port = int(running.split(":")[-1].split()[0])

    assert answer(process, port)[0] == 200


def test_several_workers_answer_in_processes_of_their_own(serve: Serve, port: int) -> None:
    process = serve("shop:app", "--port", str(port), "--workers", "2")

    status, content = answer(process, port)

    assert status == 200
    assert content != b'{"pid":%d}' % process.pid
    stop(process)
    assert process.returncode == 0


def test_settings_module_of_gunicorn_is_served_from(serve: Serve, folder: Path, port: int) -> None:
    (folder / "uvicorn_config.py").write_text(PAGE_SETTINGS.format(port=port))
    process = serve("shop:app", "--config", "uvicorn_config.py")

    status, _ = answer(process, port)

    assert status == 200
    assert stop(process) == ""


def test_command_line_wins_over_the_settings_file(serve: Serve, folder: Path, port: int) -> None:
    (folder / "uvicorn_config.py").write_text(PAGE_SETTINGS.format(port=1))
    process = serve("shop:app", "--config", "uvicorn_config.py", "--port", str(port))

    assert answer(process, port)[0] == 200


def test_hypercorn_serves_by_its_own_file(serve: Serve, folder: Path, port: int) -> None:
    (folder / "hyper.toml").write_text(
        f'bind = ["127.0.0.1:{port}"]\nworkers = 1\nworker_class = "uvloop"\nbacklog = 64\n'
    )
    process = serve("shop:app", "--config", "hyper.toml")

    status, content = answer(process, port)

    assert status == 200
    assert content.startswith(b'{"pid":')
    stop(process)
    assert process.returncode == 0


@pytest.mark.parametrize("more", [[], ["--workers", "2"], ["--config", "hyper.toml"]])
def test_port_in_use_is_one_line(serve: Serve, folder: Path, port: int, more: list[str]) -> None:
    (folder / "hyper.toml").write_text("workers = 1\n")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()

        process = serve("shop:app", "--port", str(port), *more)
        printed, _ = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 1
    assert printed == (
        f"restmachine: cannot listen on port {port} of 127.0.0.1: Address already in use; "
        "choose another with --port\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_application_that_cannot_start_ends_with_status_1(serve: Serve, workers: str) -> None:
    process = serve("shop:broken", "--port", "0", "--workers", workers)

    printed, _ = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 1
    assert "OSError: no database" in printed


def test_interrupt_ends_with_status_0(serve: Serve, port: int) -> None:
    process = serve("shop:app", "--port", str(port))
    answer(process, port)

    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 0
    assert "Traceback" not in printed


# ---- settings ----------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a settings file into the current directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "conf.py") -> Path:
        Path(name).write_text(text)
        return Path(name)

    return write


def test_settings_of_gunicorn_are_read_in_the_words_of_uvicorn(settings) -> None:
    path = settings("bind = '[::1]:9000'\nkeepalive = 7\ngraceful_timeout = 3\ntimeout = 9\n")

    assert uvicorn_settings(path) == {
        "host": "::1",
        "port": 9000,
        "timeout_keep_alive": 7,
        "timeout_graceful_shutdown": 3,
        "timeout_worker_healthcheck": 9,
    }


def test_imports_and_private_names_are_no_settings(settings) -> None:
    path = settings(
        "import os\nfrom os import cpu_count, path\nfrom pathlib import Path\n"
        "_mine = 3\nworkers = _mine\n"
    )

    assert uvicorn_settings(path) == {"workers": 3}


def test_socket_file_is_bound_by_its_path(settings) -> None:
    assert uvicorn_settings(settings("bind = ['unix:/run/app.sock']")) == {"uds": "/run/app.sock"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bakclog = 5", 'conf.py sets "bakclog", which is unknown; did you mean "backlog"?'),
        ("app = 5", 'conf.py sets "app", which is unknown;'),
        ("reload = True", 'conf.py sets "reload", which is unknown;'),
        ("def on_starting(server): pass", 'conf.py sets "on_starting", which is unknown;'),
        ("bind = 9000", 'conf.py sets bind to 9000; write "host:port"'),
        ("bind = 'localhost'", "conf.py sets bind to 'localhost'; write \"host:port\""),
        ("worker_class = 'gevent'", "conf.py sets worker_class to 'gevent'; uvicorn runs its own"),
        ("workers = 0", "conf.py sets workers to 0; write a whole number"),
        ("workers = 'four'", "conf.py sets workers to 'four'; write a whole number"),
        ("loop = 'fast'", "conf.py sets loop to 'fast'; write one of auto, asyncio"),
        ("http = 'fast'", "conf.py sets http to 'fast'; write one of "),
        ("log_level = 'loud'", "conf.py sets log_level to 'loud'; write one of critical"),
        ("ssl_certfile = 'none.pem'", "conf.py sets ssl_certfile to 'none.pem', which is no file"),
        ("x = 1 / 0", "conf.py cannot be read: conf.py:1: ZeroDivisionError: division by zero"),
    ],
)
def test_wrong_setting_is_refused_by_name(settings, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        uvicorn_settings(settings(text))

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_aliv = 5", 'conf.toml sets "keep_aliv", which is unknown; did you mean "keep_al'),
        ("keep_alive = 'long'", "conf.toml sets keep_alive_timeout to 'long'; write a number"),
        (
            "keep_alive = 5\nkeep_alive_timeout = 6",
            "conf.toml sets keep_alive and keep_alive_timeout, which are one; drop one",
        ),
        ("log = 5", 'conf.toml sets "log", which is unknown;'),
        ("workers = 'four'", "conf.toml sets workers to 'four'; write a number"),
        ("loglevel = 5", "conf.toml sets loglevel to 5; write text"),
        ("a = [", "conf.toml is not TOML: "),
    ],
)
def test_wrong_setting_of_hypercorn_is_refused_by_name(settings, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        hypercorn_settings(settings(text, "conf.toml"))

    assert str(refused.value).startswith(message)


def test_keep_alive_is_read_in_the_words_of_hypercorn_with_a_notice(
    settings, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings("keep_alive = 7\nworkers = 2\n", "conf.toml")

    assert hypercorn_settings(path) == {"keep_alive_timeout": 7, "workers": 2}
    assert capsys.readouterr().err == (
        "restmachine: conf.toml sets keep_alive; hypercorn calls it keep_alive_timeout\n"
    )


def test_loop_that_is_not_installed_names_the_extra(
    settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restmachine.servers.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r"pip install 'measured-rest\[uvicorn\]'"):
        uvicorn_settings(settings("loop = 'uvloop'"))


def test_server_that_is_not_installed_names_the_extra(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    status = main(["serve", "shop:app"])

    assert status == 1
    assert capsys.readouterr().err == (
        'restmachine: serve needs the package "uvicorn", which is not installed: '
        "pip install 'measured-rest[uvicorn]'\n"
    )


@pytest.mark.parametrize("host", ["no..such..host", "203.0.113.1"])
def test_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=host):
        check_address(host, 0)
