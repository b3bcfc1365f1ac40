"""Connections that are not parked: counted from their accept on, bounded, and the right ones sent away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.integration.test_gateway_hostile import healthy
from tests.support.clients import upgrade
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import eventually, within
from tidings.gateway.limits.admission import SPARE_SOCKETS
from tidings.gateway.limits.lobby import ADDRESS_SHARE, PLACE_BYTES

CAP = 10
PARTIAL = b"GET /jmap/ws HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 12_000
ATTACKER = "127.0.0.1"


class Crowd:
    """Connections from any address, which stay until the end."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self.socks: list[socket.socket] = []

    async def connect(self, said: bytes = b"", address: str = ATTACKER) -> socket.socket:
        """Connect and say it; the gateway, whose loop is ours, sees both at once."""
        accepted = self._gateway.value("tidings_accepts_total") + 1
        sock = socket.socket()
        self.socks.append(sock)
        sock.bind((address, 0))
        sock.connect(("127.0.0.1", self._gateway.port))
        sock.setblocking(False)
        if said:
            sock.send(said)
        async with within(10):
            while self._gateway.value("tidings_accepts_total") < accepted:
                await asyncio.sleep(0)
        return sock


@asynccontextmanager
async def crowded(**settings: Any) -> AsyncIterator[tuple[RunningGateway, Crowd]]:
    async with running_gateway(**settings) as gateway:
        crowd = Crowd(gateway)
        try:
            yield gateway, crowd
        finally:
            for sock in crowd.socks:
                sock.close()


async def answer(sock: socket.socket) -> bytes:
    """All that comes until the end, or until a head of an answer is there."""
    received = b""
    async with within(10):
        while b"\r\n\r\n" not in received:
            data = await asyncio.get_running_loop().sock_recv(sock, 65_536)
            if not data:
                break
            received += data
    return received


