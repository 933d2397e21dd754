import pytest

from perfkit.histogram import Latencies


def recorded(*seconds: float) -> Latencies:
    latencies = Latencies()
    for duration in seconds:
        latencies.record(duration)
    return latencies


def test_percentiles_keep_three_digits_of_what_was_recorded() -> None:
    digest = recorded(*(millisecond / 1000 for millisecond in range(1, 1001))).digest()

    assert digest is not None
    assert digest.p50_ms == pytest.approx(500, rel=0.001)
    assert digest.p95_ms == pytest.approx(950, rel=0.001)
    assert digest.p99_ms == pytest.approx(990, rel=0.001)
    assert digest.p999_ms == pytest.approx(999, rel=0.001)
    assert digest.max_ms == pytest.approx(1000, rel=0.001)


def test_nothing_recorded_has_no_percentiles() -> None:
    assert Latencies().digest() is None


@pytest.mark.parametrize(("seconds", "kept_ms"), [(0.0, 0.001), (1e-9, 0.001), (500.0, 120_000)])
def test_durations_out_of_range_are_clamped_and_never_lost(seconds: float, kept_ms: float) -> None:
    latencies = recorded(seconds)

    digest = latencies.digest()

    assert latencies.count == 1
    assert digest is not None
    assert digest.max_ms == pytest.approx(kept_ms, rel=0.001)


def test_an_encoded_histogram_is_read_back_and_adds_to_another() -> None:
    both = recorded(0.001, 0.002)

    both.add(Latencies(recorded(0.5).encode()))

    digest = both.digest()
    assert both.count == 3
    assert digest is not None
    assert digest.max_ms == pytest.approx(500, rel=0.001)
    assert digest.p50_ms == pytest.approx(2, rel=0.001)
