import subprocess
from pathlib import Path

import pytest

from perfkit.machine import facts, revision


def git(*words: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


def test_facts_are_texts_by_name() -> None:
    found = facts()

    assert {"machine", "system", "Python", "packages", "source"} <= set(found)
    assert "locust 2" in found["packages"]
    assert all(found.values())


def test_the_source_is_a_commit_and_says_when_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "-m", "One")
    clean = revision()

    (tmp_path / "file").write_text("two")

    assert clean is not None
    assert revision() == f"{clean}-dirty"


def test_outside_a_checkout_there_is_no_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)

    assert revision() is None
