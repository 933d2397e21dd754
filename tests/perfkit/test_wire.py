from collections.abc import Iterator

import pytest

from perfkit.contest import WrongAnswerError
from perfkit.interleave import Worker
from perfkit.peer import PeerError
from perfkit.requester import AnswerParser, request_bytes
from perfkit.turns import ratio
from perfkit.usage import cpu_seconds
from perfkit.wire import answered, ask, requester, run, servers
from perfkit.workload import Workload
from tests.perfkit.toy_contests import PACKAGE, toys


def quiet(_: str) -> None:
    """Take what progress tells."""


@pytest.fixture
def client() -> Iterator[Worker]:
    with requester(PACKAGE) as worker:
        yield worker


def test_a_request_goes_over_the_wire_with_its_fields_and_content() -> None:
    sent = request_bytes(Workload("post", "post", "/users", method="POST", body=b"{}"))

    head, _, content = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /users HTTP/1.1\r\nhost: ")
    assert head.endswith(b"content-length: 2")
    assert content == b"{}"


@pytest.mark.parametrize(
    "sent",
    [
        b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 2\r\n\r\n{}',
        b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    ],
)
def test_an_answer_is_complete_with_its_last_byte(sent: bytes) -> None:
    parser = AnswerParser()

    parser.feed(sent[:-1])
    before = parser.complete
    parser.feed(sent[-1:])

    assert not before
    assert parser.complete
    assert (parser.answer.status, parser.answer.body) == (200, b"{}")
    assert parser.answer.headers["etag"] == '"1"'


def test_more_work_costs_the_server_more() -> None:
    samples = run(toys("slow", only="small same wide"), 0.1, quiet)

    assert sorted(samples) == ["same", "small", "wide"]
    assert ratio(samples["small"], "slow", "raw").value > 1.5


def test_a_wrong_answer_over_the_wire_is_an_error_and_no_figure() -> None:
    with pytest.raises(WrongAnswerError, match='wrong answers the row "small JSON" with body'):
        run(toys("wrong"), 0.1, quiet)


def test_answers_of_another_length_end_the_run(client: Worker) -> None:
    with servers(toys("uneven"), None, 1) as started, pytest.raises(PeerError) as caught:
        answered(client, started["uneven"], "small", 64)

    assert "an answer of" in str(caught.value) or "after one of" in str(caught.value)


def test_a_server_that_is_gone_ends_the_run(client: Worker) -> None:
    with servers(toys(), None, 1) as started:
        started["raw"].process.kill()
        started["raw"].process.wait()

        with pytest.raises(PeerError, match="cannot time the client"):
            ask(client, started["raw"], "small", count=4, connections=2)


def test_every_request_of_an_open_load_has_its_latency(client: Worker) -> None:
    with servers(toys(), None, 1) as started:
        shown = ask(client, started["raw"], "small", count=50, connections=4, rate=200.0)

    assert len(shown["latencies"]) == 50
    assert min(shown["latencies"]) > 0
    # Fifty that begin at two hundred a second take a quarter of one, however fast the answers.
    assert shown["seconds"] > 0.15


def test_latency_counts_from_when_a_request_was_due(client: Worker) -> None:
    with servers(toys("slow"), None, 1) as started:
        shown = ask(client, started["slow"], "small", count=60, connections=1, rate=50_000.0)

    # All are due at once, and one connection has them answered one after the other.
    assert sorted(shown["latencies"]) == shown["latencies"]
    assert shown["latencies"][-1] > shown["seconds"] / 2


def test_cpu_time_of_another_process_grows_by_what_it_computes(client: Worker) -> None:
    with servers(toys("slow"), None, 1) as started:
        pid = started["slow"].process.pid
        before = cpu_seconds(pid)
        shown = ask(client, started["slow"], "small", count=100, connections=2)
        after = cpu_seconds(pid)

    assert 0 < shown["cpu"] <= after - before


def test_a_peer_may_have_a_server_of_its_own(client: Worker) -> None:
    with servers(toys("served"), None, 1) as started:
        given = ask(client, started["served"], "small")["answers"]

    status, headers, body = given[0]
    assert (status, headers["server"], body) == (200, "its own", '{"routes": 1}')
