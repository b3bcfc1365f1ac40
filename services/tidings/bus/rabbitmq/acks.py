"""Acknowledging what readers have taken. The broker's credit is entries, so acks come in bulk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tidings.bus.rabbitmq.deliveries import acknowledgement

PREFETCH: Final = 256
"""Entries the broker may deliver ahead of the acks."""
ACK_EVERY: Final = PREFETCH // 4
ACK_SECONDS: Final = 0.2
"""How long an ack waits for others. None stays open on a quiet shard, where it would time out."""


class Acks:
    """The acks that one connection owes, by channel."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._owed: dict[int, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def owe(self, channel: int, tag: int, count: int) -> None:
        """`count` more deliveries have been taken, the last of them under this tag."""
        if channel in self._owed:
            count += self._owed[channel][1]
        if count >= ACK_EVERY:
            self._owed.pop(channel, None)
            self._send(acknowledgement(channel, tag))
            return
        self._owed[channel] = (tag, count)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ACK_SECONDS, self._pay)

    def forget(self, channel: int) -> None:
        """The channel is closed, and with it its deliveries."""
        self._owed.pop(channel, None)

    def _pay(self) -> None:
        self._timer = None
        owed, self._owed = self._owed, {}
        if owed:
            self._send(b"".join([acknowledgement(channel, tag) for channel, (tag, _) in owed.items()]))
