import json

from perfkit.samples import (
    ERROR_TEXTS_KEPT,
    OTHER_ERRORS,
    End,
    Gauges,
    Recorder,
    RouteCounts,
    Second,
    read_line,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_request_counts_in_the_second_in_which_it_ended() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    recorder.start()
    clock.now += 0.9
    recorder.record("GET /", 0.1, None)
    clock.now += 0.2
    recorder.record("GET /", 0.1, None)
    clock.now += 1.0

    taken = list(recorder.take())

    assert [(at, routes["GET /"].requests) for at, routes in taken] == [(0, 1), (1, 1)]


def test_each_second_is_handed_out_once_and_quiet_ones_too() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    recorder.start()
    clock.now += 3.5

    first, second = list(recorder.take()), list(recorder.take())

    assert first == [(0, {}), (1, {}), (2, {})]
    assert second == []


def test_the_running_second_is_handed_out_at_the_end() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    recorder.start()
    recorder.record("GET /", 0.1, None)

    assert list(recorder.take()) == []
    assert [at for at, _ in recorder.take(unfinished=True)] == [0]


def test_nothing_is_handed_out_before_the_start() -> None:
    recorder = Recorder(Clock())

    assert list(recorder.take(unfinished=True)) == []


def test_a_second_start_forgets_the_run_before() -> None:
    recorder = Recorder(Clock())
    recorder.start()
    recorder.record("GET /", 0.1, None)

    recorder.start()

    assert list(recorder.take(unfinished=True)) == [(0, {})]


def test_a_request_without_answer_counts_as_failure_without_latency() -> None:
    counts = RouteCounts()

    counts.record(None, "connection refused")
    counts.record(0.2, "status 500")

    assert (counts.requests, counts.failures, counts.latencies.count) == (2, 2, 1)
    assert counts.errors == {"connection refused": 1, "status 500": 1}


def test_the_kinds_of_errors_kept_are_bounded() -> None:
    counts = RouteCounts()

    for number in range(1000):
        counts.record(None, f"error {number}")

    assert len(counts.errors) == ERROR_TEXTS_KEPT + 1
    assert counts.errors[OTHER_ERRORS] == 1000 - ERROR_TEXTS_KEPT


def test_a_second_survives_its_way_as_one_line_of_json() -> None:
    counts = RouteCounts()
    counts.record(0.25, "status 404")
    second = Second("load worker 1", 7, Gauges(3, 0.5, 0.25, 0.125), {"GET /": counts})

    line = json.dumps(second.to_json())
    read = read_line(line)

    assert "\n" not in line
    assert isinstance(read, Second)
    assert (read.source, read.at, read.gauges) == (second.source, 7, second.gauges)
    assert read.routes["GET /"].errors == {"status 404": 1}
    assert read.routes["GET /"].latencies.digest() == counts.latencies.digest()


def test_the_end_of_a_run_survives_its_way() -> None:
    assert read_line(json.dumps(End(29.5).to_json())) == End(29.5)
