"""One connection, byte by byte. What many of them cost is tested in tests/hostile."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.support.connection import SECONDS, echo, wire
from tests.support.listeners import statuses
from tests.support.waiting import eventually, within
from tidings.ops.budget import Budget
from tidings.ops.http.counted import CONNECTION_BYTES
from tidings.ops.http.protocol import HEAD_SECONDS, PROBE, RETRY_SECONDS

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OFFER = b"Connection: upgrade\r\nUpgrade: h2c\r\n"


def told(answer: bytes) -> list[list[object]]:
    """What the application said, in order."""
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in answer.split(b"HTTP/1.1 ")[1:]]


A_POST = b"POST /%s HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS = [
    (GET, ["GET", "/", "", []]),
    (b"GET /b HTTP/1.1\r\nHost: a\r\n" + OFFER + b"\r\n", ["GET", "/b", "", []]),
    (A_POST % b"c" + b"Content-Length: 4\r\n\r\n\r\n\r\n", ["POST", "/c", "\r\n\r\n", []]),
    (A_POST % b"d" + OFFER + b"Content-Length: 4\r\n\r\nbody", ["POST", "/d", "body", []]),
    (A_POST % b"e" + CHUNKED + b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n", ["POST", "/e", "body", []]),
    (
        A_POST % b"f" + OFFER + CHUNKED + b"%x\r\n%s\r\n0\r\nX-Trailer: x\r\n\r\n" % (len(GET), GET),
        ["POST", "/f", GET.decode(), []],
    ),
    (b"\r\nGET http://b/g HTTP/1.1\r\nHost: a\r\n\r\n", ["GET", "/g", "", []]),
]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6), st.data())
def test_requests_are_understood_however_they_arrive(
    asked: list[tuple[bytes, list[object]]], data: st.DataObject
) -> None:
    sent = b"".join(request for request, _ in asked)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=12)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    async def talk() -> bytes:
        async with wire() as one:
            for piece in pieces:
                await one.send(piece)
            one.half_close()
            return await one.answer()

    assert told(asyncio.run(talk())) == [answer for _, answer in asked]


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(0, 40))
def test_whatever_comes_is_answered_or_ends(noise: bytes, cut: int) -> None:
    async def talk() -> bytes:
        async with wire() as one:
            await one.send(GET + REQUESTS[4][0][:-cut] + noise)
            one.half_close()
            return await one.answer()

    answer = asyncio.run(talk())
    assert statuses(answer)[0] == 200
    assert set(statuses(answer)[1:]) <= {200, 400, 431, 505}


async def test_a_wrong_request_is_refused_after_those_before_it() -> None:
    async with wire() as one:
        await one.send(REQUESTS[3][0] + b"nonsense\r\n\r\n" + GET)
        assert statuses(await one.answer()) == [200, 400]
    async with wire() as one:
        # All but the last byte of a body, so that the end of one request and the next are parsed together.
        await one.send(REQUESTS[3][0][:-1])
        await one.send(b"y" + GET.replace(b"Host", b"Ghost") + GET)
        assert statuses(await one.answer()) == [200, 400]


async def test_a_body_that_is_none_ends_its_request() -> None:
    async with wire() as one:
        await one.send(A_POST % b"x" + CHUNKED + b"2\r\nbo\r\nnonsense")
        assert statuses(await one.answer()) == [400]


async def test_the_rest_of_a_body_that_was_answered_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Budget().account("requests")
    loop = asyncio.get_running_loop()
    clock = loop.time

    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no")(scope, receive, send)

    async with wire(hasty, account) as one:
        await one.send(A_POST % b"x" + b"Content-Length: 100000\r\n\r\n" + b"x" * 1000)
        await eventually(lambda: account.held == CONNECTION_BYTES)
        await one.send(b"x" * 10_000)
        assert account.held == CONNECTION_BYTES
        # All at once it is later.
        monkeypatch.setattr(loop, "time", lambda: clock() + HEAD_SECONDS)
        assert statuses(await one.answer()) == [200]
    async with wire(hasty, account) as one:
        # One that does arrive is no reason to end the connection.
        await one.send(A_POST % b"x" + b"Content-Length: 10\r\n\r\n" + b"x" * 5)
        await one.send(b"x" * 5 + GET + GET.replace(b"/ ", b"/last ").replace(b"a\r\n", b"a\r\nConnection: close\r\n"))
        assert statuses(await one.answer()) == [200] * 3


async def test_an_idle_connection_ends_after_its_time_and_empty_lines_do_not_prolong_it() -> None:
    loop = asyncio.get_running_loop()
    async with wire(keep_alive_seconds=1) as one:
        began = loop.time()
        await one.send(GET)
        for _ in range(3):
            await one.send(b"\r\n")
        assert statuses(await one.answer()) == [200]
        assert 0.9 < loop.time() - began < SECONDS


async def test_what_a_connection_holds_is_counted_until_it_is_answered() -> None:
    account = Budget().account("requests")
    released = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await released.wait()
        await echo(scope, receive, send)

    async with wire(slow, account) as one:
        await eventually(lambda: account.held == CONNECTION_BYTES)
        await one.send(GET)
        await one.send(GET * 100)
        assert account.held == CONNECTION_BYTES + 101 * len(GET)
        released.set()
        await eventually(lambda: account.held == CONNECTION_BYTES)
        one.half_close()
        assert statuses(await one.answer()) == [200] * 101
    assert account.held == 0


async def test_without_room_a_request_is_told_to_come_again_and_a_connection_is_not_taken() -> None:
    account = Budget(CONNECTION_BYTES + len(GET)).account("requests")
    async with wire(account=account) as one:
        await one.send(GET + GET)
        answer = await one.answer()
        assert statuses(answer) == [503]
        assert f"\r\nRetry-After: {RETRY_SECONDS}\r\n".encode() in answer
    async with wire(account=account) as one, wire(account=account) as other:
        assert await other.answer() == b""
        await one.send(GET)
        one.half_close()
        assert statuses(await one.answer()) == [200]


async def test_nobody_is_connected_to_anybody() -> None:
    async with wire() as one:
        await one.send(b"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n" + GET)
        assert statuses(await one.answer()) == [400]


async def test_a_client_that_is_gone_is_told_to_the_application() -> None:
    seen: list[str] = []

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            seen.append(message["type"])
        seen.append("gone")

    async with wire(waiting) as one:
        await one.send(A_POST % b"x" + b"Content-Length: 100\r\n\r\nx")
        one.ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.ours.close()
        await eventually(lambda: seen and seen[-1] == "gone")


async def test_a_client_that_has_closed_and_reads_no_more_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.ops.http.protocol.PROBE_SECONDS", 0.05)
    gone = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with wire(waiting) as one:
        await one.send(GET)
        one.ours.close()
        async with within(SECONDS):
            await gone.wait()


@pytest.mark.parametrize(("version", "probed"), [(b"1.1", True), (b"1.0", False)])
async def test_a_client_that_still_reads_is_answered_however_long_it_takes(
    version: bytes, probed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.ops.http.protocol.PROBE_SECONDS", 0.01)
    released = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await released.wait()
        await echo(scope, receive, send)

    async with wire(slow) as one:
        await one.send(GET.replace(b"1.1", version))
        one.half_close()
        if probed:
            async with within(SECONDS):
                assert (await asyncio.get_running_loop().sock_recv(one.ours, len(PROBE))) == PROBE
        else:
            await asyncio.sleep(0.2)
        released.set()
        answer = await one.answer()
    assert probed or not answer.startswith(PROBE)
    assert statuses(answer) == [200]
