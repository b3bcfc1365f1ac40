"""Clients of the gateway: `websockets`, which is not ours, and a bare socket for what that would not send."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection

from tests.support import waiting
from tests.support.waiting import patient, within

DEADLINE = 5.0

eventually = partial(waiting.eventually, seconds=DEADLINE)


class JmapClient:
    """Speaks RFC 8887 over `websockets`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.cursor: str | None = None

    async def send(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self, deadline: float = DEADLINE) -> dict[str, Any]:
        async with within(deadline):
            message = json.loads(await self.socket.recv())
        assert isinstance(message, dict)
        self.cursor = message.get("pushState", self.cursor)
        return message

    async def subscribe(self, types: Sequence[str] | None = None, since: str | None = None) -> dict[str, Any]:
        """Enable push; what the first StateChange says has changed."""
        await self.send(**{"@type": "WebSocketPushEnable", "dataTypes": types, "pushState": since})
        return await self.changed()

    async def changed(self, deadline: float = DEADLINE) -> dict[str, Any]:
        """The `changed` of the next message, which has to be a StateChange."""
        message = await self.receive(deadline)
        assert message["@type"] == "StateChange", message
        changed = message["changed"]
        assert isinstance(changed, dict)
        return changed

    async def closed(self) -> tuple[int, str]:
        """The close code and reason, once the connection has ended; messages before it are dropped."""
        async with within(DEADLINE):
            try:
                while True:
                    await self.socket.recv()
            except websockets.ConnectionClosed as error:
                received = error.rcvd
                assert received is not None, "closed without a close frame"
                return received.code, received.reason

    async def is_silent(self) -> bool:
        """Whether everything that was sent before this has been received: an echo comes next."""
        await self.send(
            **{"@type": "Request", "id": "echo", "using": [], "methodCalls": [["Core/echo", {"here": True}, "c"]]}
        )
        return str((await self.receive())["@type"]) == "Response"


@asynccontextmanager
async def jmap_client(url: str, **options: Any) -> AsyncIterator[JmapClient]:
    """Connect with the `jmap` subprotocol."""
    async with websockets.connect(url, subprotocols=[websockets.Subprotocol("jmap")], **options) as socket:
        yield JmapClient(socket)


@dataclass
class Event:
    """A server-sent event."""

    type: str
    id: str | None
    data: Any
    retry: int | None = None


class EventStream:
    """Reads `text/event-stream` (HTML section 9.2) as far as the gateway uses it."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.cursor: str | None = None
        self._lines = response.aiter_lines()

    async def event(self, deadline: float = DEADLINE) -> Event | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with within(deadline):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name.removeprefix(":"):
                    fields[name] = value
                elif fields:
                    break
        if not fields:
            return None
        self.cursor = fields.get("id", self.cursor)
        retry = int(fields["retry"]) if "retry" in fields else None
        return Event(fields.get("event", ""), fields.get("id"), json.loads(fields.get("data", "null")), retry)

    async def changed(self) -> dict[str, Any]:
        """The `changed` of the next event, which has to be a `state`."""
        event = await self.event()
        assert event is not None, "the stream ended"
        assert event.type == "state", event
        assert event.data["@type"] == "StateChange"
        changed = event.data["changed"]
        assert isinstance(changed, dict)
        return changed


@asynccontextmanager
async def event_stream(url: str, **headers: str) -> AsyncIterator[EventStream]:
    """Open an event stream; underscores in header names are hyphens."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        httpx2.AsyncClient(timeout=patient(DEADLINE)) as client,
        client.stream("GET", url, headers=fields) as response,
    ):
        yield EventStream(response)


class RawClient:
    """A socket that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> str:
        """The head of the response."""
        async with within(DEADLINE):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def status(self) -> int:
        return int((await self.head()).split(" ", 2)[1])

    async def rest(self, deadline: float = DEADLINE) -> bytes:
        """Everything until the end of the connection."""
        async with within(deadline):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def frame(self) -> tuple[int, bytes]:
        """The next, short or medium, frame: opcode and payload."""
        async with within(DEADLINE):
            first, length = await self.reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            return first & 0x0F, await self.reader.readexactly(length)

    async def close_code(self) -> int:
        """The code of the close frame, which has to come before the end."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawClient]:
    """Connect."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


def upgrade(path: str = "/jmap/ws?account=alice", **headers: str | None) -> bytes:
    """An upgrade request; a header given as None is left out, underscores in names are hyphens."""
    lines = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "jmap",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
