"""`python -m bench.stream_reader URL SHARDS OFFSET COUNT`: what bench.bare_reader does, by RabbitMQ's stream protocol.

URL leads to the port of the plugin rabbitmq_stream. One connection reads every shard from OFFSET on. It cuts chunks
into entries, takes off the AMQP 1.0 that RabbitMQ has put around each, decodes it, and gives credit for what each read
of the socket brought. It tells the CPU seconds that it has taken and the chunks that came: when it is attached, and
when it has read COUNT batches that are no markers.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from struct import Struct
from urllib.parse import unquote, urlparse

from bench.bare_reader import READ_BYTES
from tidings.bus.rabbitmq.topology import Topology
from tidings.wire import batch

CREDIT = 16
"""Chunks of a shard that may be on their way."""
FRAME_BYTES = 1_048_576
OK = 1

SUBSCRIBE, DELIVER, GIVE_CREDIT = 7, 8, 9
PEER_PROPERTIES, SASL_HANDSHAKE, SASL_AUTHENTICATE, TUNE, OPEN = range(0x11, 0x16)
RESPONSE = 0x8000
FROM_OFFSET = 4

_length = Struct(">I")
_key = Struct(">H")
_code = Struct(">8xH")
"""Of a response, behind key, version and correlation."""
_chunk = Struct(">4xB2xH20xQ16x")
"""Subscription, number of entries, offset of the first one."""

DESCRIBED, SMALL_ULONG, DATA = 0x00, 0x53, 0x75
FOUR_BYTES = 0x10
"""In a type of AMQP 1.0 that has a length: the length has four bytes and not one."""


def frames(sock: socket.socket) -> Iterator[bytes | None]:
    """Each frame without its length; None where what one read has brought is at its end."""
    buffer = bytearray()
    while data := sock.recv(READ_BYTES):
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= 4:
            (size,) = _length.unpack_from(buffer, at)
            if end - at < size + 4:
                break
            yield bytes(buffer[at + 4 : at + 4 + size])
            at += size + 4
        del buffer[:at]
        yield None


def framed(key: int, content: bytes) -> bytes:
    return struct.pack(">IHH", len(content) + 4, key, 1) + content


def string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def request(key: int, content: bytes = b"") -> bytes:
    """Frame a request. Its correlation is always 0: no two requests of different kinds wait for answers."""
    return framed(key, bytes(4) + content)


def attach(sock: socket.socket, url: str, shards: int, offset: int) -> Iterator[bytes | None]:
    """Connect, and ask for every shard; what comes then."""

    def wait(key: int) -> bytes:
        return next(frame for frame in coming if frame and _key.unpack_from(frame) == (key,))

    def ask(key: int, content: bytes = b"") -> None:
        sock.sendall(request(key, content))
        accept(wait(key | RESPONSE))

    broker = urlparse(url)
    coming = frames(sock)
    password = f"\0{unquote(broker.username or '')}\0{unquote(broker.password or '')}".encode()
    ask(PEER_PROPERTIES, bytes(4))
    ask(SASL_HANDSHAKE)
    ask(SASL_AUTHENTICATE, string("PLAIN") + _length.pack(len(password)) + password)
    wait(TUNE)
    sock.sendall(framed(TUNE, struct.pack(">II", FRAME_BYTES, 0)))
    ask(OPEN, string(unquote(broker.path[1:]) or "/"))
    start = struct.pack(">HQHI", FROM_OFFSET, offset, CREDIT, 0)
    sock.sendall(
        b"".join(
            request(SUBSCRIBE, bytes((shard,)) + string(Topology(shards).stream(shard)) + start)
            for shard in range(shards)
        )
    )
    return coming


def accept(frame: bytes) -> None:
    if _code.unpack_from(frame) != (OK,):
        raise ConnectionError(f"the broker refuses: {frame!r}")


def payload(data: bytes, at: int) -> bytes:
    """What the publisher sent: the data of an AMQP 1.0 message, behind the sections that RabbitMQ adds."""
    while True:
        described, descriptor, section, kind = data[at : at + 4]
        if (described, descriptor) != (DESCRIBED, SMALL_ULONG):
            raise ValueError(f"no section of a message: {data[at : at + 16]!r}")
        at += 4
        if kind & FOUR_BYTES:
            size, at = _length.unpack_from(data, at)[0], at + 4
        else:
            size, at = data[at], at + 1
        if section == DATA:
            return data[at : at + size]
        at += size


def tell(chunks: int) -> None:
    sys.stdout.write(f"{time.process_time()} {chunks}\n")
    sys.stdout.flush()


def main() -> None:
    url, *numbers = sys.argv[1:]
    shards, offset, count = map(int, numbers)
    broker = urlparse(url)
    sock = socket.create_connection((broker.hostname or "", broker.port or 5552))
    owed: Counter[int] = Counter()
    attached = chunks = seen = 0
    for frame in attach(sock, url, shards, offset):
        if frame is None:
            if owed:
                sock.sendall(b"".join(framed(GIVE_CREDIT, struct.pack(">BH", *credit)) for credit in owed.items()))
                owed.clear()
        elif _key.unpack_from(frame) == (DELIVER,):
            shard, entries, first = _chunk.unpack_from(frame)
            owed[shard] += 1
            chunks += 1
            at = _chunk.size
            for place in range(first, first + entries):
                (size,) = _length.unpack_from(frame, at)
                if place >= offset:
                    seen += not batch.decode(payload(frame, at + 4)).is_marker
                at += 4 + size
            if seen == count:
                tell(chunks)
                return
        else:
            accept(frame)
            attached += 1
            if attached == shards:
                tell(chunks)


if __name__ == "__main__":
    main()
