from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiormq import spec
from aiormq.exceptions import ChannelClosed
from pamqp.base import Frame

from tests.support.amqp import deliver, delivery, frame, method
from tests.support.waiting import eventually
from tests.support.wiretap import Wiretap
from tidings.bus.log import Entry, FromOffset
from tidings.bus.rabbitmq import reader as module
from tidings.bus.rabbitmq.acks import ACK_EVERY, Acks
from tidings.bus.rabbitmq.reader import Reader
from tidings.bus.rabbitmq.splitting import BODY
from tidings.errors import ReadLost

CHANNEL = 2047
STARTED = (spec.Channel.OpenOk(), spec.Basic.QosOk(), spec.Basic.ConsumeOk("amq.ctag-x"))


class World:
    """A reader that the broker has begun to deliver to; `taken` is what was handed over, at once each time."""

    def __init__(self, first: int = 0) -> None:
        self.tap = Wiretap()
        self.taken: list[list[Entry]] = []
        self.busy: asyncio.Future[None] | None = None
        self.fault: Exception | None = None
        self.acks = Acks(self.tap.frames.send)
        self.reader = Reader(self.tap.frames, CHANNEL, self.acks, FromOffset(first), self._take)
        self.reader.open("tidings.v1.4.0")

    def _take(self, entries: Sequence[Entry]) -> asyncio.Future[None] | None:
        self.taken.append(list(entries))
        if self.fault is not None:
            raise self.fault
        return self.busy

    def say(self, *methods: Frame) -> None:
        self.tap.say(method(CHANNEL, *methods))

    def deliver(self, *offsets: int, payload: bytes = b"x") -> None:
        """Entries that one read of the socket brings; each has the tag that is its offset."""
        self.tap.say(b"".join(delivery(CHANNEL, offset, Entry(offset, payload)) for offset in offsets))

    @property
    def ended(self) -> str:
        error = self.reader.ended.result()
        assert isinstance(error, ReadLost)
        return str(error)


@pytest.fixture
async def world() -> World:
    world = World()
    world.say(*STARTED)
    world.tap.sent()
    return world


async def test_it_asks_for_everything_at_once_and_starts_when_the_broker_says_so() -> None:
    world = World(first=7)
    sent = [frame for channel, frame in world.tap.sent() if channel == CHANNEL]
    assert [each.name for each in sent] == ["Channel.Open", "Basic.Qos", "Basic.Consume"]
    assert isinstance(sent[2], spec.Basic.Consume)
    assert (sent[2].queue, sent[2].arguments, sent[2].no_ack) == ("tidings.v1.4.0", {"x-stream-offset": 7}, False)
    world.say(*STARTED[:2])
    assert not world.reader.started.done()
    world.say(*STARTED)
    assert world.reader.started.result() is None


