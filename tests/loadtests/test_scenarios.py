"""The scenarios ask for what the application serves, and believe nothing else.

Locust patches the process that imports it, so it always has one of its own here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

LOCUSTFILE = "loadtests/locustfile.py"
FIRST_CHOICES = """
from locust.env import Environment
from loadtests.scenarios.read import Read
Read.host = "http://nowhere"
print([Read(Environment()).random.random() for _ in range(3)])
"""


@pytest.fixture(scope="session")
def load(run: Any) -> Any:
    """Run all scenarios against an address; return each request's name and its figures."""

    def generate(address: str, seconds: int) -> list[dict[str, Any]]:
        options = ["--headless", "--users=12", "--spawn-rate=12", "--stop-timeout=10"]
        done = run(
            *("-m", "locust"),
            *(f"--locustfile={LOCUSTFILE}", f"--host={address}", *options),
            *(f"--run-time={seconds}s", "--json", "--exit-code-on-error=0"),
        )
        assert done.returncode == 0, done.stderr
        figures: list[dict[str, Any]] = json.loads(done.stdout)
        return figures

    return generate


@pytest.fixture(scope="session")
def figures(load: Any, server_url: str) -> Any:
    return load(server_url, 4)


def test_locust_finds_the_four_scenarios(run: Any) -> None:
    listed = run("-m", "perfkit.generator", "--scenarios", LOCUSTFILE)

    assert json.loads(listed.stdout) == {
        "browse": "Browse",
        "create": "Create",
        "read": "Read",
        "revalidate": "Revalidate",
    }


def test_no_request_of_any_scenario_fails(figures: list[dict[str, Any]]) -> None:
    failed = {each["name"]: each["num_failures"] for each in figures if each["num_failures"]}

    assert failed == {}


def test_requests_are_named_as_the_server_labels_them(
    figures: list[dict[str, Any]], server_url: str
) -> None:
    exposed = httpx.get(f"{server_url}/metrics").text

    served = set(re.findall(r'http_request_method="([A-Z]+)",.*http_route="([^"]+)"', exposed))
    asked = {(each["method"], each["name"].removeprefix(each["method"] + " ")) for each in figures}
    assert asked <= served
    assert asked == {
        ("GET", "/users"),
        ("GET", "/users/{user_id}"),
        ("GET", "/posts"),
        ("GET", "/posts/{post_id}"),
        ("POST", "/posts"),
        ("GET", "/products"),
        ("GET", "/products/{product_id}"),
    }


class Impostor(BaseHTTPRequestHandler):
    """Answers everything with 200 and what nobody asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b'{"users": [{"id": 0, "email": ""}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the name that the base class looks for

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the output of tests free of requests."""


@pytest.fixture
def impostor_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Impostor) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_200_with_other_content_is_a_failure(load: Any, impostor_url: str) -> None:
    figures = load(impostor_url, 2)

    failed = {each["name"]: each["num_failures"] / each["num_requests"] for each in figures}
    assert failed["GET /users/{user_id}"] == 1.0


def test_choices_repeat_until_another_seed_is_given(run: Any) -> None:
    first = run("-c", FIRST_CHOICES).stdout
    again = run("-c", FIRST_CHOICES).stdout
    other = run("-c", FIRST_CHOICES, LOADTEST_SEED="2").stdout

    assert len(set(json.loads(first))) == 3
    assert again == first
    assert other != first
