"""What nobody should send, from a bare socket: a clear answer or a clean end, and never a crash."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from contextlib import suppress

import pytest

from tests.support.clients import DEADLINE, RawClient, jmap_client, raw_client, upgrade
from tests.support.frames import masked
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import eventually, promised, within

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


async def healthy(gateway: RunningGateway) -> None:
    """Somebody else is served as if nothing had happened."""
    async with jmap_client(gateway.url("account=bob")) as client:
        assert await client.subscribe() == {}
        await gateway.publish("bob", {"Email": "s"})
        assert await client.changed() == {"bob": {"Email": "s"}}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"\r\n\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /jmap/ws HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /jmap/ws HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /jmap/ws HTTP/1.1\r\n folded: a\r\n\r\n", 400),
        (b"GET /jmap/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x00b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
        (upgrade(Upgrade=None), 400),
        (upgrade(Connection="keep-alive"), 400),
        (upgrade(Sec_WebSocket_Key=None), 400),
        (upgrade(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (upgrade(Sec_WebSocket_Version="8"), 426),
        (upgrade(Sec_WebSocket_Version=None), 426),
        (upgrade().replace(b"GET", b"POST", 1), 405),
        (upgrade(path="/jmap/ws"), 401),
        (upgrade(path="/jmap/ws?account="), 401),
        (upgrade(path="/jmap/ws?account=a%2Fb"), 401),
        (upgrade(path="/jmap/ws?account=%00"), 401),
        (upgrade(path="/jmap/ws?account=%FF%FE"), 400),
        (upgrade(path=f"/jmap/ws?account={'x' * 256}"), 401),
        (upgrade(Host="mail.evil.example"), 403),
        (upgrade(Host=None), 400),
        (upgrade(Origin="http://evil.example"), 403),
        (upgrade(X="x" * 70_000), 431),
        (b"GET /" + b"a" * 70_000, 431),
    ],
)
async def test_a_bad_head_gets_a_status_that_says_so(head: bytes, status: int) -> None:
    async with running_gateway() as gateway:
        async with raw_client(gateway.port) as client:
            await client.send(head)
            answer = await client.head()
            assert answer.startswith(f"HTTP/1.1 {status} ")
            assert "connection: close" in answer.lower()
            if status == 426:
                assert "sec-websocket-version: 13\r\n" in answer.lower()
                assert "upgrade: websocket\r\n" in answer.lower()
                assert "connection: close, upgrade\r\n" in answer.lower()
            if status == 405:
                assert "allow: get" in answer.lower()
            body = await client.rest()
            assert b"Traceback" not in body
        await healthy(gateway)


async def test_a_head_may_come_byte_by_byte_and_the_first_frame_with_it() -> None:
    subscribe = masked(TEXT, b'{"@type":"WebSocketPushEnable","dataTypes":null}')
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        for byte in upgrade() + subscribe:
            await client.send(bytes((byte,)))
        assert await client.status() == 101
        assert json.loads((await client.frame())[1])["changed"] == {}


async def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_gateway(head_seconds=0.5) as gateway:
        async with raw_client(gateway.port) as silent, raw_client(gateway.port) as slow:
            await slow.send(b"GET /jmap/ws HTTP/1.1\r\n")
            assert await silent.rest() == b""
            assert await slow.rest() == b""
        assert gateway.value("tidings_head_deadlines_total") == 2
        await healthy(gateway)


async def upgraded(client: RawClient) -> None:
    await client.send(upgrade())
    assert await client.status() == 101


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (masked(TEXT, b"{}", mask=b""), 1002),
        (masked(TEXT, b"{}", rsv=4), 1002),
        (masked(3), 1002),
        (masked(0, b"x"), 1002),
        (masked(TEXT, b"{", fin=False) + masked(TEXT, b"}"), 1002),
        (masked(PING, b"x" * 126), 1002),
        (masked(PING, fin=False), 1002),
        (masked(CLOSE, b"\x03"), 1002),
        (masked(CLOSE, b"\x03\xed"), 1002),
        (masked(CLOSE, b"\x03\xe8\xff"), 1007),
        (masked(TEXT, b"\xff\xfe"), 1007),
        (masked(TEXT, b"\xe2\x82", fin=False) + masked(0, b"\x28"), 1007),
        (masked(BINARY, b"{}"), 1003),
        (masked(TEXT, b"x" * 70_000), 1009),
        (b"\x81\xff" + (2**63 - 1).to_bytes(8, "big"), 1009),
        (b"\x81\xff" + (2**64 - 1).to_bytes(8, "big"), 1002),
        (masked(TEXT, b"x" * 40_000, fin=False) + masked(0, b"x" * 40_000), 1009),
    ],
)
async def test_a_frame_against_the_protocol_ends_with_its_close_code(frames: bytes, code: int) -> None:
    async with running_gateway() as gateway:
        async with raw_client(gateway.port) as client:
            await upgraded(client)
            await client.send(frames)
            assert await client.close_code() == code
            assert await client.rest() == b""
        await healthy(gateway)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"not json", "notJSON"),
        (b"", "notJSON"),
        (b"[" * 30_000, "notJSON"),
        (b"7", "notRequest"),
        (b"{}", "notRequest"),
        (b'{"@type":"Nonsense"}', "notRequest"),
        (b'{"@type":"WebSocketPushEnable","dataTypes":"Email"}', "notRequest"),
        (b'{"@type":"WebSocketPushEnable","dataTypes":["<script>"]}', "notRequest"),
        (b'{"@type":"WebSocketPushEnable","pushState":7}', "notRequest"),
        (b'{"@type":"Request","using":7}', "notRequest"),
    ],
)
async def test_a_bad_message_gets_a_request_error_and_the_connection_stays(message: bytes, kind: str) -> None:
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        await upgraded(client)
        await client.send(masked(TEXT, message))
        error = json.loads((await client.frame())[1])
        assert (error["@type"], error["type"]) == ("RequestError", f"urn:ietf:params:jmap:error:{kind}")
        await client.send(masked(PING, b"still here"))
        assert await client.frame() == (PONG, b"still here")


async def test_fragments_and_control_frames_between_them_are_understood() -> None:
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        await upgraded(client)
        message = b'{"@type":"WebSocketPushEnable","dataTypes":["Email"]}'
        for start in range(0, len(message), 7):
            first, last = start == 0, start + 7 >= len(message)
            await client.send(masked(TEXT if first else 0, message[start : start + 7], fin=last))
            await client.send(masked(PONG, b"unasked"))
        assert json.loads((await client.frame())[1])["changed"] == {}


async def test_a_close_is_answered_with_its_code() -> None:
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        await upgraded(client)
        await client.send(masked(CLOSE, (1000).to_bytes(2, "big") + b"bye"))
        assert await client.close_code() == 1000
        assert await client.rest() == b""


async def test_who_answers_no_ping_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.formats.websocket.PONG_SECONDS", 0.5)
    async with running_gateway(ping_seconds=1.0, head_seconds=0.3) as gateway:
        async with raw_client(gateway.port) as client:
            await upgraded(client)
            assert await client.frame() == (PING, b"")
            await client.send(masked(PONG))
            assert await client.frame() == (PING, b"")
            assert await client.rest() == b""
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="pong_deadline") == 1


async def test_who_may_take_long_for_a_head_is_pinged_as_soon_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.formats.websocket.PONG_SECONDS", 0.5)
    monkeypatch.setattr("tidings.gateway.entrance.front.VISIT_SECONDS", 0.3)
    async with running_gateway(ping_seconds=1.0, head_seconds=300.0) as gateway, raw_client(gateway.port) as client:
        await upgraded(client)
        assert await client.frame() == (PING, b"")


async def test_an_idle_subscriber_gets_a_fresh_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.formats.websocket.PONG_SECONDS", 0.5)
    monkeypatch.setattr("tidings.gateway.formats.websocket.REFRESH_SECONDS", 0.1)
    async with running_gateway(ping_seconds=1.0, head_seconds=0.3) as gateway, jmap_client(gateway.url()) as client:
        await client.subscribe()
        assert await client.changed() == {}
        assert client.cursor


async def test_a_subscriber_that_never_stops_talking_gets_a_fresh_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.gateway.formats.websocket.REFRESH_SECONDS", 0.1)

    async def talk(client: RawClient) -> None:
        while True:
            await client.send(masked(PONG))
            await asyncio.sleep(0.01)

    # It is visited twice within a second, and heard of in between.
    async with (
        running_gateway(ping_seconds=1.0, head_seconds=0.3, max_messages_per_second=0) as gateway,
        raw_client(gateway.port) as client,
        asyncio.TaskGroup() as tasks,
    ):
        await upgraded(client)
        await client.send(masked(TEXT, b'{"@type":"WebSocketPushEnable","dataTypes":null}'))
        talking = tasks.create_task(talk(client))
        for _ in range(3):
            opcode, payload = await client.frame()
            assert opcode == TEXT
            assert json.loads(payload)["changed"] == {}
        talking.cancel()


async def test_who_asks_and_never_reads_the_answers_is_not_read_and_closed_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidings.gateway.formats.websocket.PONG_SECONDS", 0.3)
    monkeypatch.setattr("tidings.gateway.net.listener.WRITE_SECONDS", 0.5)
    echo = {"@type": "Request", "using": [], "methodCalls": [["Core/echo", {"a": "x" * 50_000}, "c"]]}
    ask = masked(TEXT, json.dumps(echo).encode())

    async def ask_for_ever(client: RawClient) -> None:
        while True:
            await client.send(ask)
            await asyncio.sleep(0)

    async with running_gateway(ping_seconds=0.6, head_seconds=0.3) as gateway:
        async with raw_client(gateway.port) as client:
            await upgraded(client)
            with pytest.raises(ConnectionError):
                async with within(DEADLINE):
                    await ask_for_ever(client)
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="write_deadline") == 1
        assert gateway.value("tidings_sent_bytes_total") < 10_000_000
        await healthy(gateway)


async def test_who_reads_slower_than_the_kernel_reports_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    # At this rate the kernel has room for the rest of a write every 3.4 s, and acknowledges something every 1.7 s.
    bytes_per_second = 3_600
    slower = promised(1.0)
    loop = asyncio.get_running_loop()
    async with running_gateway(ping_seconds=0.6, head_seconds=0.3, max_messages_per_second=0) as gateway:
        # Not before: the kernel's own deadline is another one.
        monkeypatch.setattr("tidings.gateway.net.listener.WRITE_SECONDS", 3.0 * slower)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", gateway.port))
            sock.setblocking(False)
            await loop.sock_sendall(sock, upgrade() + masked(PING, b"x" * 125) * 1_000)
            await eventually(lambda: gateway.value("tidings_connections_blocked"))
            began, read = time.monotonic(), 0
            while (elapsed := time.monotonic() - began) < 10:
                with suppress(BlockingIOError):
                    read += len(sock.recv(max(1, int(elapsed * bytes_per_second) - read)))
                await asyncio.sleep(0.05)
            assert gateway.value("tidings_connections_open", format="websocket") == 1
            await eventually(lambda: not gateway.value("tidings_connections_open", format="websocket"), 15)
        assert gateway.value("tidings_connections_closed_total", format="websocket", reason="write_deadline") == 1


async def test_who_reads_an_answer_slowly_gets_all_of_it() -> None:
    loop = asyncio.get_running_loop()
    async with running_gateway() as gateway:
        async with jmap_client(gateway.url()) as client:
            await client.subscribe()
        # Far more than a small send buffer takes, and not more types than are told by name.
        for first in range(0, 120, 30):
            await gateway.publish("alice", {f"T{number:x<63}": "s" * 250 for number in range(first, first + 30)})
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            sock.connect(("127.0.0.1", gateway.port))
            sock.setblocking(False)
            path = f"/jmap/changes?account=alice&since={client.cursor}"
            await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            answer = b""
            async with within(60):
                while received := await loop.sock_recv(sock, 1024):
                    answer += received
                    # Longer as a whole than anybody lingers who reads nothing.
                    await asyncio.sleep(0.15)
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["changed"]["alice"]) == 120


async def test_who_stops_reading_gets_the_newest_state_when_it_reads_again() -> None:
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        await upgraded(client)
        await client.send(masked(TEXT, b'{"@type":"WebSocketPushEnable","dataTypes":null}'))
        assert json.loads((await client.frame())[1])["changed"] == {}
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        last = 3_000
        for number in range(last + 1):
            # More than the kernel takes, well before the time that a client has to read.
            await gateway.publish("alice", dict.fromkeys(("Email", *map(str, range(31))), f"{number:0250}"))
            await asyncio.sleep(0)
        assert gateway.value("tidings_changes_coalesced_total") > last / 4
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        seen: list[int] = []
        while not seen or seen[-1] != last:
            seen.append(int(json.loads((await client.frame())[1])["changed"]["alice"]["Email"]))
        assert seen == sorted(seen)
        assert len(seen) < last


async def test_vanishing_clients_leave_nothing_behind() -> None:
    async with running_gateway() as gateway:
        for sent in (b"", b"GET /jm", upgrade()[:-2], upgrade(), upgrade() + masked(TEXT, b"half")[:5]):
            async with raw_client(gateway.port) as client:
                if sent:
                    await client.send(sent)
        async with within(DEADLINE):
            while gateway.value("tidings_sockets_open"):
                await asyncio.sleep(0.01)
        assert gateway.value("tidings_connections_open", format="websocket") == 0
        await healthy(gateway)


async def test_shutdown_copes_with_clients_that_were_reset_a_moment_ago() -> None:
    loop = asyncio.get_running_loop()
    async with running_gateway() as gateway:
        socks = []
        for _ in range(5):
            sock = socket.create_connection(("127.0.0.1", gateway.port))
            sock.setblocking(False)
            await loop.sock_sendall(sock, upgrade())
            assert b" 101 " in await loop.sock_recv(sock, 4096)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socks.append(sock)
        for sock in socks:
            sock.close()
        # Nothing ran since: the resets are in the kernel, and the gateway has not seen them.
        await gateway.service.stop()
        assert gateway.value("tidings_connections_open", format="websocket") == 0


async def test_a_client_that_is_reset_with_its_upgrade_is_forgotten() -> None:
    subscribe = masked(TEXT, b'{"@type":"WebSocketPushEnable","dataTypes":null}')
    async with running_gateway() as gateway:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", gateway.port)) as sock:
                sock.sendall(upgrade() + subscribe)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with within(DEADLINE):
            while gateway.value("tidings_accepts_total") < 20 or gateway.value("tidings_sockets_open"):
                await asyncio.sleep(0.01)
        assert gateway.value("tidings_connections_open", format="websocket") == 0
        await gateway.publish("alice", {"Email": "s"})
        await healthy(gateway)


async def test_requests_sent_behind_the_first_are_not_answered_on_the_same_connection() -> None:
    async with running_gateway() as gateway, raw_client(gateway.port) as client:
        get = b"GET /.well-known/jmap?account=alice HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await client.send(get + get)
        assert (await client.rest()).count(b"HTTP/1.1 200") == 1
