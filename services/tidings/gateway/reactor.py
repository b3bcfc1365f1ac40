"""The parking lot: one epoll set of raw sockets inside the asyncio loop. The only epoll and socket code.

Where the kernel surprises:

- The set is level-triggered and its own descriptor sits in the loop's set. A wake-up that runs out of time simply
  returns: what it did not get to is reported again.
- Descriptors are reused the moment they are closed. An event of this very wake-up may then mean the previous owner,
  so closing waits for the end of the wake-up, and nobody but this module ever holds a descriptor.
- A close with unread bytes in the receive buffer sends RST, which can overtake the answer just written. `Closing`
  therefore shuts down the sending side, reads on, and closes at the peer's FIN or by timer.
- Where nobody can open a file any more, nobody can answer a probe. Accepting stops before that.
- Where TCP is out of memory (tcp_mem), a socket is writable to epoll, which looks at its buffer alone, and takes
  nothing all the same: level-triggered, that would be a loop without a pause. It is asked again a while later.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import structlog

from tidings.gateway import kernel
from tidings.gateway.connection import CLOSED, Connection, Handler
from tidings.gateway.timers import Wheel

READ_BYTES: Final = 16 * 1024
WAKE_SECONDS: Final = 0.002
MAX_EVENTS: Final = 512
MAX_ACCEPTS: Final = 64
MAX_UNSENT_BYTES: Final = 256 * 1024
STALL_SECONDS: Final = 0.1
"""How long a write is left alone that epoll says may go on, and the kernel then has no memory for."""
ACCEPT_PAUSE_SECONDS: Final = 1.0
RESERVED_FILES: Final = 32
"""Files that no client gets: a probe that cannot connect would end the process, and everybody's connection with it."""

_log = structlog.get_logger()
_READABLE = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR


@dataclass(slots=True)
class ReactorCounters:
    """Plain ints, read by the metrics collector."""

    accepted: int = 0
    bytes_out: int = 0
    accept_pauses: int = 0
    faults: int = 0


@dataclass(slots=True)
class _Unsent:
    """The rest of a write; `queued` of the bytes before it wait in the kernel, since `since`."""

    data: bytearray
    queued: int
    since: float


