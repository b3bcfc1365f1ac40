"""How much the log keeps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOUR: Final = 3600

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""RabbitMQ forgets whole segments only; its default of 500 MB would keep a quiet stream for ever."""


@dataclass(frozen=True)
class Retention:
    """What a shard keeps: for `seconds`, and never more than `bytes`.

    A segment goes when another one begins. So a shard keeps at least `bytes` less one segment of what is younger, and
    what is older for as long as its newest segment has room.
    """

    seconds: int
    bytes: int


USUAL: Final = Retention(seconds=HOUR, bytes=4 * SEGMENT_BYTES)
"""At least three full segments of history are left after the oldest was dropped.

With 16 shards the log takes at most 1 GiB of disk; at 200 bytes each a shard keeps at least 240,000 changes.
"""
