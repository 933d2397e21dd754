"""Tables of requests and the answers which the RFCs ask for, sent to one application each.

A module declares `application()` and `CASES`, whose rows are: an id that names the section of
the RFC (RFC 9110 unless it says otherwise) and the decision, if one decides; the method and
target; the header fields; the status; and the fields of the answer, where None means that the
field is absent. A sixth member is the content to send.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from restmachine.testing import ClientResponse, TestClient


@dataclass(frozen=True)
class Case:
    """One request, and what must come of it."""

    id: str
    line: str
    sent: dict[str, Any]
    status: int
    fields: dict[str, Any] = field(default_factory=dict)
    content: bytes = b""

    def ask(self, client: TestClient) -> ClientResponse:
        """Send the request."""
        method, target = self.line.split(" ", 1)
        return client.request(method, target, headers=self.sent, content=self.content)

    def differences(self, response: ClientResponse) -> dict[str, Any]:
        """Return every field of the answer that is not as expected."""
        found = {name: response.headers.joined(name) for name in self.fields}
        return {
            name: found[name]
            for name, expected in self.fields.items()
            if not _agrees(found[name], expected)
        }


def _agrees(found: str | None, expected: Any) -> bool:
    if isinstance(expected, re.Pattern):
        return found is not None and expected.fullmatch(found) is not None
    return bool(found == expected)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes `case` every row of its module's table."""
    if "case" in metafunc.fixturenames:
        rows = [Case(*row) for row in metafunc.module.CASES]
        metafunc.parametrize("case", rows, ids=[row.id for row in rows])


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """Start the module's application."""
    with TestClient(request.module.application()) as started:
        yield started


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level("CRITICAL", logger="restmachine")
