from __future__ import annotations

from aiormq import spec

from tests.support.amqp import by_library
from tests.support.waiting import eventually
from tidings.bus.rabbitmq.acks import ACK_EVERY, PREFETCH, Acks


class Sent(list[list[tuple[int, int]]]):
    """Channel and tag of the acks of each write."""

    def __call__(self, data: bytes) -> None:
        acks = []
        for channel, frame in by_library(data):
            assert isinstance(frame, spec.Basic.Ack)
            assert frame.multiple
            acks.append((channel, frame.delivery_tag or 0))
        self.append(acks)


async def test_acks_wait_for_one_another_and_none_stays_open() -> None:
    acks = Acks(sent := Sent())
    acks.owe(1, tag=3, count=3)
    acks.owe(2, tag=1, count=1)
    acks.owe(1, tag=4, count=1)
    assert sent == []
    await eventually(lambda: sent)
    assert sent == [[(1, 4), (2, 1)]]
    acks.owe(2, tag=2, count=1)
    await eventually(lambda: len(sent) == 2)
    assert sent[1] == [(2, 2)]


async def test_the_broker_is_acked_before_it_runs_out_of_credit() -> None:
    acks = Acks(sent := Sent())
    for tag in range(1, 2 * ACK_EVERY + 1):
        acks.owe(1, tag, 1)
    assert sent == [[(1, ACK_EVERY)], [(1, 2 * ACK_EVERY)]]
    acks.owe(1, tag=5 * ACK_EVERY, count=3 * ACK_EVERY)
    assert sent[2:] == [[(1, 5 * ACK_EVERY)]]
    assert 2 * ACK_EVERY < PREFETCH


async def test_nothing_is_acked_on_a_channel_that_is_closed() -> None:
    acks = Acks(sent := Sent())
    acks.owe(1, 1, 1)
    acks.owe(2, 1, 1)
    acks.forget(1)
    acks.forget(3)
    await eventually(lambda: sent)
    assert sent == [[(2, 1)]]
    acks.owe(1, 1, 1)
    acks.forget(1)
    acks.owe(2, 2, 1)
    await eventually(lambda: len(sent) == 2)
    assert sent[1] == [(2, 2)]
