"""A child process that is asked in lines of JSON and answers each with another."""

from __future__ import annotations

import json
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from perfkit.errors import PerfkitError

ANSWER_SECONDS = 60.0


class PeerError(PerfkitError):
    """A process that measures failed, so there is no verdict."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"cannot time {what}: {reason}")
        self.reason = reason


class SilentPeerError(PeerError):
    """A process does not answer any more, or takes too long to."""


class Peer:
    """One such process; *what* names in errors what it measures."""

    def __init__(self, what: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._what = what
        # A file, because nobody would empty a pipe while rounds are timed.
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (close() closes it)
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            # Ctrl-C is for us: peers end when their input does.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Hand over one message."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
        except BrokenPipeError:
            raise PeerError(self._what, self._last_words()) from None

    def answer(self) -> Any:
        """Return the next answer.

        Raises:
            PeerError: The process ended, was silent for a minute (SilentPeerError), or says that
                it cannot.
        """
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], ANSWER_SECONDS)[0]:
            raise SilentPeerError(self._what, f"no answer within {ANSWER_SECONDS:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._what, self._last_words())
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise PeerError(self._what, answer["error"])
        return answer

    def ask(self, message: object) -> Any:
        """Hand over one message and return the answer to it."""
        self.send(message)
        return self.answer()

    def close(self) -> None:
        """End the process and wait until it is gone."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def hang_up(self) -> None:
        """Let the process see the end of its input, after which it clears up and ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def finish(self, seconds: float) -> None:
        """Let the process clear up after the end of its input; end it after *seconds*."""
        self.hang_up()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"it ended with status {self._process.returncode}"
