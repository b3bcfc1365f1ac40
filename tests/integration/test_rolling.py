"""A rolling restart below connected clients: real processes, a real broker. bench/rolling.py has more clients."""

from __future__ import annotations

from pathlib import Path

from tests.support.roaming import RESTART, roll

CLIENTS = 600


def test_a_rolling_restart_loses_nothing_resynchronises_nobody_and_is_no_storm(bus_url: str, tmp_path: Path) -> None:
    rolled = roll(bus_url, str(tmp_path), CLIENTS, per_second=200)
    assert rolled.changes > 0
    assert (rolled.lost, rolled.resyncs) == (0, 0)
    # All of them at least once, all told so in advance.
    assert rolled.reconnects >= CLIENTS
    assert set(rolled.ends) == {RESTART}
    assert rolled.busiest <= 2 * rolled.mean
