"""The content of errors in each of its forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from restmachine.problems import phrase, problem


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "Not Found"), (413, "Content Too Large"), (414, "URI Too Long"),
     (416, "Range Not Satisfiable"), (422, "Unprocessable Content"), (599, "Error")],
)  # fmt: skip
def test_phrases_are_those_of_rfc_9110(status: int, said: str) -> None:
    assert phrase(status) == said


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, b"application/json"),
        ("*/*", b"application/json"),
        ("text/html", b"application/json"),
        ("image/png, text/plain", b"text/plain"),
        ("application/problem+json", b"application/problem+json"),
        ("application/*", b"application/json"),
        ("application/json;q=0, application/*", b"application/problem+json"),
    ],
)
def test_the_form_is_negotiated_and_json_if_nothing_fits(
    accept: str | None, media_type: bytes
) -> None:
    assert problem(404, None, accept)[1].startswith(media_type)


@pytest.mark.parametrize("detail", ["too short", [{"loc": ["name"]}], {"a": 1}])
def test_details_are_data(detail: Any) -> None:
    own, _ = problem(400, detail, None)
    standard, _ = problem(400, detail, "application/problem+json")

    assert json.loads(own) == {"error": "Bad Request", "details": detail}
    members = json.loads(standard)
    assert (members["title"], members["status"]) == ("Bad Request", 400)
    assert members["detail" if isinstance(detail, str) else "errors"] == detail


def test_details_follow_the_phrase_in_text() -> None:
    assert problem(400, "too short", "text/plain")[0] == b"Bad Request: too short"
