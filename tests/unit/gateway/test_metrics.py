from __future__ import annotations

from prometheus_client import CollectorRegistry

from tidings.gateway.metrics import GatewayMetrics


def test_latencies_are_counted_once_per_client() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.written(3, now=10.0, consumed=9.998, changed_at=9.9)
    metrics.written(1, now=10.0, consumed=9.998, changed_at=None)
    metrics.delivered(0.004)
    assert registry.get_sample_value("tidings_consume_to_write_seconds_bucket", {"le": "0.0025"}) == 4
    assert registry.get_sample_value("tidings_change_to_write_seconds_count") == 3
    assert registry.get_sample_value("tidings_append_to_consume_seconds_count") == 1


def test_a_negative_latency_counts_as_none_and_as_skew() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.written(2, now=10.0, consumed=9.0, changed_at=11.0)
    assert registry.get_sample_value("tidings_clock_skew_total") == 1
    assert registry.get_sample_value("tidings_change_to_write_seconds_sum") == 0
    assert registry.get_sample_value("tidings_change_to_write_seconds_count") == 2
