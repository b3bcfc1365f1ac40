from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.clients import masked
from tidings.errors import ConnectionFailed
from tidings.gateway import websocket
from tidings.gateway.connection import CLOSED, Connection
from tidings.gateway.endpoint import Endpoint
from tidings.gateway.websocket import CloseCode, Message, Opcode

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Room:
    """What is sent to whom, what is heard from whom, and how it ended."""

    def __init__(self) -> None:
        self.endpoint = Endpoint(self.send, 100, self.hear, self.end)
        self.sent: list[bytes] = []
        self.heard: list[tuple[Connection, Message]] = []
        self.ended: list[tuple[bytes, str]] = []

    def connection(self) -> Connection:
        return Connection(-1, _Handler())

    def send(self, connections: Sequence[Connection], frame: bytes) -> None:
        self.sent.append(frame)

    def hear(self, connection: Connection, message: Message) -> None:
        self.heard.append((connection, message))
        if message.opcode == Opcode.BINARY:
            raise ConnectionFailed(CloseCode.UNSUPPORTED_DATA, "binary", "text only")

    def end(self, connection: Connection, last: bytes, reason: str) -> None:
        connection.handler = CLOSED
        self.ended.append((last, reason))

    def receive(self, connection: Connection, *frames: bytes) -> None:
        self.endpoint.received(connection, memoryview(b"".join(frames)))


class _Handler:
    received = timed = unblocked = closed = lambda *_: None


@pytest.fixture
def room() -> Room:
    return Room()


def test_messages_of_connections_that_take_turns_do_not_mix(room: Room) -> None:
    one, two = room.connection(), room.connection()
    room.receive(one, masked(TEXT, b"a", fin=False))
    room.receive(two, masked(TEXT, b"x", fin=False))
    room.receive(one, masked(0, b"b")[:3])
    room.receive(two, masked(0, b"y"))
    room.receive(one, masked(0, b"b")[3:])
    assert room.heard == [(two, Message(Opcode.TEXT, b"xy")), (one, Message(Opcode.TEXT, b"ab"))]


def test_pings_are_heard_and_answered(room: Room) -> None:
    room.receive(room.connection(), masked(PING, b"p"), masked(PONG, b"q"))
    assert room.sent == [websocket.frame(Opcode.PONG, b"p")]
    assert [message.payload for _, message in room.heard] == [b"p", b"q"]


def test_a_close_is_answered_and_nothing_behind_it_heard(room: Room) -> None:
    connection = room.connection()
    room.receive(connection, masked(CLOSE, b"\x03\xe8bye"), masked(TEXT, b"late"), masked(PING))
    assert room.ended == [(b"\x88\x02\x03\xe8", "client_closed")]
    assert (room.sent, len(room.heard)) == ([], 1)


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        (masked(3), 1002, "protocol_error"),
        (masked(CLOSE, b"\x03"), 1002, "protocol_error"),
        (masked(TEXT, b"\xff"), 1007, "invalid_utf8"),
        (masked(TEXT, b"x" * 101), 1009, "message_too_big"),
        (masked(BINARY), 1003, "binary"),
    ],
)
def test_a_failure_ends_with_its_code_and_spoils_nobody_elses_message(
    room: Room, frame: bytes, code: int, reason: str
) -> None:
    room.receive(room.connection(), frame, masked(TEXT, b"late"))
    ((last, why),) = room.ended
    assert (int.from_bytes(last[2:4], "big"), why) == (code, reason)
    room.receive(room.connection(), masked(TEXT, b"mine"))
    assert room.heard[-1][1] == Message(Opcode.TEXT, b"mine")


def test_what_is_unfinished_is_forgotten_with_its_connection(room: Room) -> None:
    connection = room.connection()
    room.receive(connection, masked(TEXT, b"half", fin=False))
    room.endpoint.forget(connection)
    room.endpoint.forget(connection)
    room.receive(connection, masked(TEXT, b"new"))
    assert room.heard == [(connection, Message(Opcode.TEXT, b"new"))]
