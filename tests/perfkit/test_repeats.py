"""A request that asks the same again and again is seen, and told of once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perfkit import record, repeats
from perfkit.record import Operation, Record, current
from perfkit.repeats import Warner, repeated


@pytest.fixture
def warner() -> Iterator[None]:
    listener = Warner(threshold=3)
    record.listen(listener)
    yield
    record.unlisten(listener)


def ask(route: str | None, *names: str, system: str = "postgresql") -> Record:
    kept = Record("GET", route, 0.0)
    token = current.set(kept)
    for name in names:
        record.report(Operation(system, name, 0.0, 0.001))
    current.reset(token)
    return kept


def test_what_a_request_repeated_is_counted_the_most_first() -> None:
    kept = ask("/posts", "one", "two", "author", "two", "author", "author")

    assert list(repeated(kept).items()) == [
        (("postgresql", "author"), 3),
        (("postgresql", "two"), 2),
    ]
    assert repeated(kept, at_least=3) == {("postgresql", "author"): 3}


@pytest.mark.usefixtures("warner")
def test_a_repetition_is_told_with_route_count_and_statement(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask("/posts", "posts", "author", "author", "author")

    assert caplog.messages == ["GET /posts asks postgresql 3 times or more in one request: author"]


@pytest.mark.usefixtures("warner")
def test_a_repetition_is_told_once_for_each_route_and_statement(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask("/posts", *["author"] * 9)
    ask("/posts", *["author"] * 3, *["tag"] * 3)
    ask("/pages", *["author"] * 3)

    told = [message.split(" asks ")[0] + ": " + message.split()[-1] for message in caplog.messages]
    assert told == ["GET /posts: author", "GET /posts: tag", "GET /pages: author"]


@pytest.mark.usefixtures("warner")
def test_fewer_than_the_threshold_and_what_no_request_asked_are_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask("/posts", "author", "author", "tag", "tag")
    record.report(Operation("redis", "GET", 0.0, 0.001))
    record.report(Operation("redis", "GET", 0.0, 0.001))
    record.report(Operation("redis", "GET", 0.0, 0.001))

    assert caplog.messages == []


@pytest.mark.usefixtures("warner")
def test_warnings_come_to_an_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "REMEMBERED", 2)

    ask("/posts", *["a"] * 3, *["b"] * 3, *["c"] * 3)

    assert len(caplog.messages) == 2
