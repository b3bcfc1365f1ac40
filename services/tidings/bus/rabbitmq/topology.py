"""What the log looks like on RabbitMQ: names and arguments. Pure, and part of the contract between versions.

RabbitMQ refuses to redeclare a stream with other arguments, so whoever changes one raises VERSION.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tidings.bus.log import FromOffset, Start

VERSION: Final = 1

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""RabbitMQ forgets whole segments only; its default of 500 MB would keep a quiet stream for ever."""

MAX_BYTES: Final = 4 * SEGMENT_BYTES
"""Per stream, so that at least three full segments of history are left after the oldest was dropped.

With 64 shards the log takes at most 4 GiB of disk; at 200 bytes each a shard keeps at least 240,000 changes.
"""

MAX_AGE: Final = "1h"


@dataclass(frozen=True)
class Topology:
    """The exchange and the streams of a log of `shards` shards."""

    shards: int

    @property
    def exchange(self) -> str:
        """The direct exchange; the shard count in its name keeps two configurations from mixing."""
        return f"tidings.v{VERSION}.{self.shards}"

    def stream(self, shard: int) -> str:
        """The stream that holds a shard."""
        return f"{self.exchange}.{shard}"

    def routing_key(self, shard: int) -> str:
        """What binds a shard's stream to the exchange."""
        return str(shard)

    def stream_arguments(self) -> dict[str, str | int]:
        """The arguments every stream is declared with."""
        return {
            "x-queue-type": "stream",
            "x-max-age": MAX_AGE,
            "x-max-length-bytes": MAX_BYTES,
            "x-stream-max-segment-size-bytes": SEGMENT_BYTES,
        }


def offset_argument(start: Start) -> str | int | datetime:
    """The `x-stream-offset` a consumer asks for. RabbitMQ may begin earlier, at the start of a chunk."""
    if isinstance(start, FromOffset):
        return start.offset
    return datetime.fromtimestamp(start.timestamp, UTC)


def first_offset(start: Start) -> int:
    """The lowest offset that a reader from `start` is to see."""
    return start.offset if isinstance(start, FromOffset) else 0
