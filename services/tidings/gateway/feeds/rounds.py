"""When quiet shards are asked whether they deliver: some together, since waking up costs more than a marker. Pure."""

from __future__ import annotations

import random
from typing import Final

QUIET_SECONDS: Final = (2.0, 2.8)
"""Silence after which a marker is appended, at the least and at the most. With the time that the marker has, a dead
feed is noticed within 5 s."""
AT_ONCE: Final = 16
"""How many shards are asked at one moment, so that no push waits for all of them."""


class Rounds:
    """The next moment of the feeds of a process. It is random, so that gateways rarely have the same one."""

    def __init__(self) -> None:
        self._next = 0.0
        self._places = 0

    def after(self, heard_at: float) -> float:
        """When to ask a shard that was last heard then: with others, if that is neither too soon nor too late."""
        earliest, latest = (heard_at + quiet for quiet in QUIET_SECONDS)
        if not self._places or not earliest <= self._next <= latest:
            self._next = random.uniform(earliest, latest)  # noqa: S311 - jitter
            self._places = AT_ONCE
        self._places -= 1
        return self._next
