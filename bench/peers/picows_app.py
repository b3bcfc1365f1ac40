"""A push server on picows: HS256 token on the upgrade, a registry by account, JSON changes on a second port."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final, cast

import jwt
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

READ_BUFFER: Final = 512
PING_SECONDS: Final = 25
_accounts: dict[str, set[WSTransport]] = {}


class Parked(WSListener):  # type: ignore[misc]
    """A client, registered until it goes."""

    __slots__ = ("_account",)

    def __init__(self, account: str) -> None:
        self._account = account

    def on_ws_connected(self, transport: WSTransport) -> None:
        _accounts.setdefault(self._account, set()).add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        mine = _accounts.get(self._account, set())
        mine.discard(transport)
        if not mine:
            _accounts.pop(self._account, None)


def listener_of(request: WSUpgradeRequest, secret: str) -> Parked | None:
    """Who asks for an upgrade, or None for a refusal."""
    _, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.PyJWTError:
        return None
    return Parked(str(claims["sub"]))


class Changes(asyncio.Protocol):
    """HTTP/1.1 with Content-Length, kept open: no more than the load needs."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while (head := received.find(b"\r\n\r\n")) >= 0:
            fields = bytes(received[:head]).lower()
            size = int(fields.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if len(received) < head + 4 + size:
                return
            told = json.loads(received[head + 4 : head + 4 + size])
            del received[: head + 4 + size]
            _tell(told)
            self._transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def _tell(told: dict[str, dict[str, str]]) -> None:
    for account, states in told.items():
        change = {"@type": "StateChange", "changed": {account: states}}
        message = json.dumps(change, separators=(",", ":")).encode()
        for transport in tuple(_accounts.get(account, ())):
            transport.send(WSMsgType.TEXT, message)


async def main(port: int, ingest: int, secret: str) -> None:
    """Serve until ended."""
    await asyncio.get_running_loop().create_server(Changes, "127.0.0.1", ingest)
    server = await ws_create_server(
        lambda request: listener_of(request, secret),
        "127.0.0.1",
        port,
        backlog=4096,
        read_buffer_init_size=READ_BUFFER,
        enable_auto_ping=True,
        auto_ping_idle_timeout=PING_SECONDS,
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
