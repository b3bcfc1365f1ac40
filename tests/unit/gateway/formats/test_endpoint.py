from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.frames import masked
from tidings.errors import ConnectionFailed
from tidings.gateway.codecs import websocket
from tidings.gateway.codecs.websocket import CloseCode, Message, Opcode
from tidings.gateway.formats.endpoint import UNFINISHED_BYTES, Endpoint
from tidings.gateway.model.connection import CLOSED, Connection, Handler
from tidings.ops.budget import Budget

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Room:
    """What is sent to whom, what is heard from whom, and how it ended."""

    def __init__(self) -> None:
        self.budget = Budget(10_000)
        self.now, self.tick = 100.0, 0.0
        self.endpoint = Endpoint(
            self.send,
            100,
            self.hear,
            self.end,
            count=self.count,
            kept=self.budget.account("messages"),
            clock=self.clock,
        )
        self.frames = 0
        self.sent: list[bytes] = []
        self.heard: list[tuple[Connection, Message]] = []
        self.ended: list[tuple[bytes, str]] = []

    @property
    def held(self) -> int:
        return self.budget.account("messages").held

    def connection(self) -> Connection:
        return Connection(-1, Handler())

    def send(self, connections: Sequence[Connection], frame: bytes) -> None:
        self.sent.append(frame)

    def hear(self, connection: Connection, message: Message) -> None:
        self.heard.append((connection, message))
        if message.opcode == Opcode.BINARY:
            raise ConnectionFailed(CloseCode.UNSUPPORTED_DATA, "binary", "text only")

    def end(self, connection: Connection, last: bytes, reason: str) -> None:
        connection.handler = CLOSED
        self.ended.append((last, reason))

    def clock(self) -> float:
        self.now += self.tick
        return self.now

    def count(self, connection: Connection) -> None:
        self.frames += 1
        if self.frames > 50:
            raise ConnectionFailed(CloseCode.POLICY_VIOLATION, "too_many", "too many")

    def receive(self, connection: Connection, *frames: bytes) -> None:
        self.endpoint.received(connection, memoryview(b"".join(frames)))


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


def test_an_endless_message_of_empty_fragments_is_counted_and_ended(room: Room) -> None:
    connection = room.connection()
    room.receive(connection, masked(TEXT, fin=False), masked(0, fin=False) * 100)
    ((last, why),) = room.ended
    assert (int.from_bytes(last[2:4], "big"), why) == (1008, "too_many")
    assert (room.frames, room.held) == (51, 0)


def test_what_is_unfinished_is_counted_in_bytes_until_it_is_finished(room: Room) -> None:
    connection = room.connection()
    room.receive(connection, masked(TEXT, b"x" * 60, fin=False))
    assert connection in room.endpoint
    assert list(room.endpoint.holdings()) == [(connection, UNFINISHED_BYTES + 60)]
    assert room.held == UNFINISHED_BYTES + 60
    room.receive(connection, masked(0, b"y" * 20)[:-10])
    assert room.held == UNFINISHED_BYTES + 70
    room.receive(connection, masked(0, b"y" * 20)[-10:])
    assert (room.held, connection in room.endpoint, len(room.heard)) == (0, False, 1)


def test_the_head_of_a_frame_is_not_counted_any_more_when_it_has_been_read(room: Room) -> None:
    connection = room.connection()
    room.receive(connection, masked(TEXT, b"xy")[:5])
    assert room.held == UNFINISHED_BYTES + 5
    room.receive(connection, masked(TEXT, b"xy")[5:7])
    assert room.held == UNFINISHED_BYTES + 1


@pytest.mark.parametrize("last", [masked(3), masked(BINARY), masked(CLOSE)])
def test_an_end_gives_back_what_was_counted(room: Room, last: bytes) -> None:
    connection = room.connection()
    room.receive(connection, masked(BINARY, b"half")[:-1])
    room.receive(connection, masked(BINARY, b"half")[-1:] if last == masked(BINARY) else b"?", last)
    assert len(room.ended) == 1
    assert room.held == 0


