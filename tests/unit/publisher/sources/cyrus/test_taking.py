from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.waiting import comes_true
from tidings.ops import unix_socket
from tidings.publisher.sources.cyrus import taking
from tidings.publisher.sources.cyrus.notification import Notification
from tidings.publisher.sources.cyrus.taking import Datagrams, Lines

DATAGRAM = b"external\0EVENT\0\0\0\x000\0{}\0"
LINE = b"NOTIFY %(METHOD external CLASS EVENT OPTIONS () MESSAGE {2+}\r\n{} FILEPATH NIL)\r\n"
ANSWER = b"OK ()\r\n"
TAKEN = Notification(b"EVENT", b"{}")


class Owner:
    """Who owns a socket, with what it has taken and lost."""

    def __init__(self, kind: socket.SocketKind) -> None:
        self.kind = kind
        self.taken: list[Notification] = []
        self.lost: list[str] = []
        self.selector = selectors.DefaultSelector()
        make = Datagrams if kind is socket.SOCK_DGRAM else Lines
        sock = unix_socket.bind(Path("notify"), kind, "--socket")
        self.taker = make(sock, self.selector, self.taken.append, self.lost.append)

    def close(self) -> None:
        """End, unless the test has done so."""
        if self.selector.get_map():
            self.taker.close()
            self.selector.close()

    def turn(self) -> None:
        for key, _ in self.selector.select(0):
            key.data()

    def until(self, condition: Callable[[], object]) -> None:
        def holds() -> object:
            self.turn()
            return condition()

        assert comes_true(holds, 5.0), (self.taken, self.lost)

    def sender(self, *pieces: bytes) -> socket.socket:
        sender = socket.socket(socket.AF_UNIX, self.kind)
        sender.settimeout(60)
        sender.connect("notify")
        for piece in pieces:
            sender.sendall(piece)
        return sender


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def datagrams(here: None) -> Iterator[Owner]:
    owner = Owner(socket.SOCK_DGRAM)
    yield owner
    owner.close()


@pytest.fixture
def lines(here: None) -> Iterator[Owner]:
    owner = Owner(socket.SOCK_STREAM)
    yield owner
    owner.close()


def test_datagrams_are_taken_all_at_once(datagrams: Owner) -> None:
    for _ in range(5):
        datagrams.sender(DATAGRAM).close()
    datagrams.turn()
    assert (datagrams.taken, datagrams.lost) == ([TAKEN] * 5, [])


def test_one_turn_is_bounded(datagrams: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "MAX_AT_ONCE", 2)
    for _ in range(3):
        datagrams.sender(DATAGRAM).close()
    datagrams.turn()
    assert len(datagrams.taken) == 2
    datagrams.turn()
    assert len(datagrams.taken) == 3


def test_a_datagram_that_cannot_be_read_is_lost(datagrams: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    datagrams.sender(b"x").close()
    datagrams.turn()
    assert datagrams.lost == ["a datagram without the number of its options"]
    monkeypatch.setattr(taking, "READ_BYTES", 10)
    datagrams.sender(DATAGRAM).close()
    datagrams.turn()
    assert datagrams.lost[1:] == ["a datagram that is too long"]
    assert datagrams.taken == []


def test_what_waits_at_the_end_is_taken(datagrams: Owner) -> None:
    datagrams.sender(DATAGRAM).close()
    datagrams.taker.sweep(time.monotonic())
    datagrams.close()
    assert datagrams.taken == [TAKEN]


def test_a_line_is_taken_and_answered(lines: Owner) -> None:
    with lines.sender(LINE) as sender:
        lines.until(lambda: lines.taken)
        assert sender.recv(100) == ANSWER
        assert sender.recv(100) == b""
    assert (lines.taken, lines.lost) == ([TAKEN], [])


def test_a_line_comes_in_pieces(lines: Owner) -> None:
    with lines.sender(LINE[:10]) as sender:
        lines.turn()
        sender.sendall(LINE[10:])
        lines.until(lambda: lines.taken)
        assert sender.recv(100) == ANSWER


def test_nobody_waits_for_who_does_not_end_a_line(lines: Owner) -> None:
    with lines.sender(LINE[:10]):
        with lines.sender(LINE) as sender:
            lines.until(lambda: lines.taken)
            assert sender.recv(100) == ANSWER
        lines.taker.sweep(time.monotonic())
        assert lines.lost == []
        lines.taker.sweep(time.monotonic() + taking.MAX_SECONDS + 1)
        assert lines.lost == ["a line that took too long"]


def test_a_line_that_is_none_is_lost_and_answered(lines: Owner) -> None:
    with lines.sender(b")\r\n") as sender:
        lines.until(lambda: lines.lost)
        assert sender.recv(100) == ANSWER
    assert lines.lost == ["a line with a list that ends before it begins"]


def test_who_goes_within_a_line_had_something_to_tell(lines: Owner) -> None:
    lines.sender(LINE[:10]).close()
    lines.until(lambda: lines.lost)
    assert lines.lost == ["a connection that ended within a line"]


def test_who_only_looks_is_nobody(lines: Owner) -> None:
    lines.sender().close()
    with lines.sender(LINE):
        lines.until(lambda: lines.taken)
    assert lines.lost == []


def test_there_are_so_many_connections_at_most(lines: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "MAX_CONNECTIONS", 1)
    with lines.sender(LINE[:10]), lines.sender(LINE) as sender:
        lines.until(lambda: lines.lost)
        with pytest.raises(ConnectionResetError):
            sender.recv(100)
    assert lines.lost == ["too many connections"]


def test_at_the_end_whole_lines_are_taken(lines: Owner) -> None:
    with lines.sender(LINE) as sender, lines.sender(LINE[:10]) as other:
        lines.close()
        assert sender.recv(100) == other.recv(100) == ANSWER
    assert (lines.taken, lines.lost) == ([TAKEN], ["stopped within a line"])
