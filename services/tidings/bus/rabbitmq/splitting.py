"""What a broker sends, cut into frames (AMQP 0-9-1 section 4.2.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final, Protocol

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
END: Final = 0xCE
FRAME_BYTES: Final = 128 * 1024
"""The longest frame of RabbitMQ, unless an operator has set another size."""
MESSAGE_BYTES: Final = 128 * 1024 * 1024
"""The longest message of RabbitMQ, and with it the longest frame where an operator has set no bound."""

_head: Final = Struct(">BHI")
HEAD_BYTES: Final = _head.size
OVERHEAD: Final = HEAD_BYTES + 1
"""What a frame has beside its payload: type, channel and size before it, one octet after it."""


class Channel(Protocol):
    """Who takes the frames of a channel."""

    def frame(self, kind: int, data: bytes, at: int, stop: int) -> None:
        """Take a frame of type `kind`, whose payload is `data` from `at` to `stop`."""


class Splitter:
    """Takes bytes as they come. Frames of `channels` go there, in order; all others are given back.

    `longest` bounds what is kept of an unfinished frame. `astray` says that what came is no frame: from then on
    everything is given back as it is.
    """

    def __init__(self, channels: Mapping[int, Channel]) -> None:
        self._channels = channels
        self.longest = FRAME_BYTES
        self.astray = False
        self._pieces: list[bytes] = []
        self._held = 0
        self._wanted = OVERHEAD

    def feed(self, data: bytes) -> bytes:
        """Take what came; give back what is for nobody here."""
        if self._pieces:
            self._pieces.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return b""
            data = b"".join(self._pieces)
            self._pieces.clear()
        at, others = self._cut(data)
        rest = data[at:]
        if self.astray:
            others.append(rest)
        elif rest:
            self._pieces.append(rest)
            self._held = len(rest)
        return b"".join(others)

    def _cut(self, data: bytes) -> tuple[int, list[bytes]]:
        """Up to where there are whole frames, and those that are for others."""
        at, end, channels, others = 0, len(data), self._channels, list[bytes]()
        self._wanted = OVERHEAD
        while end - at >= OVERHEAD and not self.astray:
            kind, number, size = _head.unpack_from(data, at)
            last = at + HEAD_BYTES + size
            if size > self.longest or (last < end and data[last] != END):
                self.astray = True
            elif last >= end:
                self._wanted = size + OVERHEAD
                break
            else:
                channel = channels.get(number)
                if channel is None:
                    others.append(data[at : last + 1])
                else:
                    channel.frame(kind, data, at + HEAD_BYTES, last)
                at = last + 1
        return at, others
