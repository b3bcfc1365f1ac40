"""Peers that come and go at every wrong moment. Whatever they did, nothing is left of them and others are served."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.integration.test_gateway_hostile import healthy, upgraded
from tests.support.changelog import nothing_left
from tests.support.clients import jmap_client, raw_client, upgrade
from tests.support.descriptors import open_files
from tests.support.frames import masked
from tests.support.gateway import SECRET, RunningGateway, running_gateway
from tests.support.processes import tidings
from tests.support.waiting import eventually, patient, promised, within
from tidings.gateway.codecs.eventsource import COMMENT
from tidings.gateway.codecs.frames import Decoder
from tidings.gateway.model.connection import Connection
from tidings.ops.http.refusals import PACE_SECONDS

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
SUBSCRIBE = masked(TEXT, b'{"@type":"WebSocketPushEnable","dataTypes":null}')
SO_ATTACH_FILTER = 26
"""asm-generic/socket.h; Python has no name for it."""


def get(path: str) -> bytes:
    return f"GET {path}?account=alice HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


@asynccontextmanager
async def abused(**settings: Any) -> AsyncIterator[RunningGateway]:
    """A gateway that has come through in the end: nobody is left, somebody new is served, and nothing was logged."""
    with capture_logs() as logs:
        async with nothing_left(), running_gateway(**settings) as gateway:
            yield gateway
            await eventually(lambda: not gateway.value("tidings_sockets_open"))
            await eventually(lambda: not gateway.value("tidings_requests_open"))
            for wire_format in ("websocket", "eventsource", "poll"):
                opened = gateway.registry.get_sample_value("tidings_connections_open", {"format": wire_format})
                assert not opened, wire_format
            await healthy(gateway)
    assert [line for line in logs if line["log_level"] not in ("info", "debug")] == []


def closed(gateway: RunningGateway, wire_format: str) -> dict[str, float]:
    """Connections closed, by reason."""
    (family,) = (found for found in gateway.registry.collect() if found.name == "tidings_connections_closed")
    return {line.labels["reason"]: line.value for line in family.samples if line.labels["format"] == wire_format}


def held(gateway: RunningGateway) -> int:
    """Bytes held for connections."""
    return sum(gateway.budget.account(name).held for name in ("heads", "messages", "replies"))


def connect(port: int) -> socket.socket:
    """Connected in the kernel; the gateway, which shares our loop, has not seen it yet."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def crowd(port: int, count: int) -> AsyncIterator[list[socket.socket]]:
    """So many connections, reset in the end."""
    with ExitStack() as stack:
        socks = []
        for _ in range(count):
            sock = connect(port)
            stack.callback(reset, sock)
            socks.append(sock)
        yield socks


async def pinged(sock: socket.socket) -> None:
    """Read until there is a ping, and nothing after it."""
    told = b""
    async with within(15):
        while not told.endswith(b"\x89\x00"):
            told += await asyncio.get_running_loop().sock_recv(sock, 65536)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def end(sock: socket.socket) -> None:
    """FIN, and whatever comes until the gateway's; or, of an event stream, until the gateway asks who is there."""
    told = b""
    with suppress(ConnectionError):
        sock.shutdown(socket.SHUT_WR)
        while received := await asyncio.get_running_loop().sock_recv(sock, 65536):
            told += received
            if COMMENT in told:
                reset(sock)
                return
    sock.close()


