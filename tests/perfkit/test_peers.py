import argparse
import json
from pathlib import Path
from typing import NoReturn

import pytest

from perfkit import peers
from perfkit.__main__ import main
from perfkit.peer import PeerError
from tests.perfkit.toy_contests import PACKAGE


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    peers.configure(parser)
    return parser.parse_args(["--package", PACKAGE, *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frameworks", "django"], 'there is no framework "django": choose from '),
        (["--only", "tiny"], 'there is no row "tiny": choose from small same together wide'),
        (["--phases", "wires"], 'there is no phase "wires": choose from process wire load curves'),
        (["--package", "tests.nowhere"], "tests.nowhere.rows cannot be imported from here"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are(
    words: list[str], message: str
) -> None:
    with pytest.raises(peers.PeersError, match=message):
        peers.command(options(*words))


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "soon"])
def test_time_is_a_positive_number(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["peers", "--seconds", seconds])

    assert "argument --seconds" in capsys.readouterr().err


def test_a_comparison_is_shown_and_written_with_every_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"

    status = peers.command(
        options(
            "--frameworks", "slow", "--only", "small,wide", "--phases", "process",
            "--seconds", "0.1", "--output", str(output),
        )
    )  # fmt: skip

    document = json.loads((output / "peers.json").read_text())
    shown, said = capsys.readouterr()
    assert status == 0
    assert "| small JSON |" in shown
    assert "peers: process: 1 generation; about " in said
    assert (output / "peers.md").read_text() in shown
    assert (output / "peers-process.svg").is_file()
    assert list(document["process"]) == ["small", "wide"]
    assert list(document["process"]["small"][0]) == ["null", "raw", "slow"]
    assert "after a calculation" in document["peers"]["slow"]["practice"]


def test_a_comparison_is_published_when_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PUBLISHED", tmp_path / "peers.json")

    peers.command(
        options(
            "--frameworks", "slow", "--only", "small", "--phases", "process",
            "--seconds", "0.1", "--output", str(tmp_path / "out"), "--publish",
        )
    )  # fmt: skip

    published = json.loads((tmp_path / "peers.json").read_text())
    assert published == json.loads((tmp_path / "out" / "peers.json").read_text())


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(peers.PeersError, match="exists and is not an empty folder"):
        peers.command(options("--output", str(tmp_path)))


def test_a_phase_that_fails_does_not_take_those_before_it_along(tmp_path: Path) -> None:
    words = ("--frameworks", "uneven", "--only", "small", "--phases", "process wire")

    with pytest.raises(PeerError, match="bytes"):
        peers.command(options(*words, "--seconds", "0.1", "--output", str(tmp_path / "out")))

    document = json.loads((tmp_path / "out" / "peers.json").read_text())
    assert list(document["process"]) == ["small"]
    assert "wire" not in document


@pytest.fixture
def interrupted_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(peers.capacity, "run", interrupted)


@pytest.mark.usefixtures("interrupted_load")
def test_an_interrupted_comparison_says_where_the_rest_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--frameworks", "slow", "--only", "small", "--phases", "process load")
    output = tmp_path / "out"

    status = peers.command(options(*words, "--seconds", "0.1", "--output", str(output)))

    assert status == 2
    assert f"interrupted; what was complete is in {output}" in capsys.readouterr().err
    assert (output / "peers.md").is_file()


@pytest.mark.usefixtures("interrupted_load")
def test_a_comparison_interrupted_at_once_says_that_nothing_was_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = peers.command(options("--phases", "load", "--output", str(tmp_path / "out")))

    assert status == 2
    assert "peers: interrupted; nothing was complete" in capsys.readouterr().err
