"""The reactor by itself, where what the kernel does with descriptors matters."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import eventually
from tidings.gateway.model.connection import Connection, Handler
from tidings.gateway.net.reactor import READ_BYTES, RESERVED_FILES, STALL_SECONDS, WAKE_SECONDS, Reactor


class Witness(Handler):
    """A handler that remembers what it saw, and does what it is told when bytes come.

    `gone` is what it does with a connection whose peer has closed its sending half, unless it is told otherwise.
    """

    def __init__(self, gone: Callable[[Connection], None]) -> None:
        self.gone = gone
        self.heard: list[tuple[Connection, bytes]] = []
        self.ended: list[tuple[Connection, str]] = []
        self.at_half_closes: dict[Connection, Callable[[Connection], None]] = {}
        self.visits: list[Connection] = []
        self.then: dict[bytes, Callable[[], None]] = {}
        self.at_visits: dict[Connection, Callable[[], None]] = {}
        self.at_ends: dict[Connection, Callable[[], None]] = {}

    def received(self, connection: Connection, data: memoryview) -> None:
        said = bytes(data)
        self.heard.append((connection, said))
        self.then.get(said, lambda: None)()

    def half_closed(self, connection: Connection) -> None:
        self.at_half_closes.get(connection, self.gone)(connection)

    def timed(self, connection: Connection, now: float) -> float | None:
        self.at_visits.get(connection, lambda: None)()
        self.visits.append(connection)
        return None

    def closed(self, connection: Connection, reason: str) -> None:
        self.at_ends.get(connection, lambda: None)()
        self.ended.append((connection, reason))


class Running:
    """A reactor that serves, and clients of it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.reactor = Reactor(self.listener)
        self.witness = Witness(lambda connection: self.reactor.close(connection, "eof"))
        self.socks: list[socket.socket] = []
        self.reactor.start(self.witness, lambda connection: None)

        # Made beforehand: a number that becomes free is then the reactor's, and not a client's.
        self._spare = [socket.socket() for _ in range(8)]
        self.socks += self._spare

    def connect(self) -> socket.socket:
        """Connected in the kernel only, as long as nothing is awaited."""
        sock = self._spare.pop()
        sock.connect(self.listener.getsockname())
        sock.setblocking(False)
        return sock

    async def accepted(self) -> tuple[socket.socket, Connection]:
        known = set(self.reactor.connections())
        sock = self.connect()
        await eventually(lambda: len(self.reactor) > len(known))
        (connection,) = set(self.reactor.connections()) - known
        return sock, connection


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    one = Running()
    try:
        yield one
    finally:
        for sock in one.socks:
            sock.close()
        one.reactor.stop_accepting()
        one.reactor.stop()


async def test_an_event_of_a_connection_that_was_closed_in_the_same_wake_up_is_nobodys() -> None:
    async with running() as one:
        (first, closer), (second, victim) = await one.accepted(), await one.accepted()
        number = victim.fd
        one.witness.then[b"close the other"] = lambda: one.reactor.close(victim, "told")
        # Nothing is awaited in between: one wake-up finds all three, in this order.
        first.sendall(b"close the other")
        newcomer = one.connect()
        newcomer.sendall(b"new here")
        second.sendall(b"meant for who is closed")
        await eventually(lambda: len(one.witness.heard) == 2)
        assert one.witness.ended == [(victim, "told")]
        assert victim.fd == -1
        (_, said), (arrived, new) = one.witness.heard
        assert (said, new) == (b"close the other", b"new here")
        assert set(one.reactor.connections()) == {closer, arrived}
        # The number was not free before all events of that wake-up were handled; now it is.
        assert arrived.fd != number
        _, later = await one.accepted()
        assert later.fd == number


async def test_a_descriptor_that_is_used_again_is_another_connection_to_everybody() -> None:
    async with running() as one:
        _, former = await one.accepted()
        number = former.fd
        one.reactor.reschedule(former, 0.0)
        one.reactor.close(former, "told")
        await asyncio.sleep(0)
        assert former.fd == -1
        sock, present = await one.accepted()
        assert present.fd == number
        one.witness.visits.clear()
        # What was planned, asked or begun for the former one reaches nobody.
        one.reactor.close(former, "again")
        assert one.reactor.blocked_since(former) is None
        await asyncio.sleep(0.6)
        assert one.witness.visits == []
        sock.sendall(b"still here")
        await eventually(lambda: one.witness.heard == [(present, b"still here")])
        assert one.witness.ended == [(former, "told")]


