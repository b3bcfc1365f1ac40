from __future__ import annotations

from tidings.ops.health import STUCK_SECONDS, Health


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
