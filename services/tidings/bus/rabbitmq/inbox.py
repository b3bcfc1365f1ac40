"""What a broker delivered to one reader and the reader has not taken yet."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from tidings.bus.log import Entry
from tidings.errors import ReadLost

PREFETCH: Final = 256
"""Entries the broker may deliver ahead of the acks."""
ACK_EVERY: Final = PREFETCH // 4
MAX_WAITING: Final = 32 * PREFETCH
"""The bound. It leaves room because a broker sends whole chunks, however little credit is left."""


class Taken(NamedTuple):
    """An entry and, when it is time to, the delivery tag up to which to acknowledge."""

    entry: Entry
    ack: int | None


class Inbox:
    """A bounded queue with an end. Full is an end like any other: an entry left out would be a gap."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[int, Entry] | str] = asyncio.Queue()
        self._ended = False
        self._unacked = 0

    def put(self, tag: int, entry: Entry) -> None:
        """Take what was delivered under a tag."""
        if self._ended:
            return
        if self._waiting.qsize() >= MAX_WAITING:
            self.end(f"the reader left {MAX_WAITING} entries lying")
            return
        self._waiting.put_nowait((tag, entry))

    def end(self, reason: str) -> None:
        """Have `take` raise ReadLost once it has handed out what came before."""
        if not self._ended:
            self._ended = True
            self._waiting.put_nowait(reason)

    async def take(self) -> Taken:
        """The next entry. Raises ReadLost at the end.

        Acks are the broker's credit, so they come in bulk; but none stays open on a quiet shard, where it
        would time out.
        """
        delivered = await self._waiting.get()
        if isinstance(delivered, str):
            raise ReadLost(delivered)
        tag, entry = delivered
        self._unacked += 1
        if self._unacked < ACK_EVERY and not self._waiting.empty():
            return Taken(entry, None)
        self._unacked = 0
        return Taken(entry, tag)
