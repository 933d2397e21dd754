"""The examples of docs/profiles.md do what the page says."""

import asyncio
import importlib.util
import re
import shlex
import sys
from pathlib import Path

import httpx
import pytest

from perfkit import profile
from perfkit.__main__ import Parser

PAGE = Path(__file__).parents[2] / "docs" / "profiles.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("console")).splitlines()
    return [line.split("perfkit profile ")[1] for line in lines if "perfkit profile " in line]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_page_has_options_that_exist(line: str) -> None:
    parser = Parser()
    profile.configure(parser)

    arguments = parser.parse_args(shlex.split(line))

    assert arguments.app == "app:asgi_app"
    assert arguments.route == "/items/{item_id}"


def test_every_option_is_on_the_page() -> None:
    parser = Parser()
    profile.configure(parser)

    options = set(re.findall(r"--[a-z-]+", parser.format_help())) - {"--help"}

    assert {option for option in options if option not in PAGE.read_text()} == set()


def test_the_example_is_profiled_by_the_request_that_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a token for the example"
    (code,) = blocks("python")
    file = tmp_path / "served.py"
    file.write_text(code.replace("signal=signal.SIGUSR2", "folder=__import__('pathlib').Path('.')"))
    monkeypatch.setenv("PROFILE_TOKEN", token)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("served", file)
    assert spec is not None and spec.loader is not None
    served = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "served", served)
    spec.loader.exec_module(served)
    target = re.search(r"'localhost:8000(\S+)'", PAGE.read_text())[1].replace("=5", "=0.5")

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(served.asgi_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            taking = asyncio.create_task(
                client.post(target, headers={"Authorization": f"Bearer {token}"})
            )
            await asyncio.sleep(0.05)
            greeting = await client.get("/greetings/ada")
            return greeting, await taking

    greeting, taken = asyncio.run(ask())

    assert greeting.json() == {"hello": "ada"}
    assert taken.json()["requests"] == 1
