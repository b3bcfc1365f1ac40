"""The consuming end of a connection without a broker: what it sends is kept, what it hears is said by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pamqp.frame import FrameTypes

from tests.support.amqp import by_library
from tidings.bus.rabbitmq.frames import Frames


class Wiretap(asyncio.Transport):
    """A transport, and the Frames on it; `library` is what goes to the library, `unread` what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.library = asyncio.StreamReader()
        self.frames = Frames(self.library)
        self.aborted = False
        self.unread = b""
        self.frames.connection_made(self)

    def say(self, data: bytes) -> None:
        """What the broker sends, as one read of the socket brings it."""
        self.frames.data_received(data)

    def sent(self) -> list[tuple[int, FrameTypes]]:
        """Channel and frame of everything sent since this was last asked."""
        sent, self.unread = self.unread, b""
        return list(by_library(sent))

    def sent_names(self) -> list[str]:
        """The same, as names of frames."""
        return [frame.name for _, frame in self.sent()]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.unread += bytes(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        """Nothing reads."""

    def resume_reading(self) -> None:
        """Nothing reads."""
