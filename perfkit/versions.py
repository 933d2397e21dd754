"""Two versions of one repository side by side, in a temporary folder that is always removed.

VersionError                 a PerfkitError
├── NotARepositoryError      the folder belongs to no git repository
└── UnknownVersionError      no branch, tag or commit has that name
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from perfkit.errors import PerfkitError


class VersionError(PerfkitError):
    """git could not do what was asked; the text is git's own."""


class NotARepositoryError(VersionError):
    """The folder belongs to no git repository, so there is nothing to compare with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} is not inside a git checkout: run this in a clone of the code")


class UnknownVersionError(VersionError):
    """No branch, tag or commit has that name."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f'BASE "{wanted}" does not exist: try a branch, tag or commit')


class Trees(NamedTuple):
    """Where the two versions lie; the paths are of one length, as a path can shift memory."""

    base: Path
    head: Path


def repository(folder: Path) -> Path:
    """Return the top of the git checkout which *folder* lies in.

    Raises:
        NotARepositoryError: It lies in none.
    """
    try:
        return Path(_git(folder, "rev-parse", "--show-toplevel"))
    except VersionError as error:
        raise NotARepositoryError(folder) from error


def commit_of(root: Path, name: str) -> str:
    """Return the full commit id of a branch, tag or commit.

    Raises:
        UnknownVersionError: There is none of that name.
    """
    try:
        return _git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"
        )
    except VersionError as error:
        raise UnknownVersionError(name) from error


def is_changed(root: Path, folders: Sequence[str]) -> bool:
    """Return whether *folders* of the working tree differ from its last commit."""
    return bool(_git(root, "status", "--porcelain", "--", *folders))


@contextmanager
def two_trees(root: Path, commit: str, folders: Sequence[str]) -> Iterator[Trees]:
    """Copy *folders* of a checkout of *commit* to ``base``, those of the working tree to ``head``.

    The copy keeps edits made during a run out of it. Both trees are gone afterwards, whatever
    ends the block, and git has forgotten the one it made.
    """
    temporary = Path(tempfile.mkdtemp(prefix="perfkit-gate-")).resolve()
    checkout = temporary / "checkout"
    trees = Trees(temporary / "base", temporary / "head")
    try:
        # No hook of the repository's may run for a checkout that nobody works in.
        quiet = ("-c", f"core.hooksPath={os.devnull}")
        _git(root, *quiet, "worktree", "add", "--quiet", "--detach", str(checkout), commit)
        # Both are copies of the same folders, so that even listing them allocates alike.
        for source, tree in ((checkout, trees.base), (root, trees.head)):
            tree.mkdir()
            for folder in folders:
                if (source / folder).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(source / folder, tree / folder, ignore=ignored)
        yield trees
    finally:
        with _uninterrupted():
            _remove(root, checkout)
            shutil.rmtree(temporary)


def _remove(root: Path, worktree: Path) -> None:
    try:
        # Forced twice, because git locks a worktree until it is whole.
        _git(root, "worktree", "remove", "--force", "--force", str(worktree))
    except VersionError:
        # git was stopped so early that it does not know the folder.
        shutil.rmtree(worktree, ignore_errors=True)
        _git(root, "worktree", "prune")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let an impatient second Ctrl-C not stop the clearing up that the first one began."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _git(folder: Path, *arguments: str) -> str:
    # Inside a hook git sets GIT_DIR and others, which would point it at another tree.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            # Ctrl-C is for us: git is then asked to clear up.
            start_new_session=True,
        )
    except FileNotFoundError:
        raise VersionError("git is not installed; it has to check out BASE") from None
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()
        raise VersionError(reason[-1] if reason else f"git {arguments[0]} failed")
    return done.stdout.strip()
