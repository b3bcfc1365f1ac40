"""Many requests on one connection, whose answers are not awaited: at most a few wait, and reading stops."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.growth import growth
from tests.support.listeners import SECONDS, ask, everything, post, statuses
from tests.support.waiting import eventually, patient, within
from tidings.gateway.entrance.handover import HandOver
from tidings.ops.budget import UNBOUNDED, Account, Budget
from tidings.ops.http.counted import CONNECTION_BYTES
from tidings.ops.http.serving import UvicornService

TINY = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OFFERED = 4_000_000
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


class Blocked:
    """An application that answers nobody before it is released."""

    def __init__(self) -> None:
        self.asked = 0
        self.released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await self.released.wait()
        await PlainTextResponse("here")(scope, receive, send)


async def offer(sock: socket.socket, data: bytes) -> None:
    """Send for as long as it is taken: what the loop takes in none of many turns, it does not take."""
    sent = refused = 0
    view = memoryview(data)
    with suppress(ConnectionError):
        while sent < len(data) and refused < 100:
            try:
                sent += sock.send(view[sent : sent + 65_536])
                refused = 0
            except BlockingIOError:
                refused += 1
            await asyncio.sleep(0.01 if refused else 0)


Serve = Callable[[ASGIApp, Account], AbstractAsyncContextManager[socket.socket]]


@asynccontextmanager
async def listener(app: ASGIApp, account: Account) -> AsyncIterator[int]:
    """The port of a listener of uvicorn's."""
    service = UvicornService("test", app, "127.0.0.1", 0, account)
    await service.start()
    yield service.port
    await service.stop()


@asynccontextmanager
async def served(app: ASGIApp, account: Account) -> AsyncIterator[socket.socket]:
    """A client of such a listener."""
    async with listener(app, account) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setblocking(False)
            yield sock


@asynccontextmanager
async def handed_over(app: ASGIApp, account: Account) -> AsyncIterator[socket.socket]:
    """A client of the gateway that was handed over."""
    hand_over = HandOver(app, account)
    sock, theirs = socket.socketpair()
    theirs.setblocking(False)
    hand_over.take(theirs, b"")
    with sock:
        sock.setblocking(False)
        yield sock
    await hand_over.stop(SECONDS)


async def _held(serve: Serve, data: bytes) -> tuple[int, int]:
    """What the account counts, and what Python allocated at most, while nothing of this is answered."""
    app = Blocked()
    account = Budget().account("requests")
    async with serve(app, account) as sock:
        tracemalloc.start()
        await offer(sock, data)
        await eventually(lambda: app.asked)
        assert app.asked == 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        held = account.held
        app.released.set()
    await eventually(lambda: account.held == 0)
    return held, peak


@LOOPS
@pytest.mark.parametrize("serve", [served, handed_over])
def test_they_hold_no_more_than_the_body_of_one_request(
    serve: Serve, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % OFFERED + b"x" * OFFERED
        honest, honest_peak = runner.run(_held(serve, body))
        tiny, tiny_peak = runner.run(_held(serve, TINY * (OFFERED // len(TINY))))
    assert tiny < 2 * honest
    # The list of bytes to send is the test's own.
    assert tiny_peak < 2 * honest_peak


@LOOPS
def test_all_of_them_are_answered_in_their_order(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    many = 3_000

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["path"])(scope, receive, send)

    async def talk() -> bytes:
        requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(many))
        async with listener(echo, Budget().account("requests")) as port:
            return await ask(port, requests, half_close=True)

    with asyncio.Runner(loop_factory=loop) as runner:
        answer = runner.run(talk())
    assert [part.rpartition(b"\r\n\r\n/")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"%d" % number for number in range(many)
    ]


async def test_every_port_answers_many_and_somebody_else_meanwhile(tmp_path: Path) -> None:
    async with everything(tmp_path) as ports:
        for name in ("ingest", "webmail", "admin", "probe"):
            listener = ports[name]
            one, good = (post(), 202) if name == "ingest" else (listener.get(), 200)
            many = asyncio.create_task(ask(listener.port, one * 300, half_close=True))
            assert statuses(await ask(listener.port, one, half_close=True)) == [good]
            assert statuses(await many) == [good] * 300


TWICE: dict[str, Callable[[int], bytes]] = {
    "requests": lambda n: TINY * n,
    "blank lines in a body": lambda n: (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (4 * n) + b"\r\n" * 2 * n
    ),
    "blank lines in a chunk": lambda n: CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (4 * n, b"\r\n" * 2 * n),
    "chunks of a byte": lambda n: CHUNKED + b"1\r\na\r\n" * n + b"0\r\n\r\n",
    "offers to upgrade": lambda n: (TINY[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n") * (n // 4),
}


@pytest.mark.parametrize("kind", TWICE)
def test_twice_as_much_costs_about_twice_as_much(kind: str) -> None:
    async def discard(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await PlainTextResponse("here")(scope, receive, send)

    def run(size: int) -> Callable[[], object]:
        data = TWICE[kind](size)

        async def talk() -> None:
            async with listener(discard, Budget().account("requests")) as port:
                # The client is another thread, whose time does not count.
                assert set(statuses(await ask(port, data, half_close=True))) == {200}

        return lambda: asyncio.run(talk())

    assert growth(run, 4_000) < 3


async def test_a_full_account_is_taken_from_whoever_holds_most() -> None:
    app = Blocked()
    account = Budget(40 * CONNECTION_BYTES).account("requests")
    async with listener(app, account) as port, AsyncExitStack() as stack:
        for _ in range(10):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.setblocking(False)
            await offer(sock, TINY * 10_000)
            assert account.held <= account.limit
        app.released.set()
        async with within(SECONDS):
            assert statuses(await ask(port, TINY, half_close=True)) == [200]
        await stack.aclose()
        await eventually(lambda: account.held == 0)


class Counting(Account):
    """An account that knows the most it ever held."""

    most = 0

    def take(self, size: int) -> bool:
        taken = super().take(size)
        self.most = max(self.most, self.held)
        return taken


async def test_answers_that_nobody_reads_are_counted_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.ops.http.counted.STALL_SECONDS", 0.5)
    size = 20_000_000

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(b"x" * size)(scope, receive, send)

    account = Counting(Budget(), "requests", UNBOUNDED)
    async with listener(large, account) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(sock, TINY * 100)
            await eventually(lambda: account.most > size / 2)
            await eventually(lambda: account.held == 0)
        # Whoever reads, however slowly, is not cut off. The machine may keep it from reading for some seconds.
        stall_seconds = patient(1.5)
        monkeypatch.setattr("tidings.ops.http.counted.STALL_SECONDS", stall_seconds)
        assert await asyncio.to_thread(_read_slowly, port, stall_seconds) >= size


def _read_slowly(port: int, stall_seconds: float) -> int:
    with socket.create_connection(("127.0.0.1", port), patient(SECONDS)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        sock.sendall(TINY)
        sock.shutdown(socket.SHUT_WR)
        read = 0
        pause = threading.Event()
        # All of it takes longer than the deadline.
        end = time.monotonic() + 1.2 * stall_seconds
        while received := sock.recv(512 * 1024):
            read += len(received)
            if time.monotonic() < end:
                pause.wait(stall_seconds / 10)
        return read
