"""The command, with a real server and a real load."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.profile import Asked, LoadError

HERE = Path(__file__).parent
APP = "toy_profiled:asgi_app"


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "perfkit", "profile", *arguments],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def profile(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def tree(text: str, kind: str) -> str:
    return text.split(f"seconds {kind}\n")[1].split("\n\n\n")[0]


def children(text: str) -> list[str]:
    """Return the names right below the route, the costliest first."""
    return [
        re.sub(r" {2,}.*", "", line)
        for line in re.findall(r"^[├└]─ [\d.]+ (.*)$", text, re.MULTILINE)
    ]


def test_a_profile_shows_a_routes_handler_dependencies_and_decisions(tmp_path: Path) -> None:
    status, out, err = profile(
        APP, "--route", "/items/{item_id}", "--request", "/items/1", "--seconds", "2",
        "--output", str(tmp_path),
    )  # fmt: skip

    assert status == 0, err
    assert {"handler read_item", "dependency current_user", "G7 resource_exists"} <= set(
        children(tree(out, "by the clock: running and waiting"))
    )
    assert children(tree(out, "on a processor"))[0] in ("handler read_item", "G7 resource_exists")
    assert "burn_cpu" in out
    assert "read_others" not in out


def test_what_sleeps_takes_time_by_the_clock_and_hardly_any_on_a_processor(tmp_path: Path) -> None:
    status, _, err = profile(
        APP, "--route", "/items/{item_id}", "--request", "/items/1", "--seconds", "2",
        "--output", str(tmp_path),
    )  # fmt: skip

    assert status == 0, err
    asleep = share(next(tmp_path.glob("*/wall.speedscope.json")), "dependency current_user")
    busy = share(next(tmp_path.glob("*/cpu.speedscope.json")), "dependency current_user")
    assert busy < asleep / 2


def share(file: Path, name: str) -> float:
    """Return the part of the whole that a speedscope file gives to a frame."""
    content = json.loads(file.read_text())
    (index,) = [i for i, frame in enumerate(content["shared"]["frames"]) if frame["name"] == name]
    (recorded,) = content["profiles"]
    seconds = sum(
        event["at"] * (1 if event["type"] == "C" else -1)
        for event in recorded["events"]
        if event["frame"] == index
    )
    return seconds / recorded["endValue"]


def test_another_routes_work_is_absent_though_it_is_asked_for(tmp_path: Path) -> None:
    status, out, err = profile(
        APP, "--route", "/others", "--request", "/others", "--request", "/items/1",
        "--seconds", "1.5", "--output", str(tmp_path),
    )  # fmt: skip

    assert status == 0, err
    assert "handler read_others" in out
    assert "burn_cpu" not in out
    assert "current_user" not in out


def test_waiting_is_shown_below_the_await_and_the_page_loads_nothing(tmp_path: Path) -> None:
    status, out, err = profile(
        APP, "--route", "/sleepers", "--seconds", "1.5", "--output", str(tmp_path)
    )

    assert status == 0, err
    waiting = tree(out, "by the clock: running and waiting")
    assert children(waiting)[0] == "handler read_sleepers"
    assert "[await]" in waiting
    assert "[await]" not in tree(out, "on a processor")
    page = next(tmp_path.glob("*/wall.html")).read_text()
    assert "handler read_sleepers" in page
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page
    assert set(re.findall(r"https?://[\w.]+", page)) <= {"http://www.w3.org"}


def test_allocations_are_those_of_the_route(tmp_path: Path) -> None:
    status, out, err = profile(
        APP, "--route", "/blobs", "--request", "/blobs", "--request", "/others", "--allocations",
        "--seconds", "3", "--output", str(tmp_path),
    )  # fmt: skip

    assert status == 0, err
    each = int(re.search(r": ([\d,]+) bytes in", out)[1].replace(",", ""))
    assert 1_000_000 <= each < 1_100_000
    assert re.search(r"toy_profiled.py:\d+ handler read_blobs$", out, re.MULTILINE)
    assert "other_work" not in out
    page = next(tmp_path.glob("*/allocations.html")).read_text()
    assert "handler read_blobs" in page
    assert not re.search(r"<(script|link)[^>]*(src|href)=.?https?:", page)
    assert "Content-Security-Policy" in page


def test_interrupted_it_gives_what_was_gathered(tmp_path: Path) -> None:
    process = start(
        APP, "--route", "/others", "--external-load", "--seconds", "90", "--output", str(tmp_path)
    )
    url = re.search(r"http://\S+(?=:)", process.stderr.readline())[0]
    subprocess.run(
        [sys.executable, "-c", f"from urllib.request import urlopen; urlopen('{url}/others')"],
        check=True,
    )

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)

    assert process.returncode == 0, err
    assert "1 requests in" in out
    assert next(tmp_path.glob("*/profile.txt")).read_text() in out
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            [sys.executable, "-c", f"from urllib.request import urlopen; urlopen('{url}/others')"],
            check=True,
            stderr=subprocess.DEVNULL,
        )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["toy_profiled:asgi_app", "--route", "/item/{item_id}", "--request", "/items/1"],
            'perfkit: no route "/item/{item_id}": near ones are /items/{item_id}\n',
        ),
        (
            ["nowhere:app", "--route", "/x"],
            'perfkit: the application does not start: there is no module "nowhere"; run this '
            "where nowhere.py is, or install it\n",
        ),
        (
            ["toy_profiled:asgi_app", "--route", "/items/{item_id}"],
            "perfkit: say what to ask for, for example --request /items/1, or bring a load of "
            "your own with --external-load\n",
        ),
        (
            ["toy_profiled:asgi_app", "--route", "/others", "--seconds", "1e9"],
            "perfkit: --seconds is more than 0 and at most 120\n",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, tmp_path: Path) -> None:
    status, out, err = profile(*arguments, "--output", str(tmp_path))

    assert (status, out, err) == (1, "", told)


def test_a_load_that_fails_makes_the_profile_void(tmp_path: Path) -> None:
    status, out, _ = profile(
        APP, "--route", "/failures", "--seconds", "1", "--output", str(tmp_path)
    )

    assert status == 2
    assert re.search(r"void: (\d+) of \1 requests failed, most with 500$", out.strip())


def test_a_load_of_other_routes_makes_the_profile_void(tmp_path: Path) -> None:
    status, out, _ = profile(
        APP, "--route", "/sleepers", "--request", "/others", "--seconds", "1",
        "--output", str(tmp_path),
    )  # fmt: skip

    assert status == 2
    assert out.endswith("void: no request of /sleepers came: the load asked GET /others\n")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("/items/1", Asked("GET", "/items/1")),
        ("delete /items/1", Asked("DELETE", "/items/1")),
        ('POST /items {"name": "a lamp"}', Asked("POST", "/items", '{"name": "a lamp"}')),
    ],
)
def test_a_request_is_a_path_or_more(text: str, asked: Asked) -> None:
    assert Asked.parse(text) == asked


@pytest.mark.parametrize("text", ["", "items/1", "GET", "GET items"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(LoadError, match="--request is a path"):
        Asked.parse(text)


def test_the_absence_of_pyinstrument_is_told_as_a_line_to_install_it() -> None:
    code = (
        "import sys; sys.modules['pyinstrument'] = None; from perfkit.__main__ import main; "
        "sys.exit(main(['profile', 'app:app']))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == (
        'perfkit: profile needs the package "pyinstrument", which is not installed: '
        "pip install 'measured-rest[profile]'\n"
    )
