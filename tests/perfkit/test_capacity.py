from perfkit import capacity
from perfkit.histogram import Latencies
from tests.perfkit.toy_contests import toys


def test_a_server_is_loaded_below_its_capacity() -> None:
    told: list[str] = []

    borne = capacity.run(toys("slow"), told.append)

    raw, slow = borne["peers"]["raw"], borne["peers"]["slow"]
    assert (borne["row"], sorted(told)) == ("small", ["raw", "slow"])
    assert min(raw["capacities"]) > max(slow["capacities"])
    expected = sum(round(0.7 * each * capacity.LOAD_SECONDS) for each in slow["capacities"])
    assert abs(Latencies(slow["histogram"]).count - expected) <= 2
    assert 0 < raw["latency"]["p50_ms"] <= raw["latency"]["p99_ms"]
    assert raw["connection_bytes"] > 100
