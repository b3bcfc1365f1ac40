"""Long messages, many fragments, and clients that do not read: what the limits allow is done, in bounded memory."""

from __future__ import annotations

import select
import subprocess
import threading
from pathlib import Path

import pytest

from tests.conformance.echo import MAX_MESSAGE_BYTES
from tests.conformance.peer import BINARY, CONTINUATION, PING, PONG, TEXT, Peer, close, fragments, upgraded
from tests.support.frames import masked

KIB, MIB = 1024, 1024 * 1024
STALLED_SECONDS = 1.0


def exchange(peer: Peer, stream: bytes, chop: int, count: int = 1) -> list[tuple[int, bytes]]:
    """Send in writes of `chop` bytes while reading: a server with flow control waits for the client to read."""
    pieces = (stream[at : at + chop] for at in range(0, len(stream), chop))
    sender = threading.Thread(target=peer.send, args=(pieces,))
    sender.start()
    try:
        return peer.frames(count)
    finally:
        sender.join()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize(
    ("size", "fragment"),
    [
        (MIB, MIB),
        (MIB, 64),
        (4 * MIB, KIB),
        (MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
        (MAX_MESSAGE_BYTES, 256),
    ],
)
def test_long_messages_in_few_or_many_fragments(opcode: int, size: int, fragment: int, port: int) -> None:
    word = "κόσμε ".encode()
    payload = word * (size // len(word)) + b"." * (size % len(word))
    stream = b"".join(fragments(opcode, payload, fragment))
    with upgraded(port) as peer:
        ((answered, echo),) = exchange(peer, stream, MIB)
        assert answered == opcode
        assert echo == payload
        peer.send([close(1000)])
        peer.closes(1000)


@pytest.mark.parametrize("chop", [1, 64, 997, 1300, 65_536])
def test_a_message_in_pieces_of_any_size(chop: int, port: int) -> None:
    payload = bytes(range(256)) * 256
    with upgraded(port) as peer:
        assert exchange(peer, masked(BINARY, payload), chop) == [(BINARY, payload)]


@pytest.mark.parametrize("size", [0, 16, 125, 126, 4096])
def test_a_thousand_messages_at_once(size: int, port: int) -> None:
    payload = b"x" * size
    with upgraded(port) as peer:
        stream = masked(TEXT, payload) * 1000 + masked(PING, b"end")
        assert exchange(peer, stream, MIB, 1001) == [*[(TEXT, payload)] * 1000, (PONG, b"end")]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_one_byte_too_many_fails(opcode: int, port: int) -> None:
    payload = b"x" * MAX_MESSAGE_BYTES
    too_many = [masked(opcode, payload, fin=False), masked(CONTINUATION, b"x")]
    with upgraded(port) as peer:
        peer.send(too_many)
        peer.closes(1009)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * KIB


@pytest.mark.parametrize("size", [1, 1000, MIB])
def test_who_sends_and_does_not_read_is_not_read_either(
    size: int, port: int, echo_server: subprocess.Popen[str]
) -> None:
    payload = b"x" * size
    message = masked(BINARY, payload)
    stream = message * (128 * MIB // len(message))
    before = resident(echo_server.pid)
    with upgraded(port) as peer:
        sent, view = 0, memoryview(stream)
        while sent < len(stream) and select.select([], [peer.sock], [], STALLED_SECONDS)[1]:
            sent += peer.sock.send(view[sent : sent + MIB])
        assert sent < len(stream), "everything was taken from a client that reads nothing"
        assert resident(echo_server.pid) - before < 32 * MIB
        # Now that it reads, nothing is lost of what was taken.
        rest = -sent % len(message)
        sender = threading.Thread(target=peer.send, args=([view[sent : sent + rest], close(1000)],))
        sender.start()
        for _ in range((sent + rest) // len(message)):
            opcode, echo = peer.frame()
            assert opcode == BINARY
            assert len(echo) == size
        peer.closes(1000)
        sender.join()
