"""How much each client says, in frames and in bytes: whoever says too much is ended. Pure."""

from __future__ import annotations

from typing import Final

from tidings.gateway.model.connection import Connection

TALK_SECONDS: Final = 10.0
"""What a client says is averaged over."""
BYTES_EACH: Final = 1024
"""The bytes that go with each message that a client may send, on average."""
LEAST_BYTES: Final = 512
"""What a read counts at the least that finishes nothing: to read costs, however little there is."""


class Talk:
    """Counts in windows, so that only clients that talk cost anything."""

    def __init__(self, per_second: int, max_message: int) -> None:
        """`per_second` messages are allowed, 0 for no bound; and the bytes of two messages in any case."""
        self._most_frames = per_second * TALK_SECONDS
        self._most_bytes = max(self._most_frames * BYTES_EACH, 2 * max_message)
        self._frames: dict[Connection, int] = {}
        self._bytes: dict[Connection, int] = {}
        self._since = 0.0

    def turn(self, now: float) -> None:
        """Begin a new window where the present one is over; `now` in seconds."""
        if now - self._since >= TALK_SECONDS:
            self._frames.clear()
            self._bytes.clear()
            self._since = now

    def is_too_much(self, connection: Connection, size: int) -> bool:
        """Count a read of so many bytes; whether its client has sent more than it may."""
        if not self._most_frames:
            return False
        said = self._bytes[connection] = self._bytes.get(connection, 0) + max(size, LEAST_BYTES)
        return said > self._most_bytes

    def is_too_often(self, connection: Connection) -> bool:
        """Count a frame; whether its client has sent more of them than it may."""
        if not self._most_frames:
            return False
        count = self._frames[connection] = self._frames.get(connection, 0) + 1
        return count > self._most_frames

    def forget(self, connection: Connection) -> None:
        """Drop the counts of a connection that is gone."""
        self._frames.pop(connection, None)
        self._bytes.pop(connection, None)
