from __future__ import annotations

import time
from unittest import mock

import pytest
from prometheus_client import CollectorRegistry

from tests.support.connections import connection_of
from tidings.bus.memory import MemoryLog
from tidings.gateway.feeds.feed import Feed, FeedCounters
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.rounds import Rounds
from tidings.gateway.feeds.windows import Windows
from tidings.gateway.model.changes import Told
from tidings.gateway.model.pending import Pending
from tidings.gateway.watching.dashboard import published
from tidings.gateway.watching.metrics import GatewayMetrics
from tidings.ops.budget import Budget

one = connection_of("alice")


def test_latencies_are_counted_once_per_client() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.written([one] * 3, 10.0, Pending({}, 9.998, 9.9))
    metrics.written_each(10.0, [Told("alice", {}, None)], 9.998)
    metrics.delivered(0.004)
    assert registry.get_sample_value("tidings_consume_to_write_seconds_bucket", {"le": "0.0025"}) == 4
    assert registry.get_sample_value("tidings_change_to_write_seconds_count") == 3
    assert registry.get_sample_value("tidings_append_to_consume_seconds_count") == 1


def test_a_latency_that_no_two_clocks_can_have_measured_is_counted_and_not_used() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    for times in (-62_135_596_800.0, 1e12, 1795900000.0 - 7200, 1795900000.0 + 7200):
        metrics.written([one] * 2, 1795900000.0, Pending({}, 1795899999.0, times))
        metrics.written_each(1795900000.0, [Told("alice", {}, times)], 1795899999.0)
    metrics.delivered(4000.0)
    metrics.delivered(-4000.0)
    assert registry.get_sample_value("tidings_change_to_write_seconds_count") == 0
    assert registry.get_sample_value("tidings_change_to_write_seconds_sum") == 0
    assert registry.get_sample_value("tidings_append_to_consume_seconds_count") == 0
    assert registry.get_sample_value("tidings_clock_skew_total") == 10
    assert registry.get_sample_value("tidings_consume_to_write_seconds_count") == 12


def test_what_waited_for_hours_for_its_client_is_measured() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.written([one], 10_000.0, Pending({}, 10.0, None))
    assert registry.get_sample_value("tidings_consume_to_write_seconds_sum") == 9990


def test_windows_and_clock_are_exposed() -> None:
    registry = CollectorRegistry()
    clock = LogClock()
    clock.set(time.time() - 400, time.monotonic())
    windows = Windows(Budget().account("windows"))
    windows.cut = 3
    GatewayMetrics(registry).watch_feeds(windows, clock, dict)
    assert registry.get_sample_value("tidings_windows_cut_total") == 3
    assert registry.get_sample_value("tidings_clock_skew_seconds") == pytest.approx(400, abs=1)


def test_a_feed_that_never_heard_anything_is_as_silent_as_it_is_old() -> None:
    registry = CollectorRegistry()
    before = time.monotonic()
    windows, clock = Windows(Budget().account("windows")), LogClock()
    feed = Feed(MemoryLog(1), 0, mock.Mock(), FeedCounters(), mock.Mock(), windows, clock, Rounds())
    GatewayMetrics(registry).watch_feeds(windows, clock, lambda: {0: feed})
    silence = registry.get_sample_value("tidings_feed_silence_seconds", {"shard": "0"})
    assert silence is not None
    assert 0 <= silence <= time.monotonic() - before
    shown = published(mock.Mock(feeds={0: feed}), mock.Mock())["shards"]()
    assert isinstance(shown, dict)
    assert 0 <= shown["0"]["silent_seconds"] <= time.monotonic() - before


def test_a_negative_latency_counts_as_none_and_as_skew() -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    metrics.written([one], 10.0, Pending({}, 9.0, 11.0))
    metrics.written_each(10.0, [Told("alice", {}, 11.0)], 9.0)
    assert registry.get_sample_value("tidings_clock_skew_total") == 2
    assert registry.get_sample_value("tidings_change_to_write_seconds_sum") == 0
    assert registry.get_sample_value("tidings_change_to_write_seconds_count") == 2
