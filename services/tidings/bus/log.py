"""The change log as its users see it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol


class FromOffset(NamedTuple):
    """Read from this offset, inclusive. Beyond the tail of a log it silently delivers nothing."""

    offset: int


class FromTime(NamedTuple):
    """Read from entries appended at about this time on, in Unix seconds; earlier ones may come first."""

    timestamp: float


Start = FromOffset | FromTime


class Entry(NamedTuple):
    """A batch as the log holds it. Only readers know offsets."""

    offset: int
    payload: bytes


class ChangeLog(Protocol):
    """One ordered log per shard, numbered 0..shards-1. Reading is non-destructive."""

    @property
    def shards(self) -> int:
        """How many shards there are, for the life of the installation."""

    @property
    def can_append(self) -> bool:
        """Whether an append has a chance right now: connected, topology there, not blocked."""

    @property
    def can_read(self) -> bool:
        """Whether a read has a chance right now."""

    async def open(self) -> None:
        """Begin connecting and return at once; connections are kept up until `close`."""

    async def close(self) -> None:
        """Give everything back. Readers end with ReadLost."""

    async def append(self, shard: int, payload: bytes) -> None:
        """Return once the log has confirmed the entry; one attempt, at most 2 s.

        Raises LogUnavailable when it was returned, nacked or not confirmed: it may still appear later.
        """

    def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        """Yield entries in ascending order of offset, as they come, without end.

        Close it (`aclose`) to detach. Raises ReadLost when the log stops delivering.
        """
