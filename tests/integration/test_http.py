"""HTTP as proxies, browsers and the libraries of storages speak it, on every port."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.support.listeners import EVENT, SECONDS, Everything, ask, everything, post, statuses
from tests.support.waiting import promised, within
from tidings.bus.log import FromOffset
from tidings.publisher.settings import PublisherSettings
from tidings.wire.batch import decode

OFFERS = (
    ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    ("connection: keep-alive, upgrade", "UPGRADE: TLS/1.0, h2c"),
    ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
)
CLOSE = "Connection: close"
READING = ("gateway", "handed over", "webmail", "admin", "probe")


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Everything]:
    async with everything(tmp_path) as running:
        yield running


async def told(ports: Everything) -> list[tuple[str, dict[str, str | None]]]:
    """The changes in the log, by account, without markers."""
    changes: list[tuple[str, dict[str, str | None]]] = []
    end = b"end of what was told"
    await ports.log.append(0, end)
    async for entry in ports.log.read(0, FromOffset(0)):
        if entry.payload == end:
            return changes
        changes += [(change.account, dict(change.changed)) for change in decode(entry.payload).changes]
    raise AssertionError


class TestUpgrades:
    """An offer that is not taken is no part of what the request means (RFC 9110 section 7.8)."""

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize("offer", OFFERS)
    async def test_a_change_that_is_told_with_an_offer_is_told(
        self, ports: Everything, offer: tuple[str, ...], chunked: bool
    ) -> None:
        request = post(*offer, chunked=chunked)
        head, _, body = request.partition(b"\r\n\r\n")
        for pieces in ([request], [head + b"\r\n\r\n", body], [request[:30], request[30:-5], request[-5:]]):
            assert statuses(await ask(ports["ingest"].port, *pieces, half_close=True)) == [202]
        assert await told(ports) == [("alice", {"Quota": "q7"})] * 3

    @pytest.mark.parametrize("offer", OFFERS)
    async def test_a_body_with_an_offer_before_it_is_no_request(
        self, ports: Everything, offer: tuple[str, ...]
    ) -> None:
        inner = post(body=EVENT.replace(b"alice", b"mallory"))
        head, body = post(*offer, CLOSE, body=inner).split(b"\r\n\r\n", 1)
        for pieces in ([head + b"\r\n\r\n" + body], [head + b"\r\n\r\n", body]):
            assert statuses(await ask(ports["ingest"].port, *pieces)) == [400]
        assert await told(ports) == []

    async def test_what_comes_behind_such_a_request_is_the_next_one(self, ports: Everything) -> None:
        second = post(CLOSE, body=EVENT.replace(b"q7", b"q8"))
        answer = await ask(ports["ingest"].port, post(*OFFERS[0]) + second)
        assert statuses(answer) == [202, 202]
        assert await told(ports) == [("alice", {"Quota": "q7"}), ("alice", {"Quota": "q8"})]

    @pytest.mark.parametrize("name", READING)
    @pytest.mark.parametrize("offer", OFFERS)
    async def test_a_page_that_is_asked_for_with_an_offer_is_answered(
        self, ports: Everything, offer: tuple[str, ...], name: str
    ) -> None:
        get = ports[name].get(*offer)
        assert statuses(await ask(ports[name].port, get, half_close=True)) == [200]


class TestBodies:
    """What HTTP/2 proxies make of a GET whose stream ends with an empty DATA frame."""

    @pytest.mark.parametrize("name", READING)
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_an_empty_chunked_body_is_none(self, ports: Everything, name: str, method: str) -> None:
        get = ports[name].get("Transfer-Encoding: chunked", CLOSE, method=method)
        for pieces in ([get + b"0\r\n\r\n"], [get, b"0\r\n\r\n"], [get, b"0", b"\r\n\r", b"\n"]):
            assert statuses(await ask(ports[name].port, *pieces)) == [200]

    async def test_an_event_stream_and_a_websocket_have_none_either(self, ports: Everything) -> None:
        port = ports["gateway"].port
        chunked = "Transfer-Encoding: chunked"
        stream = ports["gateway"].get(chunked, path="/jmap/eventsource?account=alice&closeafter=state")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(stream)
        writer.write(b"0\r\n\r\n")
        async with within(SECONDS):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        upgrade = ports["gateway"].get(
            chunked,
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: jmap",
            path="/jmap/ws?account=alice",
        )
        assert statuses(await ask(port, upgrade, b"0\r\n\r\n", half_close=True)) == [101]

    async def test_any_other_body_of_a_poll_is_refused(self, ports: Everything) -> None:
        get = ports["gateway"].get("Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n"
        assert statuses(await ask(ports["gateway"].port, get)) == [400]


class TestHalfClosing:
    """Whoever has said all it has to say is answered."""

    @pytest.mark.parametrize("name", READING)
    async def test_a_request_is_answered(self, ports: Everything, name: str) -> None:
        assert statuses(await ask(ports[name].port, ports[name].get(), half_close=True)) == [200]

    async def test_a_change_is_taken(self, ports: Everything) -> None:
        assert statuses(await ask(ports["ingest"].port, post(), half_close=True)) == [202]
        assert await told(ports) == [("alice", {"Quota": "q7"})]

    async def test_everything_that_was_asked_is_answered(self, ports: Everything) -> None:
        for name in ("admin", "probe", "webmail"):
            listener = ports[name]
            assert statuses(await ask(listener.port, listener.get() * 20, half_close=True)) == [200] * 20
        assert statuses(await ask(ports["ingest"].port, post() * 20, half_close=True)) == [202] * 20

    async def test_half_a_request_is_none(self, ports: Everything) -> None:
        for listener in ports.all.values():
            for half in (b"", listener.get()[:20], listener.get() + listener.get()[:20], post()[:-5]):
                answer = await ask(listener.port, half, half_close=True)
                assert len(statuses(answer)) <= half.count(b"\r\n\r\n"), (listener.name, half)

    async def test_a_poll_that_would_wait_is_answered_at_once(self, ports: Everything) -> None:
        port = ports["gateway"].port
        first = await ask(port, ports["gateway"].get(), half_close=True)
        tag = re.search(rb'ETag: ("[^"]*")', first)
        assert tag is not None
        waiting = ports["gateway"].get(f"If-None-Match: {tag[1].decode()}", path="/jmap/changes?account=alice&wait=300")
        async with within(SECONDS):
            assert statuses(await ask(port, waiting, half_close=True)) == [304]

    async def test_a_stream_goes_on(self, ports: Everything) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["gateway"].port)
        writer.write(ports["gateway"].get(path="/jmap/eventsource?account=alice"))
        writer.write_eof()
        async with within(SECONDS):
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            # The cursor from which on nothing is missed.
            while not (await reader.readline()).startswith(b"id: "):
                pass
            await ask(ports["ingest"].port, post(), half_close=True)
            while not (await reader.readline()).startswith(b"event: state"):
                pass
        writer.close()


@pytest.mark.parametrize("name", READING)
class TestFields:
    async def test_a_head_is_answered_as_a_get_is_and_without_a_body(self, ports: Everything, name: str) -> None:
        listener = ports[name]
        get, head = [await ask(listener.port, listener.get(CLOSE, method=method)) for method in ("GET", "HEAD")]
        (gotten, _, body), (told, _, nothing) = get.partition(b"\r\n\r\n"), head.partition(b"\r\n\r\n")
        assert body
        assert nothing == b""
        assert _names(told) == _names(gotten)
        assert re.findall(rb"(?i)content-length: \d+", told) == re.findall(rb"(?i)content-length: \d+", gotten)

    async def test_every_answer_has_one_date(self, ports: Everything, name: str) -> None:
        listener = ports[name]
        for request in (
            listener.get(CLOSE),
            listener.get(CLOSE, path="/nowhere"),
            listener.get(CLOSE, method="PATCH"),
            listener.get(CLOSE, "Origin: http://elsewhere.example", method="OPTIONS"),
            b"nonsense\r\n\r\n",
        ):
            head, _, _ = (await ask(listener.port, request, half_close=True)).partition(b"\r\n\r\n")
            (date,) = re.findall(rb"(?im)^date: (.*)\r?$", head + b"\r")
            assert parsedate_to_datetime(date.decode().strip()).tzinfo is not None


def _names(head: bytes) -> set[bytes]:
    return {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}


async def test_every_answer_of_the_gateway_itself_has_a_date(ports: Everything) -> None:
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: jmap",
    )
    get = ports["gateway"].get
    for status, request in (
        (101, get(*upgrade, path="/jmap/ws?account=alice")),
        (200, get(path="/jmap/eventsource?account=alice", method="HEAD")),
        (200, get()),
        (204, get("Origin: http://127.0.0.1", method="OPTIONS")),
        (400, get(path="/jmap/ws?account=alice")),
        (401, get(path="/jmap/changes")),
        (403, get("Origin: http://elsewhere.example")),
        (405, get(method="POST")),
    ):
        answer = await ask(ports["gateway"].port, request, half_close=True)
        assert statuses(answer)[0] == status
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.count(b"\r\nDate: ") == 1
        if status != 101:
            assert b"\r\nCache-Control: no-store, no-transform\r\n" in head
        if b"HEAD" in request:
            assert body == b""


async def test_ingest_keeps_an_idle_connection_for_as_long_as_is_set(tmp_path: Path) -> None:
    async def kept(seconds: int, until: float) -> float:
        async with everything(tmp_path, ingest_keep_alive_seconds=seconds) as ports:
            reader, writer = await asyncio.open_connection("127.0.0.1", ports["ingest"].port)
            writer.write(post())
            await reader.readuntil(b"}")
            began = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(until):
                    assert await reader.read() == b""
            writer.close()
            return time.monotonic() - began

    assert PublisherSettings().ingest_keep_alive_seconds == 75
    until = promised(2)
    assert 0.9 <= await kept(1, until) < until
    assert await kept(60, 2) >= 2


async def test_a_head_of_what_is_refused_has_no_body(ports: Everything) -> None:
    for listener in ports.all.values():
        for path in ("/nowhere", "/jmap/changes", "/jmap/ws", "/jmap/eventsource?ping=x&account=alice"):
            answer = await ask(listener.port, listener.get(CLOSE, method="HEAD", path=path))
            assert answer.startswith(b"HTTP/1.1 4"), (listener.name, path)
            assert answer.endswith(b"\r\n\r\n"), (listener.name, path)


async def test_a_stream_of_a_head_takes_no_place(ports: Everything) -> None:
    get = ports["gateway"].get(path="/jmap/eventsource?account=alice", method="HEAD")
    for _ in range(3):
        answer = await ask(ports["gateway"].port, get)
        assert statuses(answer) == [200]
        assert b"Content-Type: text/event-stream" in answer
