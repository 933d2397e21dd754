"""What all scenarios share: a client of the application that takes nothing for granted.

Every request is reported under its method and route template, the labels of the server's
own metrics. An answer with another status or other content than expected is a failure,
and ends the task it belongs to. The texts of failures hold no identifiers, because Locust
keeps an entry for each distinct text.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any, ClassVar

from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.exception import RescheduleTask

from loadtests.settings import Population
from perfkit.openloop import OpenLoopUser

SEED_VARIABLE = "LOADTEST_SEED"
"""Another value than the default, 1, lets the same scenarios make other choices."""

numbers: dict[str, Iterator[int]] = defaultdict(count)
"""Numbers the users of each scenario, as they come."""


class UnexpectedAnswerError(RescheduleTask):
    """The application answered otherwise than it should; the task is over."""


def expect(condition: bool, otherwise: str) -> None:
    """Raise UnexpectedAnswerError with the text *otherwise*, unless *condition* holds."""
    if not condition:
        raise UnexpectedAnswerError(otherwise)


class Answer:
    """What came back; reading it raises a LookupError or ValueError if it is not there."""

    def __init__(self, response: ResponseContextManager) -> None:
        self.content: bytes = response.content or b""
        self._headers: Any = response.headers or {}

    def field(self, name: str) -> str:
        """Return a header field."""
        return str(self._headers[name])

    def json(self) -> Any:
        """Return the content, parsed."""
        return json.loads(self.content)


class Visitor(OpenLoopUser):
    """A user whose choices repeat from run to run."""

    abstract = True
    scenario: ClassVar[str]
    population: ClassVar[Population] = Population()
    # Longer than any budget, short enough that a server which hangs is noticed.
    connection_timeout = 10.0
    network_timeout = 10.0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        seed = os.environ.get(SEED_VARIABLE, "1")
        worker = getattr(environment.runner, "worker_index", 0)
        self.random = Random(f"{seed} {self.scenario} {worker} {next(numbers[self.scenario])}")

    @contextmanager
    def ask(
        self,
        method: str,
        template: str,
        identifiers: Mapping[str, int] | None = None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        send: object = None,
        status: int = 200,
    ) -> Iterator[Answer]:
        """Send one request; the block may `expect` more of the answer than its *status*.

        Raises:
            UnexpectedAnswerError: The answer was reported as a failure.
        """
        with self.client.request(
            method,
            template.format_map(identifiers or {}) + query,
            name=f"{method} {template}",
            headers=dict(headers or {}),
            json=send,
            catch_response=True,
        ) as response:
            try:
                check_status(response, status)
                yield Answer(response)
            except UnexpectedAnswerError as wrong:
                response.failure(str(wrong))
                raise
            except (LookupError, TypeError, ValueError) as wrong:
                response.failure(f"content of another shape: {type(wrong).__name__}")
                raise UnexpectedAnswerError from wrong
            response.success()


def check_status(response: ResponseContextManager, status: int) -> None:
    """Raise UnexpectedAnswerError unless *response* has that status."""
    if response.status_code == 0:
        raise UnexpectedAnswerError(
            f"no answer: {type(response.request_meta['exception']).__name__}"
        )
    expect(response.status_code == status, f"{response.status_code} instead of {status}")
