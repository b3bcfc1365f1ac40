from __future__ import annotations

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st

from tests.support.amqp import frame, method, split
from tidings.bus.rabbitmq.splitting import BODY, END, FRAME_BYTES, METHOD, OVERHEAD, Splitter

OURS = 7
FRAMES = st.tuples(st.integers(1, 3), st.sampled_from([0, 1, OURS]), st.binary(max_size=40))


class Taker:
    def __init__(self) -> None:
        self.taken: list[tuple[int, bytes]] = []

    def frame(self, kind: int, data: bytes, at: int, stop: int) -> None:
        assert data[stop] == END
        self.taken.append((kind, data[at:stop]))


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_any_split_gives_everybody_their_own(frames: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(frame(kind, channel, payload) for kind, channel, payload in frames)
    taker = Taker()
    splitter = Splitter({OURS: taker})
    others = [splitter.feed(piece) for piece in split(stream, cuts)]
    assert taker.taken == [(kind, payload) for kind, channel, payload in frames if channel == OURS]
    assert b"".join(others) == b"".join(frame(*each) for each in frames if each[1] != OURS)
    assert not splitter.astray


def test_nothing_is_given_back_before_it_is_whole() -> None:
    whole = method(1, spec.Channel.OpenOk())
    splitter = Splitter({})
    assert [splitter.feed(whole[at : at + 1]) for at in range(len(whole))] == [b""] * (len(whole) - 1) + [whole]


def test_an_unfinished_frame_costs_once_what_it_is_long() -> None:
    taker = Taker()
    splitter = Splitter({OURS: taker})
    whole = frame(BODY, OURS, bytes(FRAME_BYTES - OVERHEAD))
    for at in range(0, len(whole), 10):
        splitter.feed(whole[at : at + 10])
    assert taker.taken == [(BODY, bytes(FRAME_BYTES - OVERHEAD))]


@pytest.mark.parametrize(
    "stream",
    [
        b"AMQP\x00\x00\x09\x01",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame(METHOD, OURS, b"abcd")[:-1] + b"\x00",
        frame(METHOD, 1, bytes(FRAME_BYTES + 1)),
    ],
    ids=["another version", "another protocol", "another end", "too long"],
)
def test_what_is_no_frame_is_given_back_as_it_is_from_there_on(stream: bytes) -> None:
    taker = Taker()
    splitter = Splitter({OURS: taker})
    before = frame(METHOD, OURS, b"before")
    assert splitter.feed(before + stream) == stream
    assert splitter.astray
    assert splitter.feed(before) == before
    assert taker.taken == [(METHOD, b"before")]


def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    splitter = Splitter({})
    splitter.longest = 100
    assert splitter.feed(frame(METHOD, 1, bytes(100))) != b""
    assert not splitter.astray
    head = frame(METHOD, 1, bytes(101))[:OVERHEAD]
    assert splitter.feed(head) == head
    assert splitter.astray