@pytest.mark.parametrize(
    "said",
    [b"", PARTIAL, upgrade()[:-1], b"nonsense\r\n\r\n", upgrade("/jmap/ws")],
    ids=["silent", "partial", "all but a byte", "rejected", "no account"],
)
async def test_an_address_has_so_many_sockets_whatever_they_say(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody goes by themselves, however long this takes.
    monkeypatch.setattr("tidings.gateway.net.closing.LINGER_SECONDS", 600.0)
    async with crowded(max_connections_per_address=CAP) as (gateway, crowd):
        for number in range(10 * CAP):
            await crowd.connect(said)
            assert gateway.value("tidings_sockets_open") <= CAP + SPARE_SOCKETS
            if number % CAP == 0:
                # From the same address.
                await healthy(gateway)
        assert gateway.value("tidings_sockets_shed_total", reason="address") >= 8 * CAP


async def test_parked_ones_and_others_share_what_an_address_has() -> None:
    async with crowded(max_connections_per_address=CAP) as (gateway, crowd):
        parked = [await crowd.connect(upgrade()) for _ in range(CAP)]
        await eventually(lambda: gateway.value("tidings_connections_open", format="websocket") == CAP)
        for _ in range(3 * CAP):
            await crowd.connect(PARTIAL)
            assert gateway.value("tidings_sockets_open") <= CAP + SPARE_SOCKETS
        # One too many is told so, at any time.
        assert (await answer(await crowd.connect(upgrade()))).startswith(b"HTTP/1.1 429 ")
        assert gateway.value("tidings_connections_open", format="websocket") == CAP
        assert [(await answer(sock)).startswith(b"HTTP/1.1 101 ") for sock in parked] == [True] * CAP


async def test_another_address_has_sockets_of_its_own() -> None:
    async with crowded(max_connections_per_address=1) as (_, crowd):
        for _ in range(5 * SPARE_SOCKETS):
            await crowd.connect(PARTIAL)
        other = await crowd.connect(upgrade()[:-1], "127.0.0.2")
        for _ in range(5 * SPARE_SOCKETS):
            await crowd.connect(PARTIAL)
        other.send(upgrade()[-1:])
        assert (await answer(other)).startswith(b"HTTP/1.1 101 ")


async def test_a_trusted_proxy_has_no_cap_of_its_own() -> None:
    async with crowded(max_connections_per_address=1, trusted_proxy="127.0.0.1") as (gateway, crowd):
        for _ in range(50):
            await crowd.connect(PARTIAL)
        assert gateway.value("tidings_sockets_open") == 50
        for _ in range(20):
            await crowd.connect(PARTIAL, "127.0.0.2")
        assert gateway.value("tidings_sockets_open") == 51 + SPARE_SOCKETS


async def test_those_that_are_handed_over_count_until_they_end() -> None:
    release, started = asyncio.Event(), 0

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal started
        started += 1
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    get = b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with crowded(max_connections_per_address=2, fallback=slow) as (gateway, crowd):
        most = 2 + SPARE_SOCKETS
        for _ in range(most):
            await crowd.connect(get)
        await eventually(lambda: started == most)
        refused = await crowd.connect(get)
        with suppress(ConnectionResetError):
            assert await answer(refused) == b""
        assert gateway.value("tidings_sockets_shed_total", reason="address") == 1
        assert started == most
        release.set()
        await eventually(lambda: not gateway.value("tidings_requests_open"))
        assert (await answer(await crowd.connect(get))).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Room for what is not parked."""
    size = 512 * 1024
    monkeypatch.setattr("tidings.gateway.limits.lobby.MAX_BYTES", size)
    return size


async def test_the_bytes_of_partial_heads_are_bounded_for_one_address_and_for_all(small: int) -> None:
    async with crowded() as (gateway, crowd):
        held = gateway.budget.account("heads")
        for _ in range(100):
            await crowd.connect(PARTIAL)
            assert held.held <= small // ADDRESS_SHARE + len(PARTIAL) + PLACE_BYTES
        for number in range(200):
            await crowd.connect(PARTIAL, f"127.0.1.{number % 20}")
            assert held.held <= small
        assert gateway.value("tidings_sockets_shed_total", reason="memory") > 0
        await healthy(gateway)
    assert held.held == 0


async def test_heads_that_grow_after_their_accept_are_bounded_too(small: int) -> None:
    async with crowded() as (gateway, crowd):
        held = gateway.budget.account("heads")
        socks = [await crowd.connect() for _ in range(100)]
        for sock in socks:
            with suppress(ConnectionError):
                sock.send(PARTIAL)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert held.held <= small // ADDRESS_SHARE + len(PARTIAL) + PLACE_BYTES
        await eventually(lambda: gateway.value("tidings_sockets_shed_total", reason="address") > 50)


async def test_the_one_that_holds_most_makes_room_and_an_older_one_stays(small: int) -> None:
    async with crowded() as (gateway, crowd):
        slow = await crowd.connect(upgrade()[:-1], "127.0.0.9")
        for number in range(150):
            await crowd.connect(PARTIAL, f"127.0.1.{number % 6}")
        assert gateway.value("tidings_sockets_shed_total", reason="memory") > 0
        slow.send(upgrade()[-1:])
        assert (await answer(slow)).startswith(b"HTTP/1.1 101 ")


async def test_a_head_that_is_whole_is_answered_before_its_place_is_given_away() -> None:
    count = 5 * (1 + SPARE_SOCKETS)
    async with crowded(max_connections_per_address=1) as (gateway, crowd):
        # One wake-up accepts all of them, each with a whole head in the kernel.
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", gateway.port))
            sock.setblocking(False)
            sock.send(upgrade())
            crowd.socks.append(sock)
        statuses = [int((await answer(sock)).split()[1]) for sock in crowd.socks]
        assert sorted(statuses) == [101] + [429] * (count - 1)


async def test_what_takes_its_leave_goes_before_whoever_comes() -> None:
    async with crowded(max_connections_per_address=CAP) as (gateway, crowd):
        for _ in range(5 * CAP):
            # Answered, and never closed from there.
            await crowd.connect(b"GET /jmap/changes?account=alice HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert gateway.value("tidings_sockets_open") <= CAP + SPARE_SOCKETS
        await healthy(gateway)
