"""What a connection to a listener of uvicorn's makes the process hold, counted in an account before it is kept.

Counted are the connection itself, what it has sent and is not answered yet, and answers that it does not read. Where
there is no room, whoever holds most goes.
"""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidings.ops.budget import Account

STALL_SECONDS: Final = 30.0
"""How long a client may take no byte of an answer."""
MAX_UNSENT_BYTES: Final = 8 * 1024
"""More than this of an answer that a client does not read is counted, and read before any more is written."""
CONNECTION_BYTES: Final = 16 * 1024
"""What a connection that says nothing is counted as: its objects (7 kB), and as much of answers as is not counted."""


class QuietConfig(uvicorn.Config):
    """uvicorn's, with the account that connections take their bytes from."""

    account: Account


class CountedProtocol(HttpToolsProtocol):
    """A connection that knows how many bytes are counted for it: `held`."""

    config: QuietConfig
    connections: set[CountedProtocol]  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.held = 0
        self._account = self.config.account
        self._unsent = 0
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, or end it at once."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(MAX_UNSENT_BYTES)
        if not self._take(CONNECTION_BYTES):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._give(self.held)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """An answer is not read as fast as it is written: from now on it counts."""
        size = self.transport.get_write_buffer_size()
        if not self._take(size):
            self.transport.abort()
            return
        self._unsent = size
        self._watch_stall()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._give(self._unsent)
        self._unsent = 0
        if self._stall is not None and not self.transport.is_closing():
            self._stall.cancel()
        super().resume_writing()

    def shed(self) -> None:
        """End this connection at once, for the sake of others."""
        self._give(self.held)
        self.transport.abort()

    def _take(self, size: int) -> bool:
        """Count `size` more bytes; where there is no room for them, whoever holds most of all has to go first."""
        while not self._account.take(size):
            greediest = max(self.connections, key=attrgetter("held"))
            if greediest.held <= self.held + size:
                return False
            greediest.shed()
        self.held += size
        return True

    def _give(self, size: int) -> None:
        self._account.give(size)
        self.held -= size

    def _keep(self, received: int) -> None:
        """Count `received` bytes as what it has sent that is not answered, whatever was counted as that before."""
        self._give(self.held - (CONNECTION_BYTES + received + self._unsent))

    def _watch_stall(self) -> None:
        """End the connection when it takes nothing of what is unsent for STALL_SECONDS."""
        unsent = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() < unsent:
                self._watch_stall()
            else:
                self.transport.abort()

        if self._stall is not None:
            self._stall.cancel()
        self._stall = self.loop.call_later(STALL_SECONDS, look)