async def test_what_one_read_brings_is_handed_over_together_and_acknowledged(world: World) -> None:
    world.deliver(1, 2, 3)
    world.deliver(4)
    assert world.taken == [[(1, b"x"), (2, b"x"), (3, b"x")], [(4, b"x")]]
    assert not world.reader.ended.done()
    await eventually(lambda: world.tap.unread)
    ((_, ack),) = world.tap.sent()
    assert isinstance(ack, spec.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (4, True)


async def test_what_is_before_the_start_is_acknowledged_and_not_handed_over() -> None:
    world = World(first=100)
    world.say(*STARTED)
    world.tap.sent()
    world.deliver(*range(1, ACK_EVERY + 1))
    assert world.taken == []
    assert world.tap.sent_names() == ["Basic.Ack"]


async def test_a_busy_reader_gets_the_rest_together_and_the_broker_no_ack_before(world: World) -> None:
    world.busy = first = asyncio.get_running_loop().create_future()
    world.deliver(*range(1, ACK_EVERY + 1))
    world.deliver(100)
    world.deliver(101, 102)
    assert len(world.taken) == 1
    assert world.tap.sent() == []
    world.busy = None
    first.set_result(None)
    await eventually(lambda: len(world.taken) == 2)
    assert world.taken[1] == [(100, b"x"), (101, b"x"), (102, b"x")]
    assert world.tap.sent_names() == ["Basic.Ack"]
    world.deliver(103)
    assert world.taken[2] == [(103, b"x")]


@pytest.mark.parametrize(("bound", "what"), [("MAX_WAITING", "4 entries"), ("MAX_WAITING_BYTES", "4 bytes")])
async def test_full_is_an_end_and_no_gap(world: World, bound: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, bound, 3)
    world.busy = asyncio.get_running_loop().create_future()
    for offset in range(1, 5):
        world.deliver(offset)
    assert not world.reader.ended.done()
    world.deliver(5)
    assert what in world.ended
    world.busy.set_result(None)
    await asyncio.sleep(0)
    assert world.taken == [[(1, b"x")]]


async def test_a_fault_of_whoever_takes_ends_the_reading_with_it(world: World) -> None:
    world.fault = ZeroDivisionError()
    world.deliver(1)
    world.deliver(2)
    assert world.reader.ended.result() is world.fault
    assert len(world.taken) == 1


async def test_a_fault_while_busy_ends_the_reading(world: World) -> None:
    world.busy = asyncio.get_running_loop().create_future()
    world.deliver(1)
    world.busy.set_exception(ZeroDivisionError())
    await asyncio.sleep(0)
    assert "ZeroDivisionError" in world.ended


async def test_a_cancel_by_the_broker_ends_it(world: World) -> None:
    world.deliver(1)
    world.say(spec.Basic.Cancel("amq.ctag-x", nowait=True))
    assert world.ended == "cancelled by the broker"
    world.deliver(2)
    assert len(world.taken) == 1


async def test_what_comes_together_with_the_end_is_not_handed_over(world: World) -> None:
    """It is read again, from the last that was."""
    cancel = method(CHANNEL, spec.Basic.Cancel("amq.ctag-x", nowait=True))
    world.tap.say(delivery(CHANNEL, 1, Entry(1, b"x")) + cancel)
    assert world.ended == "cancelled by the broker"
    assert world.taken == []


@pytest.mark.parametrize("started", [False, True])
async def test_a_channel_that_the_broker_closes_says_why_and_is_free(started: bool) -> None:
    world = World()
    if started:
        world.say(*STARTED)
    world.tap.sent()
    world.say(spec.Channel.Close(404, "NOT_FOUND - no queue", 60, 20))
    assert world.tap.sent_names() == ["Channel.CloseOk"]
    assert world.ended == "404 NOT_FOUND - no queue"
    assert isinstance(world.reader.ended.result().__cause__, ChannelClosed)
    assert world.reader.started.result() is (None if started else world.reader.ended.result())
    assert world.tap.frames.channels == {}
    world.reader.close()
    assert world.tap.sent() == []


@pytest.mark.parametrize("started", [False, True])
async def test_a_close_that_nobody_has_asked_for_ends_it(started: bool) -> None:
    world = World()
    if started:
        world.say(*STARTED)
    world.tap.sent()
    world.say(spec.Channel.CloseOk())
    assert "without a reason" in world.ended
    assert world.reader.started.result() is (None if started else world.reader.ended.result())
    # Nobody else has the number until the broker has heard.
    assert CHANNEL in world.tap.frames.channels
    world.reader.close()
    assert world.tap.sent_names() == ["Channel.Close"]
    world.say(spec.Channel.CloseOk())
    assert world.tap.frames.channels == {}


async def test_after_it_is_closed_what_is_on_its_way_is_dropped_until_the_broker_has_heard(world: World) -> None:
    half = delivery(CHANNEL, 1, Entry(1, b"x"))
    world.tap.say(half[:-5])
    world.reader.close()
    assert world.tap.sent_names() == ["Channel.Close"]
    world.tap.say(half[-5:])
    world.deliver(2)
    assert world.taken == []
    assert CHANNEL in world.tap.frames.channels
    world.say(spec.Channel.CloseOk())
    assert world.tap.frames.channels == {}


async def test_after_it_is_closed_nothing_is_acknowledged_on_its_channel(world: World) -> None:
    """The broker would close the connection."""
    world.deliver(1)
    world.reader.close()
    world.tap.sent()
    world.acks.owe(7, tag=1, count=1)
    await eventually(lambda: world.tap.unread)
    assert [channel for channel, _ in world.tap.sent()] == [7]


async def test_both_may_close_it_at_once(world: World) -> None:
    world.reader.close()
    world.say(spec.Channel.Close(406, "PRECONDITION_FAILED", 60, 80))
    assert world.tap.sent_names() == ["Channel.Close", "Channel.CloseOk"]
    assert CHANNEL in world.tap.frames.channels
    world.say(spec.Channel.CloseOk())
    assert world.tap.frames.channels == {}


async def test_closing_ends_what_it_waits_for(world: World) -> None:
    world.busy = asyncio.get_running_loop().create_future()
    world.deliver(1)
    world.reader.close()
    await asyncio.sleep(0)
    assert world.busy.cancelled()
    assert world.tap.sent_names() == ["Channel.Close"]


async def test_it_ends_with_the_connection(world: World) -> None:
    world.tap.frames.connection_lost(ConnectionResetError())
    assert world.ended == "the connection was closed"
    world.reader.close()
    assert world.tap.sent() == []


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (frame(BODY, CHANNEL, b"x"), "do not fit"),
        (deliver(CHANNEL, 1) + deliver(CHANNEL, 2), "do not fit"),
        (frame(1, CHANNEL, b"\x00\x3c\xff\xff"), "cannot be read"),
        (frame(1, CHANNEL, b""), "cannot be read"),
    ],
    ids=["body", "two methods", "unknown method", "empty"],
)
async def test_frames_that_cannot_come_end_it_and_nothing_else(world: World, stream: bytes, why: str) -> None:
    world.tap.say(stream)
    assert why in world.ended
    assert not world.tap.aborted


async def test_nothing_is_acknowledged_on_a_channel_that_the_broker_has_closed(world: World) -> None:
    world.deliver(1, 2)
    world.say(spec.Channel.Close(404, "NOT_FOUND", 0, 0))
    assert world.tap.sent_names() == ["Channel.CloseOk"]
    world.acks.owe(CHANNEL - 1, 1, 1)
    await eventually(lambda: world.tap.unread)
    assert [channel for channel, _ in world.tap.sent()] == [CHANNEL - 1]
