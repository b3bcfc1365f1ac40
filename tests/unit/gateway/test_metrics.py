from __future__ import annotations

from prometheus_client import CollectorRegistry

from tests.support.connections import connection_of
from tidings.gateway.metrics import GatewayMetrics
from tidings.gateway.pending import Pending
from tidings.gateway.told import Told

one = connection_of("alice")


def test_latencies_are_counted_once_per_client() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.written([one] * 3, 10.0, Pending({}, 9.998, 9.9))
    metrics.written_each([one], 10.0, [Told("alice", {}, None)], 9.998)
    metrics.delivered(0.004)
    assert registry.get_sample_value("tidings_consume_to_write_seconds_bucket", {"le": "0.0025"}) == 4
    assert registry.get_sample_value("tidings_change_to_write_seconds_count") == 3
    assert registry.get_sample_value("tidings_append_to_consume_seconds_count") == 1


def test_a_negative_latency_counts_as_none_and_as_skew() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.written([one], 10.0, Pending({}, 9.0, 11.0))
    metrics.written_each([one], 10.0, [Told("alice", {}, 11.0)], 9.0)
    assert registry.get_sample_value("tidings_clock_skew_total") == 2
    assert registry.get_sample_value("tidings_change_to_write_seconds_sum") == 0
    assert registry.get_sample_value("tidings_change_to_write_seconds_count") == 2
