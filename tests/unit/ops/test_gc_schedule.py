"""The collector's schedule and what its pauses are counted as."""

from __future__ import annotations

import gc

import pytest
from prometheus_client import CollectorRegistry

from tidings.ops.gc_schedule import Pauses, collecting_on_schedule, is_due


@pytest.mark.parametrize(
    ("since", "busy", "due"),
    [(0, 0.0, False), (599, 0.0, False), (600, 0.0, True), (600, 0.9, False), (3_599, 0.9, False), (3_600, 0.9, True)],
)
def test_it_collects_when_it_is_quiet_and_at_last_when_it_is_not(since: float, busy: float, due: bool) -> None:
    assert is_due(since, busy) is due


async def test_inside_full_collections_do_not_start_by_themselves_and_pauses_are_counted() -> None:
    registry = CollectorRegistry()
    before = gc.get_threshold(), gc.isenabled()

    def count(generation: int) -> float:
        labels = {"generation": str(generation), "le": "+Inf"}
        return registry.get_sample_value("tidings_gc_pause_seconds_bucket", labels) or 0.0

    async with collecting_on_schedule(Pauses(registry)):
        assert gc.get_freeze_count() > 10_000
        full = count(2)
        kept: list[list[object]] = []
        for _ in range(300_000):
            kept.append([kept])
        assert count(0) > 100
        assert count(2) == full
        kept.clear()
        gc.collect()
        assert count(2) == full + 1
    assert (gc.get_threshold(), gc.isenabled()) == before
    assert gc.get_freeze_count() == 0
