"""The complete example of the performance page runs as printed, over uvicorn.

The page stands beside the checkout where this is collected; its text is read from there.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg2
import pytest

from perfkit.services import Services, start_services

PAGE = Path(__file__).parents[2] / "shared" / "guides" / "restmachine-performance.md"

# The page connects to Redis on its usual port; here Redis has a port of its own.
LAUNCHER = """
import functools, sys
import redis
redis.Redis = functools.partial(redis.Redis, port=int(sys.argv[1]))
import uvicorn
options = {"log_level": "warning", "loop": "uvloop", "http": "httptools"}
uvicorn.run("app:asgi_app", port=int(sys.argv[2]), **options)
"""


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with start_services(database="mydb") as started:
        connection = psycopg2.connect(started.postgres_url)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE users (id integer PRIMARY KEY, name text, email text)")
            cursor.execute("INSERT INTO users VALUES (7, 'Ada', 'ada@example.org')")
        connection.close()
        yield started


@pytest.fixture(scope="module")
def complete_example(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("complete_example")
    section = PAGE.read_text().split("## Complete Example")[1]
    (folder / "app.py").write_text(re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0])
    (folder / "launch.py").write_text(LAUNCHER)
    postgres = urlsplit(services.postgres_url)
    environment = {
        **os.environ,
        "PGPORT": str(postgres.port),
        "PGUSER": str(postgres.username),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    redis_port = str(urlsplit(services.redis_url).port)
    server = subprocess.Popen(
        [sys.executable, "launch.py", redis_port, str(port)], cwd=folder, env=environment
    )
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return when the server accepts connections."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"the example did not start; exit status {server.poll()}")


def test_second_read_comes_from_the_cache(complete_example: str) -> None:
    first = httpx.get(f"{complete_example}/users/7")
    second = httpx.get(f"{complete_example}/users/7")

    assert first.status_code == second.status_code == 200
    assert first.headers["X-Cache"] == "MISS"
    assert second.headers["X-Cache"] == "HIT"
    assert first.json() == second.json() == {"id": 7, "name": "Ada", "email": "ada@example.org"}


def test_unknown_user_is_not_found_as_json(complete_example: str) -> None:
    response = httpx.get(f"{complete_example}/users/8")

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"error": "Not found"}


def test_many_readers_share_the_pool(complete_example: str) -> None:
    with httpx.Client() as client:
        statuses = {client.get(f"{complete_example}/users/7").status_code for _ in range(50)}

    assert statuses == {200}
