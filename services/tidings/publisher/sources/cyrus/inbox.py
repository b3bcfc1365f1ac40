"""What was taken in and is not kept yet, within a bound: between the thread that reads and the one that writes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

MAX_BYTES: Final = 64 * 1024 * 1024
ENTRY_BYTES: Final = 128
"""What an entry takes besides its message."""


class Inbox:
    """A queue of messages. When it is full, it takes no more and knows that some were lost."""

    def __init__(self, most_bytes: int = MAX_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._messages: deque[bytes] = deque()
        self._lost: dict[str, int] = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, message: bytes) -> None:
        """Take a message in, or count it as lost."""
        with self._changed:
            size = len(message) + ENTRY_BYTES
            if self._bytes + size > self._most_bytes:
                self._count_lost("no room")
            else:
                self._bytes += size
                self._messages.append(message)
            self._changed.notify()

    def lose(self, reason: str) -> None:
        """Something came and nobody knows what it was."""
        with self._changed:
            self._count_lost(reason)
            self._changed.notify()

    def _count_lost(self, reason: str) -> None:
        self._lost[reason] = self._lost.get(reason, 0) + 1

    def close(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def closed(self) -> bool:
        """Whether nothing more comes."""
        return self._closed

    @property
    def ended(self) -> bool:
        """Whether nothing more comes and nothing is left."""
        return self._closed and not self._messages

    def wait(self, seconds: float | None = None) -> None:
        """Return once there is something to take or nothing more comes, or after so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._lost or self._closed, seconds)

    def wait_closed(self, seconds: float) -> None:
        """Return once nothing more comes, or after so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def take(self, most: int) -> tuple[list[bytes], dict[str, int]]:
        """Up to so many messages, in order; and how many were lost since the last time, by reason."""
        with self._changed:
            messages = [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
            self._bytes -= sum(map(len, messages)) + ENTRY_BYTES * len(messages)
            lost, self._lost = self._lost, {}
            return messages, lost
