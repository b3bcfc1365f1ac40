from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiormq import spec

from tests.support.amqp import frame, method
from tests.support.wiretap import Wiretap
from tidings.bus.rabbitmq.frames import ALIVE_SECONDS
from tidings.bus.rabbitmq.splitting import BODY, MESSAGE_BYTES, METHOD

OURS = 2047
HEARTBEAT = frame(8, 0, b"")


class Taker:
    def __init__(self, tap: Wiretap) -> None:
        self.taken: list[bytes] = []
        self.settled = 0
        self.is_lost = False
        self._tap = tap

    def frame(self, kind: int, data: bytes, at: int, stop: int) -> None:
        self.taken.append(data[at:stop])
        if len(self.taken) == 1:
            self._tap.frames.settle(self)

    def settle(self) -> None:
        self.settled = len(self.taken)

    def lost(self) -> None:
        self.is_lost = True


async def test_a_channel_settles_once_for_each_read() -> None:
    tap = Wiretap()
    tap.frames.channels[OURS] = taker = Taker(tap)
    tap.say(frame(BODY, OURS, b"1") + method(1, spec.Channel.OpenOk()) + frame(BODY, OURS, b"2"))
    assert taker.settled == 2
    assert taker.taken == [b"1", b"2"]
    assert await tap.library.read(100) == method(1, spec.Channel.OpenOk())


async def test_the_library_hears_that_the_broker_lives_when_all_that_comes_is_for_readers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The broker sends no heartbeats then. Before there are readers, they would fall into the handshake."""
    now = 1000.0
    monkeypatch.setattr("tidings.bus.rabbitmq.frames.time", SimpleNamespace(monotonic=lambda: now))
    tap = Wiretap()
    ours = frame(BODY, OURS, b"x")
    tap.say(HEARTBEAT[:3])
    now += 100
    tap.say(HEARTBEAT[3:])
    assert await tap.library.read(100) == HEARTBEAT
    tap.frames.channels[OURS] = Taker(tap)
    for _ in range(10):
        now += ALIVE_SECONDS / 4
        tap.say(ours)
    tap.frames.connection_lost(None)
    assert await tap.library.read(100) == 2 * HEARTBEAT


async def test_a_peer_that_stops_speaking_amqp_is_cut_off_and_the_library_told() -> None:
    tap = Wiretap()
    tap.frames.channels[OURS] = taker = Taker(tap)
    tap.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert tap.aborted
    tap.frames.send(b"nothing is sent any more")
    assert tap.sent() == []
    tap.frames.connection_lost(None)
    assert tap.frames.ending
    assert taker.is_lost
    assert (await tap.library.read()).startswith(b"HTTP/1.1")


@pytest.mark.parametrize(("agreed", "longest"), [(10, 10), (1_000_000, 1_000_000), (0, MESSAGE_BYTES)])
async def test_the_bound_is_what_was_agreed_on(agreed: int, longest: int) -> None:
    """The head of a frame is enough."""
    for size in (longest, longest + 1):
        tap = Wiretap()
        tap.frames.bound(agreed)
        tap.say(frame(METHOD, 1, b"x")[:3] + size.to_bytes(4, "big") + b"xx")
        assert tap.aborted == (size > longest)
