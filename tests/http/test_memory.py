"""Long bodies leave the memory of a server as it was; ``make streaming`` sends a gibibyte."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

MEBIBYTE = 1024 * 1024
SIZE = int(os.environ.get("STREAMED_MEBIBYTES", "128")) * MEBIBYTE
SHORT = 2 * MEBIBYTE
"""Long enough that a file of a form goes to the disk."""
MAX_GROWTH = 32 * MEBIBYTE
"""Bytes above idle, whatever is sent: a fourth of the shortest body sent here."""
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
FOOT = b"\r\n--x--\r\n"


class Server:
    """A server in a process of its own, whose resident memory is looked at all the time."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = psutil.Process(process.pid)
        self._port = port
        self._peak = 0

    def _look(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)

    def _exchange(self, method: str, way: str, size: int) -> int:
        """Send or receive a body of *size* bytes, and return how many arrived."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            if method == "GET":
                connection.request("GET", f"{way}?size={size}")
                response, received = connection.getresponse(), 0
                while piece := response.read(MEBIBYTE):
                    received += len(piece)
                    self._look()
                return received
            fields = {"Content-Type": "multipart/form-data; boundary=x"}
            connection.request("POST", way, body=self._pieces(way, size), headers=fields)
            return int(json.load(connection.getresponse())["size"])

    def _pieces(self, way: str, size: int) -> Iterator[bytes]:
        if way == "/form":
            yield HEAD
        for _ in range(size // MEBIBYTE):
            yield bytes(MEBIBYTE)
            self._look()
        if way == "/form":
            yield FOOT

    def growth(self, method: str, way: str) -> tuple[int, int]:
        """Return how many bytes of a long body arrived, and the most memory beyond idle."""
        self._exchange(method, way, SHORT)  # what is imported and kept the first time is idle
        idle = self._process.memory_info().rss
        self._peak = idle
        arrived = self._exchange(method, way, SIZE)
        grown = self._peak - idle
        sent = f"{method} {way}: {arrived / MEBIBYTE:.0f} MiB"
        print(f"{sent}, {grown / MEBIBYTE:+.1f} MiB", file=sys.stderr)
        return arrived, grown


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gigabytes")
    command = [sys.executable, "-m", "restmachine", "serve", "gigabytes:asgi_app", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parent,
        env={**os.environ, "GIGABYTES_FILE": str(folder / "file"), "TMPDIR": str(folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        running = next((line for line in process.stdout if "running on" in line), "")
        try:
            yield Server(process, int(re.findall(r":(\d+)", running)[0]))
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.mark.parametrize("way", ["/sync", "/async", "/file"])
def test_a_long_response_is_never_held_whole(server: Server, way: str) -> None:
    arrived, grown = server.growth("GET", way)

    assert arrived == SIZE
    assert grown < MAX_GROWTH


@pytest.mark.parametrize("way", ["/sync", "/async", "/form"])
def test_a_long_request_is_never_held_whole(server: Server, way: str) -> None:
    arrived, grown = server.growth("POST", way)

    assert arrived == SIZE
    assert grown < MAX_GROWTH
