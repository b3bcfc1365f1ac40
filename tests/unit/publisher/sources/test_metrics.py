from __future__ import annotations

from prometheus_client import CollectorRegistry

from tidings.publisher.sources.metrics import SourceMetrics


def test_each_source_reports_under_its_own_name() -> None:
    registry = CollectorRegistry()
    metrics = SourceMetrics(registry)
    first, second = metrics.of("first"), metrics.of("second")
    first.event()
    first.event(2)
    first.gap("overflow")
    first.connected(True)
    first.lag(-1.0)
    first.unmapped(3)
    second.lag(2.5)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("tidings_source_events_total", source="first") == 3
    assert value("tidings_source_gaps_total", source="first", reason="overflow") == 1
    assert value("tidings_source_connected", source="first") == 1
    assert value("tidings_source_lag_seconds", source="first") == 0
    assert value("tidings_source_unmapped_total", source="first") == 3
    assert value("tidings_source_events_total", source="second") == 0, "it is there from the start"
    assert value("tidings_source_connected", source="second") == 0
    assert value("tidings_source_lag_seconds", source="second") == 2.5
