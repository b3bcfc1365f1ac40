"""The client's end of a WebSocket on a bare socket: sends any bytes, reads the server's frames with `websockets`."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from websockets.frames import Frame
from websockets.streams import StreamReader

from tests.support.frames import masked
from tests.support.waiting import patient

DEADLINE: Final = 60.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE: Final = (
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


def fragments(opcode: int, payload: bytes, size: int) -> Iterator[bytes]:
    """A message in fragments of `size` bytes, the last with what is left."""
    for start in range(0, len(payload), size):
        last = start + size >= len(payload)
        yield masked(opcode if start == 0 else CONTINUATION, payload[start : start + size], fin=last)


def close(code: int, reason: bytes = b"") -> bytes:
    return masked(CLOSE, code.to_bytes(2, "big") + reason)


class Peer:
    """A connection to a server."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._reader = StreamReader()

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send piece by piece, each in a segment of its own as far as that is ours to say."""
        for piece in pieces:
            self.sock.sendall(piece)

    def head(self) -> str:
        """The head of the response, which nothing has followed yet."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.sock.recv(1)
            assert byte, f"the connection ended within the head: {head!r}"
            head += byte
        return head.decode()

    def frame(self) -> tuple[int, bytes]:
        """The next frame, which is unmasked and valid; its opcode and payload."""
        parser = Frame.parse(self._reader.read_exact, mask=False)
        while True:
            try:
                next(parser)
            except StopIteration as stop:
                return int(stop.value.opcode), bytes(stop.value.data)
            data = self.sock.recv(1 << 20)
            assert data, "the connection ended where a frame was expected"
            self._reader.feed_data(data)

    def frames(self, count: int) -> list[tuple[int, bytes]]:
        return [self.frame() for _ in range(count)]

    def ends(self) -> bool:
        """Whether nothing but a FIN comes."""
        return not self._reader.buffer and self.sock.recv(1) == b""

    def closes(self, code: int | None) -> None:
        """The next frame is a close with this code (None: without one), and the connection ends."""
        opcode, payload = self.frame()
        assert opcode == CLOSE, (opcode, payload[:100])
        assert (int.from_bytes(payload[:2], "big") if payload else None) == code, payload
        assert self.ends()


@contextmanager
def connected(port: int) -> Iterator[Peer]:
    with socket.create_connection(("127.0.0.1", port), timeout=patient(DEADLINE)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Peer(sock)


@contextmanager
def upgraded(port: int) -> Iterator[Peer]:
    with connected(port) as peer:
        peer.send([UPGRADE])
        assert peer.head().startswith("HTTP/1.1 101 ")
        yield peer
