"""The client's side of the WebSocket on bare sockets: the load generator must cost less than what it measures."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from tests.support.frames import ZEROS, masked

_HEAD = (
    "GET {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: jmap\r\n\r\n"
)


SUBSCRIBE = masked(1, b'{"@type":"WebSocketPushEnable","dataTypes":null}', mask=ZEROS)
PONG = masked(10, mask=ZEROS)


def pong(payload: bytes) -> bytes:
    """The answer to a ping."""
    return masked(10, payload, mask=ZEROS)


def request(query: str, path: str = "/jmap/ws") -> bytes:
    """An upgrade."""
    return _HEAD.format(path=path, query=query).encode()


def connect(port: int, query: str, source: str = "127.0.0.1") -> socket.socket:
    """An upgraded and subscribed connection that has been told its first cursor."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(request(query) + SUBSCRIBE)
    received = b""
    while b'"pushState"' not in received or not received.endswith(b"}"):
        data = sock.recv(4096)
        if not data:
            raise ConnectionError(f"the gateway ended the connection: {received!r}")
        received += data
    if not received.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(received.decode(errors="replace"))
    sock.setblocking(False)
    return sock


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole frames in `data`: opcode and payload. Frames as small as ours arrive whole."""
    at = 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        yield data[at] & 0x0F, data[start : start + size]
        at = start + size
