"""The parking lot: one epoll set of raw sockets inside the asyncio loop. The only epoll and socket code.

All that knows a descriptor is in this one module, since a descriptor means somebody else as soon as it is closed.

Where the kernel surprises:

- The set is level-triggered and its own descriptor sits in the loop's set. A wake-up that runs out of time leaves the
  rest of its events to the next one, which asks the kernel only when all of them are handled. The kernel would name the
  same descriptors first, every time, and those behind them would starve.
- Descriptors are reused the moment they are closed. An event of this very wake-up may then mean the previous owner,
  so closing waits for the end of the wake-up, and nobody but this module ever holds a descriptor.
- A close with unread bytes in the receive buffer sends RST, which can overtake the answer just written. `Closing`
  therefore shuts down the sending side, reads on, and closes at the peer's FIN or by timer.
- Who closes its sending half may still read, and who is gone looks the same until it is sent something. A descriptor
  at its end would be readable for ever: it is not asked for that any more, and EPOLLHUP comes once both halves are
  closed.
- Where nobody can open a file any more, nobody can answer a probe. Before that, connections that are not parked are
  given up for it; where there are none, accepting stops.
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
from typing import Final, Protocol

import structlog

from tidings.gateway.limits.unsent import MAX_UNSENT_BYTES, Unsent
from tidings.gateway.model.connection import CLOSED, Connection, Handler
from tidings.gateway.net import kernel
from tidings.gateway.net.timers import Wheel
from tidings.ops.budget import Account, Budget

READ_BYTES: Final = 16 * 1024
WAKE_SECONDS: Final = 0.002
MAX_EVENTS: Final = 512
MAX_ACCEPTS: Final = 64
TURN_SECONDS: Final = 0.0005
"""How long what one connection has sent may be handled before others have their turn."""
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


class Arrivals(Protocol):
    """Decides about new connections before they are served."""

    def accepted(self, connection: Connection, peer: str) -> None:
        """A connection from this address was accepted; it may be closed at once, and so may others for it."""

    def find_files(self) -> bool:
        """Hardly any files are left: close connections; False where there are none to close."""


class Reactor:
    """Owns every client connection's descriptor, from accept to close or hand-over."""

    def __init__(
        self, listener: socket.socket, max_unsent: int = MAX_UNSENT_BYTES, replies: Account | None = None
    ) -> None:
        """`max_unsent` bounds the bytes that replies may add to an unfinished write, whose own size is the caller's.

        `replies` counts the bytes of unfinished writes to all clients together; None: nothing bounds them.
        """
        self.counters = ReactorCounters()
        self._listener = listener
        self._first: Handler = CLOSED
        self._arrivals: Arrivals | None = None
        self._turning: list[Callable[[float], None]] = []
        self._blocked: Callable[[Connection], None] = CLOSED.unblocked
        self._epoll = select.epoll()
        self._table: dict[int, Connection] = {}
        self._events: dict[int, int] = {}
        """What the kernel has reported, by descriptor, and nobody has handled yet."""
        self._owed: dict[Connection, None] = {}
        """Whose handler has not done yet with what it was given: nothing is read for them."""
        self._again: asyncio.Handle | None = None
        self._unsent = Unsent(max_unsent, replies or Budget().account("replies"))
        self._blocked_ones = self._unsent.connections
        self._half_closed: set[Connection] = set()
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
        return len(self._blocked_ones)

    def start(self, first: Handler, blocked: Callable[[Connection], None], arrivals: Arrivals | None = None) -> None:
        """Accept and serve from now on; `first` handles a new connection, `blocked` hears of unfinished writes.

        `arrivals` decides who may stay; None: everybody.
        """
        self._first = first
        self._blocked = blocked
        self._arrivals = arrivals
        self._loop.add_reader(self._epoll.fileno(), self._wake)
        self._resume_accepting()
        self._tick()

    def stop_accepting(self) -> None:
        """Refuse new connections from now on; those there stay."""
        if self._accepting:
            self._epoll.unregister(self._listener.fileno())
            self._events.pop(self._listener.fileno(), None)
            self._accepting = False
        self._listener.close()

    def stop(self) -> None:
        """Close everything at once."""
        for connection in tuple(self._table.values()):
            self.close(connection, "shutdown")
        self._reap()
        for handle in (self._timer, self._again):
            if handle is not None:
                handle.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def connections(self) -> tuple[Connection, ...]:
        """Every open connection, in whatever phase."""
        return tuple(self._table.values())

    def each_turn(self, call: Callable[[float], None]) -> None:
        """Call this with the monotonic time whenever the wheel turns, a few times a second."""
        self._turning.append(call)

    def _wake(self) -> None:
        deadline = time.monotonic() + WAKE_SECONDS
        listening = self._listener.fileno()
        self._reaping = True
        if not self._events:
            # Taken from the end.
            self._events = dict(reversed(self._epoll.poll(0, MAX_EVENTS)))
            for connection in self._owed:
                self._events.setdefault(connection.fd, select.EPOLLIN)
        while self._events:
            fd, mask = self._events.popitem()
            if fd == listening:
                self._accept()
            else:
                self._handle(fd, mask)
            if time.monotonic() >= deadline:
                break
        self._reap()
        if self._owed and self._again is None and self._owed.keys() - self._blocked_ones:
            # The kernel has nothing to report of them.
            self._again = self._loop.call_soon(self._wake_again)

    def _wake_again(self) -> None:
        self._again = None
        self._wake()

    def _handle(self, fd: int, mask: int) -> None:
        connection = self._table.get(fd)
        if connection is None:
            return
        try:
            if mask & select.EPOLLOUT and connection in self._blocked_ones:
                self._send_rest(connection)
            elif mask & _READABLE:
                self._read(connection)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one
            self.fail((connection,), error)

    def _accept(self) -> None:
        reserved = _first_reserved()
        for _ in range(MAX_ACCEPTS):
            try:
                # `accept` would make a socket object of it, which takes as long as the system call.
                fd, address = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._find_files(os.strerror(error.errno))
                    return
                continue
            os.set_blocking(fd, False)
            connection = Connection(fd, self._first)
            self._table[fd] = connection
            self._epoll.register(fd, select.EPOLLIN)
            self.counters.accepted += 1
            self._arrive(connection, kernel.peer(address))
            self._schedule(connection)
            if fd >= reserved:
                self._find_files("only the reserved files are left")
                return

    def _arrive(self, connection: Connection, peer: str) -> None:
        if self._arrivals is None:
            return
        try:
            self._arrivals.accepted(connection, peer)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one
            self.fail((connection,), error)

    def _find_files(self, reason: str) -> None:
        # Files of connections that are closed now are free at the end of this wake-up, and the next one accepts again.
        if self._arrivals is None or not self._arrivals.find_files():
            self._pause_accepting(reason)

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
        return fd < _first_reserved()

    def go_on_later(self, connection: Connection) -> None:
        """Call its handler with no bytes at its next turn, since it has not done yet with those that it was given.

        Others have their turns first. Nothing more is read for it until then, nor while a write to it is unfinished.
        """
        self._owed[connection] = None

    def _read(self, connection: Connection) -> None:
        if connection in self._owed:
            if connection not in self._blocked_ones:
                del self._owed[connection]
                connection.handler.received(connection, self._view[:0])
            return
        try:
            count = os.readv(connection.fd, [self._buffer])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(connection, _reason(error))
            return
        if count == 0:
            self._hear_no_more(connection)
            return
        connection.handler.received(connection, self._view[:count])

    def _hear_no_more(self, connection: Connection) -> None:
        """The peer has closed its sending half: its handler says whether it may still read."""
        if connection in self._half_closed:
            # So is ours by now.
            self.close(connection, "eof")
            return
        self._half_closed.add(connection)
        self._epoll.modify(connection.fd, select.EPOLLOUT if connection in self._blocked_ones else 0)
        connection.handler.half_closed(connection)

    def tell_half_closed(self, connection: Connection) -> None:
        """Tell its handler, which is new to it, of a peer that closed its sending half before."""
        if connection in self._half_closed:
            connection.handler.half_closed(connection)

    def read_unread(self, connection: Connection) -> None:
        """Handle what has come from it, if anything has, before its turn; also while another's bytes are handled."""
        busy = connection in self._blocked_ones or connection in self._owed
        if connection.handler is CLOSED or busy or not kernel.has_unread(connection.fd):
            return
        try:
            data = os.read(connection.fd, READ_BYTES)
            connection.handler.received(connection, memoryview(data))
        except OSError as error:
            self.close(connection, _reason(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours with one
            self.fail((connection,), error)

    def send(self, connections: Sequence[Connection], frame: bytes) -> None:
        """Write one frame to each; see `send_each`."""
        self.send_each(connections, repeat(frame))

    def send_each(self, connections: Sequence[Connection], frames: Iterable[bytes]) -> None:
        """Write to each its frame; what a socket does not take waits for it, and the connection is blocked."""
        write = os.write
        blocked = self._blocked_ones
        sent = 0
        for connection, frame in zip(connections, frames, strict=False):
            if blocked and connection in blocked:
                refused = self._unsent.append(connection, frame)
                if refused is not None:
                    self.close(connection, refused)
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
        if not self._unsent.begin(connection, rest, kernel.queued(connection.fd), time.monotonic()):
            self.close(connection, "replies_full")
            return
        self._epoll.modify(connection.fd, select.EPOLLOUT)
        self._blocked(connection)

    def _send_rest(self, connection: Connection) -> None:
        try:
            count = os.write(connection.fd, self._unsent.data(connection))
        except (BlockingIOError, InterruptedError):
            self._stall(connection)
            return
        except OSError as error:
            self.close(connection, _reason(error))
            return
        self.counters.bytes_out += count
        if self._unsent.sent(connection, count, kernel.queued(connection.fd), time.monotonic()):
            self._epoll.modify(connection.fd, 0 if connection in self._half_closed else select.EPOLLIN)
            connection.handler.unblocked(connection)

    def _stall(self, connection: Connection) -> None:
        self._epoll.modify(connection.fd, 0)
        if not self._stalled:
            self._loop.call_later(STALL_SECONDS, self._ask_again)
        self._stalled.append(connection)

    def _ask_again(self) -> None:
        stalled, self._stalled = self._stalled, []
        for connection in stalled:
            if connection in self._blocked_ones:
                self._epoll.modify(connection.fd, select.EPOLLOUT)

    def holdings(self) -> Iterable[tuple[Connection, int]]:
        """Those to whom a write is unfinished, each with the bytes that wait."""
        return self._unsent.holdings()

    def is_blocked(self, connection: Connection) -> bool:
        """Whether a write to it is unfinished."""
        return connection in self._blocked_ones

    def blocked_since(self, connection: Connection) -> float | None:
        """Since when an unfinished write is not known to have made progress, monotonic seconds; None: there is none.

        Whoever reads a few bytes a second does move: the kernel takes no more from us before a third of its buffer
        is free, which can take such a client longer than the deadline.
        """
        if connection not in self._blocked_ones:
            return None
        return self._unsent.since(connection, kernel.queued(connection.fd), time.monotonic())

    def unacknowledged(self, connection: Connection) -> int:
        """The bytes written to it that its kernel has not acknowledged, or that wait for a write."""
        return kernel.queued(connection.fd) + self._unsent.size(connection)

    def round_trip(self, connection: Connection) -> float:
        """The kernel's estimate in seconds of how far away it is."""
        return kernel.round_trip(connection.fd)

    def close(self, connection: Connection, reason: str) -> None:
        """Close it at the end of this wake-up; nothing is sent or handled from now on."""
        if connection.handler is CLOSED:
            return
        del self._table[connection.fd]
        self._epoll.unregister(connection.fd)
        self._events.pop(connection.fd, None)
        self._owed.pop(connection, None)
        self._unsent.forget(connection)
        self._half_closed.discard(connection)
        self._doomed.append(connection)
        if not self._reaping:
            self._reaping = True
            self._loop.call_soon(self._reap)
        handler, connection.handler = connection.handler, CLOSED
        try:
            handler.closed(connection, reason)
        except Exception as error:  # noqa: BLE001 - a fault of ours with one
            self.fail((connection,), error)
        connection.let_go()
        self._wheel.closed()

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
            return kernel.peer(sock.getpeername())
        except OSError:
            return ""
        finally:
            sock.detach()

    def has_unread(self, connection: Connection) -> bool:
        """Whether something came from it that nobody has read: this process is behind, not the client."""
        return connection in self._owed or kernel.has_unread(connection.fd)

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
        self._events.pop(fd, None)
        self._half_closed.discard(connection)
        connection.fd = -1
        connection.handler = CLOSED
        connection.let_go()
        self._wheel.closed()
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
        now = time.monotonic()
        for connection in self._wheel.advance(now):
            self._schedule(connection)
        self._wheel.sweep()
        for call in self._turning:
            call(now)


def _reason(error: OSError) -> str:
    """What the end of a connection that failed is counted as; the kernel has a deadline for what it sends."""
    return "write_deadline" if error.errno == errno.ETIMEDOUT else "reset"


def _first_reserved() -> int:
    """The number from which on hardly any files are left: the kernel gives the lowest number that is free."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most - RESERVED_FILES
