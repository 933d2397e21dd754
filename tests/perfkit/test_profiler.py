"""Profiles on demand, of an application that serves."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest

from perfkit.errors import PerfkitError
from perfkit.profiler import Profiled, enable
from perfkit.server import choose_port
from restmachine import ASGIAdapter, RestApplication

TOKEN = "a token that nobody guesses"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
PROFILE = "/perfkit/profile"


def burn_cpu() -> int:
    return sum(number * number for number in range(30_000))


def application() -> RestApplication:
    app = RestApplication(threads=3)

    @app.get("/burns")
    def read_burns():
        return {"sum": burn_cpu()}

    @app.get("/sleeps/{seconds}")
    async def read_sleeps(seconds: float):
        await asyncio.sleep(seconds)
        return {"slept": seconds}

    @app.get("/hooks")
    def read_hooks():
        time.sleep(0.05)
        return {"hook": sys.getprofile() is not None}

    return app


def serve(app: Profiled, test: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await test(client)

    asyncio.run(main())


async def begin(client: httpx.AsyncClient, query: str) -> asyncio.Task[httpx.Response]:
    """Ask for a profile, and return when the thread of the loop is sampled."""
    profile = asyncio.create_task(client.post(f"{PROFILE}?{query}", headers=AUTHORIZED))
    async with asyncio.timeout(30):
        while sys.getprofile() is None:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)
    return profile


async def ask_until(ended: asyncio.Task[object], client: httpx.AsyncClient, *paths: str) -> None:
    while not ended.done():
        for path in paths:
            await client.get(path)


def asked(
    request: str, *, folder: Path, headers: dict[str, str], token: str | None = TOKEN
) -> httpx.Response:
    """Return the answer to one request to a fresh profiled application."""
    answers = []
    app = Profiled(ASGIAdapter(application()), token=token, folder=folder)

    async def test(client: httpx.AsyncClient) -> None:
        method, _, target = request.partition(" ")
        answers.append(await client.request(method, target, headers=headers))

    serve(app, test)
    return answers[0]


def test_a_profile_is_of_the_window_and_names_route_and_handler(tmp_path: Path) -> None:
    app = enable(ASGIAdapter(application()), token=TOKEN, folder=tmp_path)
    answers = []

    async def test(client: httpx.AsyncClient) -> None:
        profile = await begin(client, "seconds=1.5&route=/burns")
        await ask_until(profile, client, "/burns", "/sleeps/0.001")
        answers.append(profile.result())

    serve(app, test)

    taken = answers[0].json()
    assert answers[0].headers["cache-control"] == "no-store"
    assert taken["requests"] > 2
    assert re.search(r"handler read_burns .*\n.*─ [\d.]+ burn_cpu", taken["text"])
    assert "read_sleeps" not in taken["text"]
    assert Path(taken["folder"]).parent == tmp_path
    assert {file.name for file in Path(taken["folder"]).iterdir()} == set(taken["files"])


def test_concurrent_requests_each_wait_their_own_time(tmp_path: Path) -> None:
    app = enable(ASGIAdapter(application()), token=TOKEN, folder=tmp_path)
    answers = []

    async def test(client: httpx.AsyncClient) -> None:
        profile = await begin(client, "seconds=1")
        await asyncio.gather(*(client.get("/sleeps/0.2") for _ in range(20)))
        answers.append(await profile)

    serve(app, test)

    text = answers[0].json()["text"]
    awaited = float(re.search(r"([\d.]+) \[await\]", text)[1])
    assert text.startswith("time of all routes\n20 requests in ")
    assert 4.0 <= awaited < 20 * 1.5  # and not what each of the others waited too


def test_a_request_that_is_not_over_yet_is_part_of_the_profile(tmp_path: Path) -> None:
    app = enable(ASGIAdapter(application()), token=TOKEN, folder=tmp_path)
    answers = []

    async def test(client: httpx.AsyncClient) -> None:
        profile = await begin(client, "seconds=0.2")
        late = asyncio.create_task(client.get("/sleeps/0.6"))
        answers.extend([await profile, await late])

    serve(app, test)

    assert answers[0].json()["requests"] == 1
    assert answers[1].json() == {"slept": 0.6}


def test_afterwards_no_thread_is_sampled(tmp_path: Path) -> None:
    rest = application()
    app = enable(ASGIAdapter(rest), token=TOKEN, folder=tmp_path)
    hooks: dict[str, list[bool]] = {}

    async def ask(client: httpx.AsyncClient) -> list[bool]:
        answers = await asyncio.gather(*(client.get("/hooks") for _ in range(3)))
        return [answer.json()["hook"] for answer in answers]

    async def test(client: httpx.AsyncClient) -> None:
        hooks["before"] = await ask(client)
        profile = await begin(client, "seconds=1")
        hooks["during"] = await ask(client)
        await profile
        hooks["after"] = [*await ask(client), sys.getprofile() is not None]

    serve(app, test)

    assert hooks == {"before": [False] * 3, "during": [True] * 3, "after": [False] * 4}
    assert "run" not in vars(rest.workers)


def test_one_profile_is_taken_at_a_time_and_delete_ends_it(tmp_path: Path) -> None:
    app = enable(ASGIAdapter(application()), token=TOKEN, folder=tmp_path)
    statuses = []

    async def test(client: httpx.AsyncClient) -> None:
        first = await begin(client, "seconds=60")
        second = await client.post(PROFILE, headers=AUTHORIZED)
        ended = await client.delete(PROFILE, headers=AUTHORIZED)
        first_answer = await first
        again = await client.post(f"{PROFILE}?seconds=0.01", headers=AUTHORIZED)
        none = await client.delete(PROFILE, headers=AUTHORIZED)
        answers = [second, ended, first_answer, again, none]
        statuses.extend(answer.status_code for answer in answers)

    serve(app, test)

    assert statuses == [409, 202, 200, 200, 404]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
    ],
)
def test_without_the_token_there_is_no_profile(headers: dict[str, str], tmp_path: Path) -> None:
    answer = asked(f"POST {PROFILE}?seconds=0.01", folder=tmp_path, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"
    assert list(tmp_path.iterdir()) == []


def test_where_no_token_is_set_the_path_is_the_applications(tmp_path: Path) -> None:
    answer = asked(
        f"POST {PROFILE}", folder=tmp_path, token=None, headers={"Authorization": "Bearer "}
    )

    assert answer.status_code == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("seconds=0", "a profile takes more than 0 and at most 120 seconds, not 0"),
        ("seconds=121", "a profile takes more than 0 and at most 120 seconds, not 121"),
        ("seconds=nan", "a profile takes more than 0 and at most 120 seconds, not nan"),
        ("seconds=soon", "seconds is a number, not 'soon'"),
        ("route=/burn", 'no route "/burn": near ones are /burns'),
        ("kind=disk", 'there is no kind "disk" of profile: time or allocations'),
        ("second=1", 'unknown parameter "second": seconds, route and kind are known'),
    ],
)
def test_a_request_that_makes_no_sense_is_400(query: str, told: str, tmp_path: Path) -> None:
    answer = asked(f"POST {PROFILE}?{query}", folder=tmp_path, headers=AUTHORIZED)

    assert (answer.status_code, answer.text) == (400, told)
    assert list(tmp_path.iterdir()) == []


def test_a_get_takes_no_profile(tmp_path: Path) -> None:
    answer = asked(f"GET {PROFILE}", folder=tmp_path, headers=AUTHORIZED)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, DELETE")


def test_a_folder_that_cannot_be_made_is_told_and_the_next_profile_taken(tmp_path: Path) -> None:
    blocked = tmp_path / "profiles"
    blocked.write_text("a file")
    app = enable(ASGIAdapter(application()), token=TOKEN, folder=blocked)
    answers = []

    async def test(client: httpx.AsyncClient) -> None:
        answers.append(await client.post(f"{PROFILE}?seconds=0.01", headers=AUTHORIZED))
        blocked.unlink()
        answers.append(await client.post(f"{PROFILE}?seconds=0.01", headers=AUTHORIZED))

    serve(app, test)

    assert [answer.status_code for answer in answers] == [500, 200]
    assert answers[0].text.startswith("the profile cannot be written: ")


def test_the_absence_of_memray_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "perfkit.recording", raising=False)
    monkeypatch.setitem(sys.modules, "memray", None)

    answer = asked(f"POST {PROFILE}?kind=allocations", folder=tmp_path, headers=AUTHORIZED)

    assert answer.status_code == 501
    assert answer.text.endswith("pip install 'measured-rest[memray]'")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "needs a token=, a signal=, or both"),
        ({"token": ""}, "has 0 characters and could be guessed"),
        ({"token": "short"}, "has 5 characters and could be guessed"),
        ({"token": TOKEN, "seconds": 3600.0}, "at most 120 seconds, not 3600"),
    ],
)
def test_what_would_protect_nothing_is_refused(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(PerfkitError, match=re.escape(told)):
        enable(ASGIAdapter(RestApplication()), **arguments)


def test_another_asgi_application_is_profiled_by_the_pattern_of_its_path(tmp_path: Path) -> None:
    served: list[str] = []

    async def plain(scope, receive, send):
        served.append(scope["path"])
        await asyncio.sleep(0)
        burn_cpu()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = enable(plain, token=TOKEN, folder=tmp_path)
    answers = []

    async def test(client: httpx.AsyncClient) -> None:
        profile = await begin(client, "seconds=1.5&route=/a/{id}")
        await ask_until(profile, client, "/a/1", "/a/1/2", "/a/2", "/b/1")
        answers.append(profile.result())

    serve(app, test)

    taken = answers[0].json()
    assert 2 <= taken["requests"] <= served.count("/a/1") + served.count("/a/2")
    assert "/a/1/2" in served
    assert "GET /a/{id}" in taken["text"]
    assert "burn_cpu" in taken["text"]


SERVED = f"""
import logging, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import uvicorn
from perfkit.profiler import enable
from toy_profiled import asgi_app
app = enable(asgi_app, signal=signal.SIGUSR2, seconds=float(sys.argv[3]), folder=Path(sys.argv[2]))
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


