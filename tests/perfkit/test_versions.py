import os
import subprocess
from pathlib import Path

import pytest

from perfkit.versions import (
    NotARepositoryError,
    UnknownVersionError,
    VersionError,
    commit_of,
    is_changed,
    repository,
    two_trees,
)


def _git(root: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    settings = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *settings, *arguments],
        cwd=root,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose only commit, tagged v1, has the file toy/text with the text "old"."""
    folder = tmp_path / "repository"
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / "text").write_text("old")
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message", "first")
    _git(folder, "tag", "v1")
    return folder


def test_a_repository_is_found_from_a_folder_below(root: Path) -> None:
    assert repository(root / "toy") == root.resolve()


def test_a_folder_outside_of_any_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError, match="not inside a git checkout"):
        repository(tmp_path)


@pytest.mark.parametrize("name", ["main", "v1", "HEAD"])
def test_branches_tags_and_commits_have_a_commit(root: Path, name: str) -> None:
    assert commit_of(root, name) == _git(root, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["nowhere", "-x", "main:toy/text", ""])
def test_what_is_no_commit_is_unknown(root: Path, name: str) -> None:
    with pytest.raises(UnknownVersionError, match="does not exist"):
        commit_of(root, name)


def test_base_is_the_commit_and_head_the_working_tree(root: Path) -> None:
    (root / "toy" / "text").write_text("new")
    (root / "toy" / "added").write_text("not yet in git")

    with two_trees(root, commit_of(root, "v1"), ["toy", "absent"]) as trees:
        (root / "toy" / "text").write_text("edited during the run")
        base, head = (tree / "toy" / "text" for tree in trees)
        texts = base.read_text(), head.read_text()
        added = (trees.head / "toy" / "added").exists()

    assert texts == ("old", "new")
    assert added
    assert len(str(trees.base)) == len(str(trees.head))


def test_both_trees_are_gone_after_an_error(root: Path) -> None:
    with pytest.raises(ZeroDivisionError), two_trees(root, commit_of(root, "v1"), ["toy"]) as trees:
        raise ZeroDivisionError

    assert not trees.base.parent.exists()
    assert len(_git(root, "worktree", "list").splitlines()) == 1


def test_a_tree_that_vanished_during_the_run_is_forgotten(root: Path) -> None:
    with two_trees(root, commit_of(root, "v1"), ["toy"]) as trees:
        (trees.base.parent / "checkout" / ".git").unlink()

    assert not trees.base.parent.exists()
    assert len(_git(root, "worktree", "list").splitlines()) == 1


def test_a_commit_that_cannot_be_checked_out_leaves_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    with pytest.raises(VersionError), two_trees(root, "0" * 40, ["toy"]):
        pass

    assert list(temporary.iterdir()) == []


def test_the_repository_of_a_running_hook_is_not_mistaken_for_ours(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    assert repository(root) == root.resolve()


def test_hooks_of_the_repository_do_not_run(root: Path, tmp_path: Path) -> None:
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)

    with two_trees(root, commit_of(root, "v1"), ["toy"]):
        pass

    assert not (tmp_path / "ran").exists()


def test_edits_of_the_folders_are_noticed_and_others_are_not(root: Path) -> None:
    (root / "notes").write_text("beside the folder")
    before = is_changed(root, ["toy"])
    (root / "toy" / "text").write_text("new")

    assert (before, is_changed(root, ["toy"])) == (False, True)
