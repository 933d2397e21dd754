import json
from dataclasses import replace

import pytest

from perfkit.workload import Answer, Workload, fault
from tests.perfkit.toy_contests import rows

JSON = {"content-type": "application/json"}
ROW = Workload("small", "small JSON", "/", content={"a": 1})
(CONDITIONAL,) = rows("same")


def test_an_answer_is_right_when_its_json_is_equal() -> None:
    assert fault(ROW, Answer(200, JSON, b'{ "a" : 1 }')) is None


def test_parameters_of_the_media_type_do_not_matter() -> None:
    headers = {"content-type": "application/json; charset=utf-8"}

    assert fault(ROW, Answer(200, headers, b'{"a":1}')) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, JSON, b'{"a":1}'), "status 404 instead of 200"),
        (Answer(200, {}, b'{"a":1}'), "Content-Type '' instead of application/json"),
        (Answer(200, JSON, b"oh"), "a body that is no JSON: b'oh'"),
        (Answer(200, JSON, b'{"a":2}'), "body b'{\"a\":2}' instead of '{\"a\": 1}'"),
    ],
)
def test_a_fault_says_what_is_wrong(answer: Answer, reason: str) -> None:
    assert fault(ROW, answer) == reason


def test_a_long_body_is_shown_in_part() -> None:
    body = json.dumps(["x" * 1000]).encode()

    reason = fault(ROW, Answer(200, JSON, body))

    assert reason is not None
    assert len(reason) < 200


def test_a_304_has_its_entity_tag_and_no_content() -> None:
    assert fault(CONDITIONAL, Answer(304, {"etag": '"1"'}, b"")) is None
    assert fault(CONDITIONAL, Answer(304, {}, b"")) == 'ETag None instead of "1"'
    assert fault(CONDITIONAL, Answer(304, {"etag": '"1"'}, b"x")) == "a 304 with a body: b'x'"


def test_a_conditional_row_is_checked_without_its_condition_too() -> None:
    conditional, plain = CONDITIONAL.requests

    assert conditional == CONDITIONAL
    assert (plain.status, plain.headers, plain.content, plain.etag) == (
        200,
        (),
        {"version": 1},
        '"1"',
    )
    assert ROW.requests == [ROW]


def test_only_content_is_announced() -> None:
    fields = dict(replace(ROW, method="POST", body=b"{}").fields)

    assert fields["content-length"] == "2"
    assert "content-length" not in dict(ROW.fields)