def served(folder: Path, seconds: str) -> tuple[subprocess.Popen[str], str]:
    port = choose_port(None)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVED, str(port), str(folder), seconds],
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}/others"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(url):
                return process, url
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[1])


def test_a_signal_begins_a_profile_and_the_log_names_its_folder(tmp_path: Path) -> None:
    process, url = served(tmp_path, "60")

    process.send_signal(signal.SIGUSR2)
    begun = process.stderr.readline()
    urlopen(url).close()
    process.send_signal(signal.SIGUSR2)
    ended = process.stderr.readline()
    process.terminate()
    process.communicate(timeout=60)

    assert begun == "Profiling all routes for 60 seconds, or until the signal\n"
    (folder,) = tmp_path.iterdir()
    assert ended == f"Profiled 1 requests: {folder}\n"
    assert "GET /others" in (folder / "profile.txt").read_text()
    assert json.loads((folder / "wall.speedscope.json").read_text())["profiles"]


def test_a_server_that_shuts_down_writes_the_profile_first(tmp_path: Path) -> None:
    process, url = served(tmp_path, "60")

    process.send_signal(signal.SIGUSR2)
    process.stderr.readline()
    urlopen(url).close()
    process.terminate()
    _, log = process.communicate(timeout=60)

    (folder,) = tmp_path.iterdir()
    assert f"Profiled 1 requests: {folder}\n" in log


