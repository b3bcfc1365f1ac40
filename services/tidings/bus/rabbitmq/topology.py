"""What the log looks like on RabbitMQ: names and arguments. Pure, and part of the contract between versions.

RabbitMQ refuses to redeclare a stream with other arguments, so whoever changes one raises VERSION. How much is kept may
differ: see Declaring.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tidings.bus.log import FromOffset, Start
from tidings.bus.retention import HOUR, SEGMENT_BYTES, USUAL, Retention

VERSION: Final = 1


@dataclass(frozen=True)
class Topology:
    """The exchange and the streams of a log of `shards` shards."""

    shards: int
    retention: Retention = USUAL

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
            "x-max-age": _age(self.retention.seconds),
            "x-max-length-bytes": self.retention.bytes,
            "x-stream-max-segment-size-bytes": SEGMENT_BYTES,
        }


def _age(seconds: int) -> str:
    """As RabbitMQ has it, which takes `3600s` for something else than `1h`: whole hours are written as such."""
    hours, rest = divmod(seconds, HOUR)
    return f"{seconds}s" if rest else f"{hours}h"


def offset_argument(start: Start) -> str | int | datetime:
    """The `x-stream-offset` a consumer asks for. RabbitMQ may begin earlier, at the start of a chunk."""
    if isinstance(start, FromOffset):
        return start.offset
    return datetime.fromtimestamp(start.timestamp, UTC)


def first_offset(start: Start) -> int:
    """The lowest offset that a reader from `start` is to see."""
    return start.offset if isinstance(start, FromOffset) else 0
