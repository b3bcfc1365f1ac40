from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry

from tidings.ops.health import STUCK_SECONDS, Health, expose


def test_alive_while_the_main_loop_beats() -> None:
    now = 100.0
    health = Health(lambda: now)
    assert health.alive()
    now += STUCK_SECONDS
    assert not health.alive()
    health.beat()
    assert health.alive()


def test_ready_when_no_part_is_not() -> None:
    health = Health()
    assert health.ready() == (True, {})
    health.set_ready("log", False, "not connected")
    health.set_ready("maildir", False, "unreadable")
    assert health.ready() == (False, {"log": "not connected", "maildir": "unreadable"})
    health.set_ready("log", True)
    health.set_ready("maildir", True)
    assert health.ready() == (True, {})


def test_metrics_say_what_runs_and_how_it_is() -> None:
    now = 100.0
    health, registry = Health(lambda: now), CollectorRegistry()
    expose(health, "gateway", registry)
    health.set_ready("log", False, "not connected")
    now += 7.0
    assert registry.get_sample_value("tidings_ready", {"command": "gateway"}) == 0
    assert registry.get_sample_value("tidings_beat_age_seconds") == 7.0
    assert registry.get_sample_value("tidings_build_info", {"command": "gateway", "version": version("tidings")}) == 1
    health.set_ready("log", True)
    assert registry.get_sample_value("tidings_ready", {"command": "gateway"}) == 1