def test_a_thread_with_another_profiler_is_left_to_it(tmp_path: Path) -> None:
    app = enable(ASGIAdapter(application()), token=TOKEN, folder=tmp_path)
    answers = []

    async def test(client: httpx.AsyncClient) -> None:
        sys.setprofile(lambda *event: None)
        try:
            answers.append(await client.post(f"{PROFILE}?seconds=0.01", headers=AUTHORIZED))
        finally:
            sys.setprofile(None)

    serve(app, test)

    assert answers[0].status_code == 400
    assert list(tmp_path.iterdir()) == []
    assert answers[0].text.startswith("another profiler listens to the thread")


def test_a_profile_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    app = application()
    profiled = enable(ASGIAdapter(app), token=TOKEN, folder=tmp_path)

    async def cancelled_while_a_request_settles() -> None:
        window = asyncio.create_task(profiled._follow(asyncio.Event(), 0.05, samples_stacks=False))
        await asyncio.sleep(0)
        request = asyncio.create_task(profiled._sampler.follow(asyncio.sleep(30), lambda: "GET /"))
        await asyncio.sleep(0.2)
        window.cancel()
        await asyncio.gather(window, return_exceptions=True)
        request.cancel()

    asyncio.run(cancelled_while_a_request_settles())

    assert "run" not in vars(app.workers)
