"""The change log as its users see it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn, Protocol


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


Take = Callable[[Sequence[Entry]], Awaitable[None] | None]
"""Takes entries in ascending order of offset, and returns when it has dealt with them.

Who needs longer returns something to wait for: until then it is given nothing more.
"""


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

    @property
    def down(self) -> Mapping[str, str]:
        """Of each connection that is down, why."""

    @property
    def alarm(self) -> str | None:
        """Why nothing can be appended although the connection is up, if that is so."""

    async def open(self) -> None:
        """Begin connecting and return at once; connections are kept up until `close`."""

    async def close(self) -> None:
        """Give everything back. Readers end with ReadLost."""

    async def append(self, shard: int, payload: bytes) -> None:
        """Return once the log has confirmed the entry; one attempt, at most 2 s.

        Raises LogUnavailable when it was returned, nacked or not confirmed: it may still appear later.
        """

    async def follow(self, shard: int, start: Start, take: Take) -> NoReturn:
        """Hand over entries as they come, together what came together, until cancelled.

        Raises ReadLost when the log stops delivering, and whatever `take` raises.
        """

    def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        """Yield entries one by one, to who takes time over each: otherwise as `follow`.

        Close it (`aclose`) to detach. Raises ReadLost when the log stops delivering.
        """
