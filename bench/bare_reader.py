"""`python -m bench.bare_reader URL SHARDS OFFSET COUNT ...`: what reading the log is compared with: a bare socket.

It reads every shard from `first` or `next` on, decodes each entry, and acknowledges what each read of the socket
brought. It tells the CPU seconds that it has taken when it is attached, and when it has read each COUNT of batches that
are no markers.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from urllib.parse import unquote, urlparse

from pamqp import commands as spec
from pamqp.base import Frame
from pamqp.frame import marshal

from tidings.bus.rabbitmq.topology import Topology
from tidings.wire import batch

READ_BYTES = 262_144
CHANNEL = 1
OFFSET = b"x-stream-offset"


def frames(sock: socket.socket) -> Iterator[tuple[int, bytes] | None]:
    """Type and payload of each frame; None where what one read has brought is at its end."""
    buffer = bytearray()
    while data := sock.recv(READ_BYTES):
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= 8:
            kind, _, size = struct.unpack_from(">BHI", buffer, at)
            if end - at < size + 8:
                break
            yield kind, bytes(buffer[at + 7 : at + 7 + size])
            at += size + 8
        del buffer[:at]
        yield None


def attach(sock: socket.socket, url: str, shards: int, offset: str) -> Iterator[tuple[int, bytes] | None]:
    """Connect, and consume every shard; what comes then."""

    def ask(channel: int, *methods: Frame) -> None:
        sock.sendall(b"".join(marshal(method, channel) for method in methods))
        while next(coming) is None:
            pass

    broker = urlparse(url)
    coming = frames(sock)
    sock.sendall(b"AMQP\x00\x00\x09\x01")
    next(coming)
    password = f"\0{unquote(broker.username or '')}\0{unquote(broker.password or '')}"
    ask(0, spec.Connection.StartOk({}, "PLAIN", password, "en_US"))
    ask(0, spec.Connection.TuneOk(2047, 131_072, 0), spec.Connection.Open(unquote(broker.path[1:]) or "/"))
    ask(CHANNEL, spec.Channel.Open())
    ask(CHANNEL, spec.Basic.Qos(prefetch_count=256))
    for shard in range(shards):
        stream, tag = Topology(shards).stream(shard), str(shard)
        ask(CHANNEL, spec.Basic.Consume(queue=stream, consumer_tag=tag, arguments={"x-stream-offset": offset}))
    return coming


def tell() -> None:
    sys.stdout.write(f"{time.process_time()}\n")
    sys.stdout.flush()


def main() -> None:
    url, shards, offset, *counts = sys.argv[1:]
    broker = urlparse(url)
    sock = socket.create_connection((broker.hostname or "", broker.port or 5672))
    coming = attach(sock, url, int(shards), offset)
    tell()
    tag = acked = seen = size = 0
    wanted = list(map(int, counts))
    body = b""
    for frame in coming:
        if frame is None:
            if tag > acked:
                sock.sendall(struct.pack(">BHIHHQBB", 1, CHANNEL, 13, 60, 80, tag, 1, 0xCE))
                acked = tag
            continue
        kind, payload = frame
        if kind == 1:
            tag = int.from_bytes(payload[5 + payload[4] : 13 + payload[4]], "big")
        elif kind == 2:
            size, body = int.from_bytes(payload[4:12], "big"), b""
            at = payload.index(OFFSET) + len(OFFSET) + 1
            int.from_bytes(payload[at : at + 8], "big")
        elif kind == 3:
            body = body + payload if body else payload
            if len(body) == size:
                seen += not batch.decode(body).is_marker
                if wanted and seen == wanted[0]:
                    del wanted[0]
                    tell()


if __name__ == "__main__":
    main()