class Reactor:
    """Owns every client connection's descriptor, from accept to close or hand-over."""

    def __init__(self, listener: socket.socket, max_unsent: int = MAX_UNSENT_BYTES) -> None:
        """`max_unsent` bounds the bytes that replies may add to an unfinished write, whose own size is the caller's."""
        self.counters = ReactorCounters()
        self._listener = listener
        self._max_unsent = max_unsent
        self._first: Handler = CLOSED
        self._blocked: Callable[[Connection], None] = CLOSED.unblocked
        self._epoll = select.epoll()
        self._table: dict[int, Connection] = {}
        self._unsent: dict[Connection, _Unsent] = {}
        self._stalled: list[Connection] = []
        self._doomed: list[Connection] = []
        self._wheel = Wheel(time.monotonic())
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._accepting = False
        self._reaping = False

    def __len__(self) -> int:
        return len(self._table)

    @property
    def blocked(self) -> int:
        """How many connections have an unfinished write."""
        return len(self._unsent)

    def start(self, first: Handler, blocked: Callable[[Connection], None]) -> None:
        """Accept and serve from now on; `first` handles a new connection, `blocked` hears of unfinished writes."""
        self._first = first
        self._blocked = blocked
        self._loop.add_reader(self._epoll.fileno(), self._wake)
        self._resume_accepting()
        self._tick()

    def stop_accepting(self) -> None:
        """Refuse new connections from now on; those there stay."""
        if self._accepting:
            self._epoll.unregister(self._listener.fileno())
            self._accepting = False
        self._listener.close()

    def stop(self) -> None:
        """Close everything at once."""
        for connection in tuple(self._table.values()):
            self.close(connection, "shutdown")
        self._reap()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def connections(self) -> tuple[Connection, ...]:
        """Every open connection, in whatever phase."""
        return tuple(self._table.values())

    def _wake(self) -> None:
        deadline = time.monotonic() + WAKE_SECONDS
        self._reaping = True
        for fd, mask in self._epoll.poll(0, MAX_EVENTS):
            if fd == self._listener.fileno():
                self._accept()
                continue
            connection = self._table.get(fd)
            if connection is None:
                continue
            try:
                if mask & select.EPOLLOUT and connection in self._unsent:
                    self._send_rest(connection)
                elif mask & _READABLE:
                    self._read(connection)
            except Exception as error:  # noqa: BLE001 - a fault of ours with one
                self.fail((connection,), error)
            if time.monotonic() >= deadline:
                break
        self._reap()

    def _accept(self) -> None:
        for _ in range(MAX_ACCEPTS):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause_accepting(os.strerror(error.errno))
                    return
                continue
            accepted.setblocking(False)
            fd = accepted.detach()
            connection = Connection(fd, self._first)
            self._table[fd] = connection
            self._epoll.register(fd, select.EPOLLIN)
            self.counters.accepted += 1
            self._schedule(connection)
            if _is_reserved(fd):
                self._pause_accepting("only the reserved files are left")
                return

    def _pause_accepting(self, reason: str) -> None:
        _log.warning("accepting paused", reason=reason, open=len(self))
        self.counters.accept_pauses += 1
        self._epoll.unregister(self._listener.fileno())
        self._accepting = False
        self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._resume_accepting)

    def _resume_accepting(self) -> None:
        if self._listener.fileno() < 0 or self._accepting or self._epoll.closed:
            return
        if not self._has_files():
            self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._resume_accepting)
            return
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._accepting = True

    def _has_files(self) -> bool:
        try:
            fd = os.dup(self._listener.fileno())
        except OSError:
            return False
        os.close(fd)
        return not _is_reserved(fd)

    def _read(self, connection: Connection) -> None:
        try:
            count = os.readv(connection.fd, [self._buffer])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(connection, _reason(error))
            return
        if count == 0:
            self.close(connection, "eof")
            return
        connection.handler.received(connection, self._view[:count])

    def send(self, connections: Sequence[Connection], frame: bytes) -> None:
        """Write one frame to each; see `send_each`."""
        self.send_each(connections, repeat(frame))

    def send_each(self, connections: Sequence[Connection], frames: Iterable[bytes]) -> None:
        """Write to each its frame; what a socket does not take waits for it, and the connection is blocked."""
        write = os.write
        unsent = self._unsent
        sent = 0
        for connection, frame in zip(connections, frames, strict=False):
            if unsent and connection in unsent:
                self._append(connection, frame)
                continue
            try:
                count = write(connection.fd, frame)
            except (BlockingIOError, InterruptedError):
                count = 0
            except OSError as error:
                self.close(connection, _reason(error))
                continue
            sent += count
            if count != len(frame):
                self._block(connection, frame[count:])
        self.counters.bytes_out += sent

    def _block(self, connection: Connection, rest: bytes) -> None:
        self._unsent[connection] = _Unsent(bytearray(rest), kernel.queued(connection.fd), time.monotonic())
        self._epoll.modify(connection.fd, select.EPOLLOUT)
        self._blocked(connection)

    def _append(self, connection: Connection, frame: bytes) -> None:
        unsent = self._unsent[connection]
        if len(unsent.data) + len(frame) > self._max_unsent:
            self.close(connection, "unread_replies")
        else:
            unsent.data += frame

    def _send_rest(self, connection: Connection) -> None:
        unsent = self._unsent[connection]
        try:
            count = os.write(connection.fd, unsent.data)
        except (BlockingIOError, InterruptedError):
            self._stall(connection)
            return
        except OSError as error:
            self.close(connection, _reason(error))
            return
        self.counters.bytes_out += count
        del unsent.data[:count]
        unsent.queued, unsent.since = kernel.queued(connection.fd), time.monotonic()
        if not unsent.data:
            del self._unsent[connection]
            self._epoll.modify(connection.fd, select.EPOLLIN)
            connection.handler.unblocked(connection)

    def _stall(self, connection: Connection) -> None:
        self._epoll.modify(connection.fd, 0)
        if not self._stalled:
            self._loop.call_later(STALL_SECONDS, self._ask_again)
        self._stalled.append(connection)

    def _ask_again(self) -> None:
        stalled, self._stalled = self._stalled, []
        for connection in stalled:
            if connection in self._unsent:
                self._epoll.modify(connection.fd, select.EPOLLOUT)

    def is_blocked(self, connection: Connection) -> bool:
        """Whether a write to it is unfinished."""
        return connection in self._unsent

    def blocked_since(self, connection: Connection) -> float | None:
        """Since when an unfinished write is not known to have made progress, monotonic seconds; None: there is none.

        Whoever reads a few bytes a second does move: the kernel takes no more from us before a third of its buffer
        is free, which can take such a client longer than the deadline.
        """
        unsent = self._unsent.get(connection)
        if unsent is None:
            return None
        queued = kernel.queued(connection.fd)
        if queued < unsent.queued:
            unsent.queued, unsent.since = queued, time.monotonic()
        return unsent.since

    def unacknowledged(self, connection: Connection) -> int:
        """The bytes written to it that its kernel has not acknowledged, or that wait for a write."""
        unsent = self._unsent.get(connection)
        return kernel.queued(connection.fd) + (len(unsent.data) if unsent is not None else 0)

    def round_trip(self, connection: Connection) -> float:
        """The kernel's estimate in seconds of how far away it is."""
        return kernel.round_trip(connection.fd)

    def close(self, connection: Connection, reason: str) -> None:
        """Close it at the end of this wake-up; nothing is sent or handled from now on."""
        if connection.handler is CLOSED:
            return
        del self._table[connection.fd]
        self._epoll.unregister(connection.fd)
        self._unsent.pop(connection, None)
        self._doomed.append(connection)
        if not self._reaping:
            self._reaping = True
            self._loop.call_soon(self._reap)
        handler, connection.handler = connection.handler, CLOSED
        try:
            handler.closed(connection, reason)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one
            self.fail((connection,), error)

    def fail(self, connections: Iterable[Connection], error: Exception) -> None:
        """A fault of ours with these: they are closed, and may come back with their cursors; all others are served."""
        self.counters.faults += 1
        _log.error("connection failed", error=repr(error), exc_info=error)
        for connection in connections:
            self.close(connection, "fault")

    def _reap(self) -> None:
        self._reaping = False
        doomed, self._doomed = self._doomed, []
        for connection in doomed:
            fd, connection.fd = connection.fd, -1
            os.close(fd)

    def peer(self, connection: Connection) -> str:
        """The address at the other end; empty when that is gone."""
        sock = socket.socket(fileno=connection.fd)
        try:
            return str(sock.getpeername()[0])
        except OSError:
            return ""
        finally:
            sock.detach()

    def has_unread(self, connection: Connection) -> bool:
        """Whether something came from it that nobody has read: this process is behind, not the client."""
        return kernel.has_unread(connection.fd)

    def shut_down_writing(self, connection: Connection) -> None:
        """Send FIN; reading goes on."""
        sock = socket.socket(fileno=connection.fd)
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close(connection, "reset")
        finally:
            sock.detach()

    def release(self, connection: Connection) -> socket.socket:
        """Take a connection out of the lot, its descriptor still open, for somebody else to serve."""
        fd = connection.fd
        del self._table[fd]
        self._epoll.unregister(fd)
        connection.fd = -1
        connection.handler = CLOSED
        return socket.socket(fileno=fd)

    def _schedule(self, connection: Connection) -> None:
        try:
            due = connection.handler.timed(connection, time.monotonic())
        except Exception as error:  # noqa: BLE001 - a fault of ours with one
            self.fail((connection,), error)
            return
        if due is not None:
            self._wheel.add(connection, due)

    def reschedule(self, connection: Connection, due: float) -> None:
        """Have its timer go off at `due` too; an earlier or later visit that is already planned still happens."""
        self._wheel.add(connection, due)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._wheel.resolution, self._tick)
        for connection in self._wheel.advance(time.monotonic()):
            self._schedule(connection)


def _reason(error: OSError) -> str:
    """What the end of a connection that failed is counted as; the kernel has a deadline for what it sends."""
    return "write_deadline" if error.errno == errno.ETIMEDOUT else "reset"


def _is_reserved(fd: int) -> bool:
    """Whether hardly any files are left: the kernel gives the lowest number that is free."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return fd >= most - RESERVED_FILES
