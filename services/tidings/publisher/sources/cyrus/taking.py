"""Takes notifications in at once, whatever becomes of them: who sends one waits for that, and a delivery with it."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from tidings.errors import NotificationError
from tidings.publisher.sources.cyrus.notification import ANSWER, LineReader, Notification, read_datagram
from tidings.publisher.sources.cyrus.stopped import wake_for

MAX_AT_ONCE: Final = 256
"""Datagrams that are read before anything else is looked at."""
MAX_CONNECTIONS: Final = 512
"""Each is a process of Cyrus that waits. One more is closed at once, and what it had to tell is lost."""
MAX_SECONDS: Final = 10.0
"""How long a connection may take to say its line."""
READ_BYTES: Final = 65_536

Take = Callable[[Notification], None]
Lose = Callable[[str], None]


class Taker(Protocol):
    """Reads what comes to a socket."""

    def ready(self) -> None:
        """Something can be read from the socket."""

    def sweep(self, now: float) -> None:
        """Some time has passed."""

    def close(self) -> None:
        """Take what is there, then nothing more."""


class Datagrams:
    """A notification is a datagram."""

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector, take: Take, lose: Lose) -> None:
        self._socket = sock
        self._take = take
        self._lose = lose
        wake_for(sock)
        selector.register(sock, selectors.EVENT_READ, self.ready)

    def ready(self) -> None:
        """Read what has come."""
        for _ in range(MAX_AT_ONCE):
            if not self._read():
                return

    def _read(self) -> bool:
        try:
            data, _, flags, _ = self._socket.recvmsg(READ_BYTES)
        except BlockingIOError:
            return False
        if flags & socket.MSG_TRUNC:
            self._lose("a datagram that is too long")
            return True
        try:
            self._take(read_datagram(data))
        except NotificationError as error:
            self._lose(str(error))
        return True

    def sweep(self, now: float) -> None:
        """Nothing of this waits."""

    def close(self) -> None:
        """Take what is there, then nothing more."""
        while self._read():
            pass
        self._socket.close()


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    reader: LineReader
    until: float


class Lines:
    """A notification is a connection with a line, which is answered."""

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector, take: Take, lose: Lose) -> None:
        self._socket = sock
        self._selector = selector
        self._take = take
        self._lose = lose
        self._open: dict[int, _Connection] = {}
        wake_for(sock)
        selector.register(sock, selectors.EVENT_READ, self.ready)

    def ready(self) -> None:
        """Accept who has come."""
        for _ in range(MAX_AT_ONCE):
            try:
                accepted, _ = self._socket.accept()
            except BlockingIOError:
                return
            if len(self._open) >= MAX_CONNECTIONS:
                accepted.close()
                self._lose("too many connections")
                continue
            accepted.setblocking(False)
            wake_for(accepted)
            connection = _Connection(accepted, LineReader(), time.monotonic() + MAX_SECONDS)
            self._open[accepted.fileno()] = connection
            self._selector.register(accepted, selectors.EVENT_READ, lambda one=connection: self._read(one))
            # Mostly the line is there already.
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(READ_BYTES)
            notification = connection.reader.feed(data)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(connection, error.strerror or str(error))
        except NotificationError as error:
            self._end(connection, str(error))
        else:
            if notification is not None:
                self._take(notification)
                self._end(connection)
            elif not data:
                self._end(connection, "a connection that ended within a line")

    def _end(self, connection: _Connection, fault: str | None = None) -> None:
        # Who only looked whether somebody listens had nothing to tell.
        if fault is not None and connection.reader.began:
            self._lose(fault)
        self._selector.unregister(connection.socket)
        del self._open[connection.socket.fileno()]
        # Who does not wait for the answer need not have it.
        with suppress(OSError):
            connection.socket.send(ANSWER)
        connection.socket.close()

    def sweep(self, now: float) -> None:
        """End connections that take too long."""
        for connection in [one for one in self._open.values() if one.until < now]:
            self._end(connection, "a line that took too long")

    def close(self) -> None:
        """Take what is there, then nothing more."""
        self.ready()
        for connection in list(self._open.values()):
            self._end(connection, "stopped within a line")
        self._socket.close()
