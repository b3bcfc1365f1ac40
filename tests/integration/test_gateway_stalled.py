"""A thousand clients that do not read: what they cost, what they are told in the end, and what nobody else notices."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.apart import Lone, lone_gateway
from tests.support.clients import JmapClient, jmap_client, upgrade
from tests.support.frames import masked
from tests.support.waiting import eventually, within
from tidings.gateway.net.listener import SEND_BUFFER_BYTES

CLIENTS = 1_000
ROUNDS = 100
RECEIVE_BUFFER_BYTES = 4 * 1024
WIDE = {f"Type{number}": "s" * 250 for number in range(8)}
"""Of a change that fills buffers soon."""
CHANGE_BYTES = len(json.dumps({"changed": {"stalled999": WIDE}})) + 256
"""At most, as a frame."""
OBJECT_BYTES = 1024
"""What Python needs beside the text, for a StateChange and to remember an unfinished frame."""
SLACK_BYTES = 2 * 2**20
"""Less than 100,000 of anything."""
FILL_ROUNDS = 50
WARM_ROUNDS = 5
"""More than the log keeps."""
RESUMED_SECONDS = 30.0

WEBSOCKET = "websocket"
EVENTSOURCE = "eventsource"


def account(number: int) -> str:
    return f"stalled{number}"


def opening(wire_format: str, name: str) -> bytes:
    if wire_format == WEBSOCKET:
        return upgrade(f"/jmap/ws?account={name}") + masked(1, b'{"@type":"WebSocketPushEnable","dataTypes":null}')
    return f"GET /jmap/eventsource?account={name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def stalled_client(wire_format: str, port: int, number: int) -> socket.socket:
    """A subscribed client with a small receive buffer, of which it has read nothing."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, opening(wire_format, account(number)))
    return sock


@asynccontextmanager
async def stalled_clients(wire_format: str, gateway: Lone) -> AsyncIterator[list[socket.socket]]:
    """All of them, subscribed."""
    socks: list[socket.socket] = []
    try:
        socks.extend([await stalled_client(wire_format, gateway.port, number) for number in range(CLIENTS)])
        await eventually(lambda: gateway.value("tidings_resumes_total", outcome="fresh") >= CLIENTS)
        yield socks
    finally:
        for sock in socks:
            sock.close()


def unsent_in_kernel(port: int) -> list[int]:
    """Bytes in the send buffers of the connections on this port that do not read: they have the most."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    unsent = [int(row[4].split(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
    return sorted(unsent)[-CLIENTS:]


async def states(sock: socket.socket, last: str) -> list[str]:
    """The states of Email that a client is told when it reads at last, up to the last one."""
    loop = asyncio.get_running_loop()
    received = b""
    async with within(RESUMED_SECONDS):
        while f'"{last}"'.encode() not in received:
            data = await loop.sock_recv(sock, 65536)
            assert data, "closed before it was told"
            received += data
    return re.findall(r'"Email":"(\d+)"', received.decode("latin-1"))


async def fill(gateway: Lone) -> None:
    """Publish until nobody of them takes any more."""
    for number in range(FILL_ROUNDS):
        # A few at a time, so that no batch is what the memory of the process was needed for.
        for first in range(0, CLIENTS, 50):
            few = range(first, first + 50)
            gateway.publish([(account(client), {**WIDE, "Type0": str(number)}) for client in few])
        if gateway.value("tidings_connections_blocked") == CLIENTS:
            return
    pytest.fail(f"only {gateway.value('tidings_connections_blocked')} are blocked")


@dataclass
class Storm:
    """Changes to everybody who does not read, and to some who do and wait for each."""

    gateway: Lone
    readers: dict[str, JmapClient]
    rounds: int = 0

    async def rage(self, rounds: int) -> None:
        for _ in range(rounds):
            self.rounds += 1
            everybody = [*map(account, range(CLIENTS)), *self.readers]
            self.gateway.publish([(name, {"Email": str(self.rounds)}) for name in everybody])
            for name, client in self.readers.items():
                assert await client.changed() == {name: {"Email": str(self.rounds)}}


async def subscribed(stack: AsyncExitStack, port: int, names: Sequence[str]) -> dict[str, JmapClient]:
    readers = {}
    for name in names:
        readers[name] = await stack.enter_async_context(jmap_client(f"ws://127.0.0.1:{port}/jmap/ws?account={name}"))
        assert await readers[name].subscribe() == {}
    return readers


@pytest.mark.parametrize("wire_format", [WEBSOCKET, EVENTSOURCE])
async def test_who_does_not_read_costs_one_state_and_is_told_the_newest_when_it_reads(wire_format: str) -> None:
    with lone_gateway() as gateway:
        async with AsyncExitStack() as stack:
            socks = await stack.enter_async_context(stalled_clients(wire_format, gateway))
            storm = Storm(gateway, await subscribed(stack, gateway.port, ("reader", "another")))
            await storm.rage(WARM_ROUNDS)
            unblocked = gateway.memory()
            await fill(gateway)
            await storm.rage(WARM_ROUNDS)
            blocked, in_kernel = gateway.memory(), unsent_in_kernel(gateway.port)
            assert blocked.resident - unblocked.resident < CLIENTS * (CHANGE_BYTES + CHANGE_BYTES + OBJECT_BYTES)
            assert max(in_kernel) <= 2 * SEND_BUFFER_BYTES

            await storm.rage(ROUNDS)
            after = gateway.memory()
            assert gateway.value("tidings_connections_blocked") == CLIENTS
            assert after.blocks - blocked.blocks < CLIENTS
            assert after.resident - blocked.resident < SLACK_BYTES
            assert sum(unsent_in_kernel(gateway.port)) == sum(in_kernel)

            for number in range(0, CLIENTS, CLIENTS // 10):
                told = await states(socks[number], str(storm.rounds))
                assert told == sorted(told, key=int)
                assert len(told) < storm.rounds
            assert gateway.closed() == {}
            await eventually(lambda: gateway.value("tidings_connections_blocked") == CLIENTS - 10)
            gateway.end_blocked()
            await eventually(lambda: gateway.closed() == {"write_deadline": CLIENTS - 10})
            await storm.rage(1)
