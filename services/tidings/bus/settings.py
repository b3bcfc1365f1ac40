"""Where the change log is, for every service that uses it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tidings.bus.retention import HOUR, SEGMENT_BYTES, USUAL, Retention
from tidings.ops.settings.fields import HelpGroup, Settings
from tidings.ops.settings.urls import BusUrl
from tidings.wire.shard import DEFAULT_SHARDS, MAX_SHARDS


class BusSettings(Settings):
    """Where the change log is."""

    help_group: ClassVar = HelpGroup(4, "Change log")

    bus: BusUrl = Field(
        "memory://", description="memory://, amqp://user:password@host:port,host:port/vhost or amqps://..."
    )
    shards: int = Field(
        DEFAULT_SHARDS,
        ge=1,
        le=MAX_SHARDS,
        description="shards of the log, the same number in every service; with another number, clients resynchronise "
        "once",
    )
    retention_seconds: int = Field(
        USUAL.seconds,
        ge=10 * 60,
        le=31 * 24 * HOUR,
        description="how long the log keeps changes; existing streams keep their value",
    )
    retention_bytes: int = Field(
        USUAL.bytes,
        ge=2 * SEGMENT_BYTES,
        le=2**40,
        description="bytes that each shard of the log keeps at most; existing streams keep their value",
    )

    @property
    def bus_in_memory(self) -> bool:
        """Whether the log lives and dies with the process."""
        return self.bus.lower().startswith("memory:")

    @property
    def retention(self) -> Retention:
        """What streams keep that are not there yet."""
        return Retention(self.retention_seconds, self.retention_bytes)
