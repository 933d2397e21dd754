"""Parts are real, are started once, and are gone after the session."""

import http.client
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.request import urlopen

import pytest

from perfkit.claims.parts import PARTS, Part, Session, give
from perfkit.claims.serving import served
from perfkit.errors import PerfkitError


def test_the_upstream_answers_as_late_and_as_much_as_asked() -> None:
    with Session() as session:
        url = give("upstream", session.settings(["upstream"])["upstream"])
        with urlopen(f"{url}/wait?seconds=0.01&bytes=300", timeout=10) as answer:
            content = answer.read()

    assert content == b"x" * 300


def test_the_upstream_counts_the_connections_of_others() -> None:
    with Session() as session:
        url = give("upstream", session.settings(["upstream"])["upstream"])
        for _ in range(3):
            with urlopen(f"{url}/wait", timeout=10):
                pass
        with urlopen(f"{url}/connections", timeout=10) as answer:
            counted = answer.read()

    assert counted == b"3"


def test_a_part_is_started_once_and_ended_with_the_session() -> None:
    events: list[str] = []

    def start(stack: Any) -> str:
        events.append("started")
        stack.callback(events.append, "ended")
        return "setting"

    with Session({"thing": Part("a thing", start=start)}) as session:
        first, second = session.settings(["thing"]), session.settings(["thing"])

    assert first == second == {"thing": "setting"}
    assert events == ["started", "ended"]


def test_what_is_absent_is_told_with_how_to_install_it() -> None:
    parts = {
        "a": Part("a", install="apt-get install a", programs=("no-such-a",)),
        "b": Part("b", install="pip install b", modules=("no_such_b",)),
        "python": Part("python", programs=("python3",), modules=("json",)),
    }

    missing = Session(parts).missing(["python", "a", "b"])

    assert missing == (
        "needs no-such-a, install with apt-get install a; needs no_such_b, install with pip "
        "install b"
    )
    assert Session(parts).missing(["python"]) == ""


def test_every_part_says_what_a_variant_gets() -> None:
    assert all(part.about and part.install for part in PARTS.values())


async def hello(
    scope: dict[str, Any], receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    del receive
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def test_an_application_is_served_while_the_block_runs() -> None:
    with give("served", None)(hello) as (host, port):
        client = http.client.HTTPConnection(host, port, timeout=10)
        client.request("GET", "/")
        content = client.getresponse().read()
        client.close()

    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(host, port, timeout=10).connect()
    assert content == b"hello"


def test_an_application_that_does_not_start_is_told() -> None:
    async def broken(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(PerfkitError, match="did not start"), served(broken):
        pass