async def look_around() -> None:
    """Give the gateway a few turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


CONVERSATIONS = {
    "websocket": upgrade()
    + SUBSCRIBE
    + masked(PING, b"?")
    + masked(TEXT, b'{"@type":', fin=False)
    + masked(PONG)
    + masked(0, b'"WebSocketPushDisable"}'),
    "closing": upgrade() + masked(CLOSE, (1000).to_bytes(2, "big")),
    "eventsource": get("/jmap/eventsource"),
    "poll": get("/jmap/changes"),
    "session": get("/.well-known/jmap"),
}


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("read_before", [True, False], ids=["heard", "unheard"])
@pytest.mark.parametrize("with_reset", [True, False], ids=["reset", "fin"])
async def test_a_peer_may_end_at_every_byte(conversation: str, read_before: bool, with_reset: bool) -> None:
    said = CONVERSATIONS[conversation]
    async with abused() as gateway:
        ending = []
        for length in range(len(said) + 1):
            sock = connect(gateway.port)
            sock.sendall(said[:length])
            if read_before:
                await look_around()
            if with_reset:
                reset(sock)
            else:
                ending.append(asyncio.create_task(end(sock)))
        await asyncio.gather(*ending)
        await eventually(lambda: gateway.value("tidings_accepts_total") == len(said) + 1)
        await eventually(lambda: not gateway.value("tidings_sockets_open"))
        expected = {"reset" if with_reset else "eof"}
        if conversation == "closing":
            # What was said before the end is heard, except that the end is a reset that comes before it is read.
            expected |= {"client_closed"}
        if conversation == "websocket":
            # A reset that was read before its time shows where something is written.
            expected |= {"reset"}
        assert set(closed(gateway, "websocket")) <= expected


async def test_heads_that_dribble_end_at_the_deadline_and_others_are_served_meanwhile() -> None:
    async with abused(head_seconds=1.0) as gateway:
        dribbling = [connect(gateway.port) for _ in range(300)]
        for position, byte in enumerate(upgrade()[:-4]):
            for sock in dribbling:
                with suppress(ConnectionError):
                    sock.send(bytes((byte,)))
            if position % 20 == 0:
                await healthy(gateway)
            if gateway.value("tidings_head_deadlines_total") == len(dribbling):
                break
            await asyncio.sleep(0.01)
        await eventually(lambda: gateway.value("tidings_head_deadlines_total") == len(dribbling))
        for sock in dribbling:
            sock.close()


async def test_frames_that_dribble_are_understood() -> None:
    async with abused() as gateway, raw_client(gateway.port) as client:
        await upgraded(client)
        text = json.dumps({"@type": "Request", "using": [], "methodCalls": [["Core/echo", {"a": "x" * 200}, "c"]]})
        for byte in masked(TEXT, text.encode()) + masked(PING, b"done"):
            await client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert json.loads((await client.frame())[1])["@type"] == "Response"
        assert await client.frame() == (PONG, b"done")


async def test_polls_whose_clients_are_gone_leave_nothing_though_they_might_have_waited_for_minutes() -> None:
    accounts = [f"account-{number}-{'0123456789abcdef' * 4}" for number in range(64)]
    claims = {"sub": accounts[0], "accounts": accounts[1:], "exp": time.time() + 600}
    bearer = jwt.encode(claims, SECRET, "HS256")

    async with running_gateway(auth="jwt", jwt_secret=SECRET) as gateway, httpx2.AsyncClient() as http:
        fields = {"Authorization": f"Bearer {bearer}"}
        cursor = (await http.get(gateway.http_url("/jmap/changes", ""), headers=fields)).json()["pushState"]
        said = (
            f"GET /jmap/changes?wait=300&since={cursor} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        )
        await eventually(lambda: not gateway.value("tidings_sockets_open"))
        before = kept(Connection)
        for start in range(0, 1_000, 100):
            socks = [connect(gateway.port) for _ in range(100)]
            for sock in socks:
                sock.sendall(said.encode())
            await eventually(lambda: gateway.value("tidings_connections_open", format="poll") == 100)
            assert kept(Connection) >= 100
            for sock in socks:
                sock.close()
            await eventually(lambda: not gateway.value("tidings_sockets_open"))
            assert sum(closed(gateway, "poll").values()) == start + 101
        # The wheel is swept within a few turns.
        await eventually(lambda: kept(Connection) <= before, seconds=5)
        assert held(gateway) == 0


async def test_ten_thousand_that_come_and_go_leave_nothing() -> None:
    async with abused(head_seconds=1.0) as gateway:
        await healthy(gateway)
        files = open_files()
        kinds = (Connection, HttpToolsProtocol, asyncio.Transport, Decoder)
        # Other tests' servers may still be there.
        before = kept(*kinds)
        said = [b"", b"GET /jm", *CONVERSATIONS.values(), CONVERSATIONS["websocket"][:-3]]
        for start in range(0, 10_000, 200):
            socks = [connect(gateway.port) for _ in range(200)]
            for number, sock in enumerate(socks, start):
                sock.sendall(said[number % len(said)])
            await look_around()
            for number, sock in enumerate(socks, start):
                reset(sock) if number % 3 else sock.close()
            # The queue of those to be accepted holds 4,096; when it is full, our connects would wait for ourselves.
            await eventually(lambda: gateway.value("tidings_accepts_total") > start)  # noqa: B023 - now
        await eventually(lambda: gateway.value("tidings_accepts_total") == 10_001)
        await eventually(lambda: not gateway.value("tidings_sockets_open"))
        # One decoder may be kept, for whoever speaks next.
        await eventually(lambda: kept(*kinds) <= before + 1, seconds=10)
        assert held(gateway) == 0
        assert not open_files() - files


def kept(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


async def test_frames_in_the_segment_of_the_upgrade_are_answered_in_their_order() -> None:
    async with abused() as gateway, jmap_client(gateway.url()) as earlier, raw_client(gateway.port) as client:
        # The feed is live then, and a subscription is answered at once.
        await earlier.subscribe()
        await client.send(upgrade() + SUBSCRIBE + masked(PING, b"1") + masked(PING, b"2") + masked(CLOSE, b"\x03\xe8"))
        assert await client.status() == 101
        assert json.loads((await client.frame())[1])["changed"] == {}
        assert await client.frame() == (PONG, b"1")
        assert await client.frame() == (PONG, b"2")
        assert await client.frame() == (CLOSE, b"\x03\xe8")
        assert await client.rest() == b""
        await eventually(lambda: closed(gateway, "websocket") == {"client_closed": 1})


@pytest.mark.parametrize(
    ("behind", "code"),
    [(get("/jmap/changes"), 1002), (upgrade(), 1002), (masked(2, b"x"), 1003), (masked(TEXT, b"\xff"), 1007)],
)
async def test_what_is_no_frame_behind_the_upgrade_closes_it(behind: bytes, code: int) -> None:
    async with abused() as gateway, raw_client(gateway.port) as client:
        await client.send(upgrade() + behind)
        assert await client.status() == 101
        assert await client.close_code() == code
        assert await client.rest() == b""


@pytest.mark.parametrize("first", ["poll", "session"])
@pytest.mark.parametrize("second", [get("/.well-known/jmap"), get("/jmap/changes"), upgrade() + SUBSCRIBE])
async def test_a_request_behind_another_is_not_answered(first: str, second: bytes) -> None:
    async with abused() as gateway, raw_client(gateway.port) as client:
        await client.send(CONVERSATIONS[first] + second + second)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"connection: close\r\n" in answer.lower()


def vanish(sock: socket.socket) -> None:
    """From now on the kernel drops what comes: no acknowledgement, no reset, nothing, as of a host that is gone."""

    class Instruction(ctypes.Structure):
        _fields_ = (
            ("code", ctypes.c_ushort),
            ("jt", ctypes.c_ubyte),
            ("jf", ctypes.c_ubyte),
            ("k", ctypes.c_uint32),
        )

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction)))

    return_zero = Instruction(0x06, 0, 0, 0)
    program = Program(1, ctypes.pointer(return_zero))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


@pytest.mark.parametrize(
    ("wire_format", "said", "write_seconds", "reason"),
    [
        ("websocket", upgrade() + SUBSCRIBE, 30.0, "pong_deadline"),
        ("eventsource", get("/jmap/eventsource"), 1.0, "write_deadline"),
    ],
    ids=["websocket", "eventsource"],
)
async def test_a_host_that_is_gone_is_noticed(
    wire_format: str, said: bytes, write_seconds: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.gateway.formats.websocket.PONG_SECONDS", 0.5)
    monkeypatch.setattr("tidings.gateway.net.listener.WRITE_SECONDS", write_seconds)
    async with abused(ping_seconds=1.0, head_seconds=0.3) as gateway:
        with connect(gateway.port) as sock:
            sock.sendall(said)
            await eventually(lambda: gateway.value("tidings_resumes_total", outcome="fresh") == 1)
            vanish(sock)
            await gateway.publish("alice", {"Email": "1"})
            await eventually(lambda: closed(gateway, wire_format) == {reason: 1})


async def test_a_freeze_of_ours_closes_nobody_whose_pong_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 1_000
    pong_seconds = promised(6.0)
    monkeypatch.setattr("tidings.gateway.formats.websocket.PONG_SECONDS", pong_seconds)
    async with abused(ping_seconds=1.0, head_seconds=0.3) as gateway, crowd(gateway.port, count) as socks:
        for sock in socks:
            sock.sendall(upgrade())
        parked = "tidings_connections_open", {"format": "websocket"}
        await eventually(lambda: gateway.registry.get_sample_value(*parked) == count)
        for sock in socks:
            await pinged(sock)
            sock.sendall(masked(PONG))
        # Nothing runs meanwhile: the loop is the gateway's too.
        time.sleep(pong_seconds + 0.5)  # noqa: ASYNC251 - that is the freeze
        told = gateway.value("tidings_sent_bytes_total")
        await eventually(lambda: gateway.value("tidings_sent_bytes_total") >= told + 2 * count)
        assert closed(gateway, "websocket") == {}


async def test_a_blocked_client_is_not_read() -> None:
    ping = masked(PING, b"x" * 100)
    async with abused(max_messages_per_second=0) as gateway:
        sock = connect(gateway.port)
        sock.sendall(upgrade())
        said, quiet = b"", 0
        async with within(15):
            while quiet < 50:
                try:
                    said = said or ping * 20
                    said = said[sock.send(said) :]
                    quiet = 0
                except BlockingIOError:
                    quiet += 1
                await asyncio.sleep(0.001)
        assert gateway.value("tidings_connections_blocked") == 1
        written = gateway.value("tidings_sent_bytes_total")
        await asyncio.sleep(0.1)
        assert gateway.value("tidings_sent_bytes_total") == written
        reset(sock)
        await eventually(lambda: closed(gateway, "websocket") == {"reset": 1})


def test_nobody_fills_the_log_from_outside(tmp_path: Path) -> None:
    nonsense = (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: nonsense\r\nContent-Length: 3\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        upgrade("/jmap/ws?account=alice&access_token=secret") + b"\xff\xff\xff",
    )
    with tidings("up", "--maildir", f"{tmp_path}/mail", "--state-dir", f"{tmp_path}/state") as process:
        started = len(process.logs)
        began = time.monotonic()
        for port in set(process.ports.values()):
            for said in nonsense:
                with socket.create_connection(("127.0.0.1", port), timeout=patient(10)) as sock:
                    sock.sendall(said)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass
        process.stop()
        # Of refusals with one reason, the first is told, and then all others together, in each PACE_SECONDS.
        paces = 1 + (time.monotonic() - began) // PACE_SECONDS
        told = Counter(
            (line["listener"], line["reason"]) for line in process.logs[started:] if line["event"] == "requests refused"
        )
        assert max(told.values()) <= 1 + paces
        events = [line["event"] for line in process.logs[started:] if line["event"] != "requests refused"]
        assert events == ["stopping", "draining", "drained", "stopped"]
        assert process.stray == []