@contextmanager
def file_limit(files: int) -> Iterator[None]:
    """Fewer files than there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_gaps() -> Iterator[int]:
    """The number of the next file, while all below are taken."""
    highest = max(map(int, os.listdir("/proc/self/fd")))
    fillers = [os.dup(0)]
    while fillers[-1] < highest:
        fillers.append(os.dup(0))
    try:
        yield fillers[-1] + 1
    finally:
        for filler in fillers:
            os.close(filler)


async def test_what_others_need_is_not_accepted_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.net.reactor.ACCEPT_PAUSE_SECONDS", 0.05)
    async with running() as one:
        waiting = [one.connect() for _ in range(5)]
        with capture_logs() as logs, no_gaps() as next_file:
            with file_limit(next_file + 2 + RESERVED_FILES):
                await eventually(lambda: one.reactor.counters.accept_pauses)
                await asyncio.sleep(0.2)
                assert len(one.reactor) == 3
                assert one.reactor.counters.accept_pauses == 1
            await eventually(lambda: len(one.reactor) == len(waiting))
        assert [line["event"] for line in logs] == ["accepting paused"]


async def test_a_process_that_has_none_at_all_goes_on_when_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.net.reactor.ACCEPT_PAUSE_SECONDS", 0.05)
    async with running() as one:
        sock = one.connect()
        with file_limit(3):
            with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
                os.dup(0)
            await eventually(lambda: one.reactor.counters.accept_pauses == 1)
            await asyncio.sleep(0.2)
        sock.sendall(b"hello")
        await eventually(lambda: [said for _, said in one.witness.heard] == [b"hello"])
        assert one.reactor.counters.accept_pauses == 1


def fail() -> None:
    raise KeyError("a fault")


async def test_a_fault_with_what_one_says_ends_that_one() -> None:
    async with running() as one:
        (first, bad), (second, good) = await one.accepted(), await one.accepted()
        one.witness.then[b"bad"] = fail
        with capture_logs() as logs:
            # Nothing is awaited in between: one wake-up finds both.
            first.sendall(b"bad")
            second.sendall(b"good")
            await eventually(lambda: (good, b"good") in one.witness.heard and bad.fd == -1)
        assert one.witness.ended == [(bad, "fault")]
        assert one.reactor.connections() == (good,)
        assert [(line["event"], line["error"]) for line in logs] == [("connection failed", "KeyError('a fault')")]
        assert one.reactor.counters.faults == 1


async def test_a_fault_with_the_timer_of_one_ends_that_one() -> None:
    async with running() as one:
        (_, bad), (_, good) = await one.accepted(), await one.accepted()
        one.witness.visits.clear()
        one.witness.at_visits[bad] = fail
        for connection in (bad, good):
            one.reactor.reschedule(connection, 0.0)
        with capture_logs() as logs:
            await eventually(lambda: good in one.witness.visits)
        assert one.witness.ended == [(bad, "fault")]
        assert len(logs) == one.reactor.counters.faults == 1


async def test_a_fault_with_the_end_of_one_leaves_no_descriptor_behind() -> None:
    async with running() as one:
        (first, bad), (second, good) = await one.accepted(), await one.accepted()
        one.witness.at_ends[bad] = fail
        with capture_logs() as logs:
            first.close()
            await eventually(lambda: bad.fd == -1)
            second.sendall(b"good")
            await eventually(lambda: (good, b"good") in one.witness.heard)
        assert one.reactor.connections() == (good,)
        assert len(logs) == one.reactor.counters.faults == 1


async def test_those_who_are_always_ready_keep_nobody_waiting() -> None:
    """Each of them takes all the time of a wake-up, every time."""
    async with running() as one:
        greedy = [await one.accepted() for _ in range(4)]
        sock, modest = await one.accepted()

        def burn() -> None:
            until = time.thread_time() + 2 * WAKE_SECONDS
            while time.thread_time() < until:
                pass

        flood = b"x" * READ_BYTES
        one.witness.then[flood] = burn
        for talker, _ in greedy:
            talker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * READ_BYTES)
            with suppress(BlockingIOError):
                while True:
                    talker.send(flood)
        await eventually(lambda: len(one.witness.heard) > 2 * len(greedy))
        for _ in range(3):
            sock.send(b"?")
            before = len(one.witness.heard)
            await eventually(lambda: (modest, b"?") in one.witness.heard[before:])  # noqa: B023 - now
            turns = one.witness.heard[before:].index((modest, b"?"))
            # A round that was under way, and one of its own.
            assert turns <= 2 * len(greedy)
        accepted = one.reactor.counters.accepted
        one.connect()
        before = len(one.witness.heard)
        await eventually(lambda: one.reactor.counters.accepted > accepted)
        assert len(one.witness.heard) - before <= 2 * len(greedy) + 1


async def test_who_has_not_done_goes_on_after_everybody_else_without_a_read() -> None:
    async with running() as one:
        (first, busy), (second, other) = await one.accepted(), await one.accepted()
        one.witness.then[b"much"] = lambda: one.reactor.go_on_later(busy)
        turns = 0

        def again() -> None:
            nonlocal turns
            turns += 1
            if turns < 3:
                second.sendall(b"?")
                one.reactor.go_on_later(busy)

        one.witness.then[b""] = again
        first.sendall(b"much")
        await eventually(lambda: one.witness.heard)
        first.sendall(b"more")
        assert one.reactor.has_unread(busy)
        await eventually(lambda: (busy, b"more") in one.witness.heard)
        assert [said for who, said in one.witness.heard if who is busy] == [b"much", b"", b"", b"", b"more"]
        # Before the last of these turns.
        assert other in [who for who, _ in one.witness.heard[:-2]]


async def test_who_has_not_done_and_does_not_read_waits_without_a_turn() -> None:
    async with running() as one:
        sock, busy = await one.accepted()
        one.witness.then[b"much"] = lambda: one.reactor.go_on_later(busy)
        while not one.reactor.is_blocked(busy):
            one.reactor.send((busy,), b"x" * 65_536)
        # What came before it was blocked.
        one.reactor.go_on_later(busy)
        before = time.thread_time()
        await asyncio.sleep(0.3)
        assert time.thread_time() - before < 0.15
        assert one.witness.heard == []
        while not one.witness.heard:
            with suppress(BlockingIOError):
                sock.recv(1 << 20)
            await asyncio.sleep(0)
        assert one.witness.heard == [(busy, b"")]
        assert not one.reactor.is_blocked(busy)


async def test_an_event_that_waits_for_its_turn_is_nobodys_once_its_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readv, read = os.readv, []

    def noted(fd: int, buffers: Sequence[bytearray]) -> int:
        read.append(fd)
        return readv(fd, buffers)

    monkeypatch.setattr(os, "readv", noted)
    async with running() as one:
        (first, slow), (second, victim) = await one.accepted(), await one.accepted()
        number = victim.fd

        def close_the_other() -> None:
            one.reactor.close(victim, "told")
            time.sleep(2 * WAKE_SECONDS)

        one.witness.then[b"close the other"] = close_the_other
        # One wake-up finds all three, in this order, and has time for the first.
        first.sendall(b"close the other")
        newcomer = one.connect()
        second.sendall(b"meant for who is closed")
        await eventually(lambda: len(one.reactor) == 2 and victim.fd == -1)
        (present,) = set(one.reactor.connections()) - {slow}
        assert present.fd == number
        newcomer.sendall(b"first")
        await eventually(lambda: one.witness.heard == [(slow, b"close the other"), (present, b"first")])
        assert read == [slow.fd, number]


async def test_a_kernel_without_memory_for_a_writable_socket_is_asked_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `tcp_mem` does to the whole machine is done here to one descriptor."""
    async with running() as one:
        sock, connection = await one.accepted()
        write, attempts = os.write, 0

        def no_memory(fd: int, data: bytes) -> int:
            nonlocal attempts
            if fd != connection.fd:
                return write(fd, data)
            attempts += 1
            raise BlockingIOError

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", no_memory)
            one.reactor.send((connection,), b"hello")
            began = asyncio.get_running_loop().time()
            await eventually(lambda: attempts >= 4)
            assert attempts <= 2 + (asyncio.get_running_loop().time() - began) / STALL_SECONDS
        await eventually(lambda: not one.reactor.is_blocked(connection))
        assert sock.recv(100) == b"hello"
        # It hears as before.
        sock.sendall(b"still here")
        await eventually(lambda: one.witness.heard == [(connection, b"still here")])