def test_without_room_the_message_that_began_first_is_ended(room: Room) -> None:
    crowd = [room.connection() for _ in range(9)]
    for connection in crowd:
        room.receive(connection, masked(TEXT, b"x" * 50, fin=False))
    assert room.ended == []
    newcomer = room.connection()
    room.receive(newcomer, masked(TEXT, b"x" * 50, fin=False))
    ((last, why),) = room.ended
    assert (int.from_bytes(last[2:4], "big"), why) == (1013, "messages_full")
    assert [one.handler is CLOSED for one in (*crowd, newcomer)] == [True] + [False] * 9
    room.receive(newcomer, masked(0))
    assert room.heard == [(newcomer, Message(Opcode.TEXT, b"x" * 50))]


def test_as_many_are_ended_as_are_needed(room: Room) -> None:
    room.budget.account("others").add(10_000 - 3 * UNFINISHED_BYTES - 10)
    small = [room.connection() for _ in range(3)]
    for connection in small:
        room.receive(connection, masked(TEXT, b"x", fin=False))
    large = room.connection()
    room.receive(large, masked(TEXT, b"x" * 90, fin=False))
    assert [why for _, why in room.ended] == ["messages_full"] * 2
    assert (room.held, large in room.endpoint, small[2] in room.endpoint) == (2 * UNFINISHED_BYTES + 91, True, True)


def test_without_any_room_the_newcomer_is_ended(room: Room) -> None:
    room.budget.account("others").add(10_000)
    one, two = room.connection(), room.connection()
    room.receive(one, masked(TEXT, b"x", fin=False))
    room.receive(two, masked(TEXT, b"x", fin=False))
    assert [why for _, why in room.ended] == ["messages_full"] * 2
    assert room.held == 0
    # What is whole at once needs none.
    room.receive(room.connection(), masked(TEXT, b"whole"))
    assert len(room.heard) == 1


def test_one_that_grows_does_not_end_itself_to_make_room(room: Room) -> None:
    room.budget.account("others").add(10_000 - UNFINISHED_BYTES - 10)
    one = room.connection()
    room.receive(one, masked(TEXT, b"x" * 10, fin=False))
    assert room.ended == []
    room.receive(one, masked(0, b"x", fin=False))
    assert [why for _, why in room.ended] == ["messages_full"]
    assert room.held == 0


def test_messages_are_overdue_in_the_order_in_which_they_began(room: Room) -> None:
    one, two, three = (room.connection() for _ in range(3))
    for connection in (one, two, three):
        room.receive(connection, masked(TEXT, b"x", fin=False))
        room.now += 10
    # Fragments and control frames do not put it off; another message has a time of its own.
    room.receive(one, masked(0, b"x", fin=False), masked(PING), masked(PONG)[:3])
    room.receive(two, masked(0, b"x"), masked(TEXT, b"x", fin=False))
    assert room.endpoint.overdue(room.now, 31) == []
    assert room.endpoint.overdue(room.now, 30) == [one]
    assert room.endpoint.overdue(room.now + 20, 30) == [one, three]
    assert room.endpoint.overdue(room.now + 30, 30) == [one, three, two]


def test_one_control_frame_after_another_is_no_endless_message(room: Room) -> None:
    one = room.connection()
    room.receive(one, masked(PING, b"1")[:3])
    room.now += 10
    room.receive(one, masked(PING, b"1")[3:], masked(PING, b"2")[:3])
    assert room.endpoint.overdue(room.now + 9, 10) == []
    assert room.endpoint.overdue(room.now + 10, 10) == [one]


def test_what_takes_too_long_is_left_for_another_turn_and_nothing_is_lost(room: Room) -> None:
    one, other = room.connection(), room.connection()
    pings = [masked(PING, bytes((number,))) for number in range(10)]
    said = b"".join(pings) + masked(TEXT, b"half", fin=False)
    turns, data = 0, said
    room.tick = 1.0
    while room.endpoint.received(one, memoryview(data), room.now + 2.5):
        turns, data = turns + 1, b""
        assert room.held > UNFINISHED_BYTES
        # Another's turn.
        room.receive(other, masked(PING, b"other"))
    assert turns >= 3
    mine = [message.payload for connection, message in room.heard if connection is one]
    assert mine == [bytes((number,)) for number in range(10)]
    room.receive(one, masked(0))
    assert room.heard[-1] == (one, Message(Opcode.TEXT, b"half"))
    assert room.held == 0


def test_nothing_is_left_where_the_last_frame_took_the_time(room: Room) -> None:
    one = room.connection()
    room.tick = 1.0
    assert not room.endpoint.received(one, memoryview(masked(PING)), room.now + 0.5)
    assert one not in room.endpoint
