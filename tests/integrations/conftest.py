from __future__ import annotations

from tests.support.fixtures import broker, bus_url, log, start

__all__ = ["broker", "bus_url", "log", "start"]
