from __future__ import annotations

import asyncio

import pytest

from tidings.bus.log import Entry
from tidings.bus.rabbitmq.inbox import ACK_EVERY, MAX_WAITING, PREFETCH, Inbox, Taken
from tidings.errors import ReadLost


def entry(number: int) -> Entry:
    return Entry(number, b"%d" % number)


def filled(count: int) -> Inbox:
    inbox = Inbox()
    for tag in range(1, count + 1):
        inbox.put(tag, entry(tag))
    return inbox


async def test_entries_come_out_in_order() -> None:
    inbox = filled(3)
    assert [(await inbox.take()).entry for _ in range(3)] == [entry(1), entry(2), entry(3)]


async def test_take_waits() -> None:
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    inbox.put(7, entry(1))
    assert await taking == Taken(entry(1), ack=7)


async def test_acks_come_in_bulk_and_none_stays_open() -> None:
    count = 2 * ACK_EVERY + 5
    inbox = filled(count)
    acks = [(await inbox.take()).ack for _ in range(count)]
    assert [ack for ack in acks if ack is not None] == [ACK_EVERY, 2 * ACK_EVERY, count]


def test_the_broker_is_acked_before_it_runs_out_of_credit() -> None:
    assert ACK_EVERY < PREFETCH < MAX_WAITING


async def test_the_end_comes_after_what_was_delivered_before_it() -> None:
    inbox = filled(1)
    inbox.end("gone")
    inbox.put(2, entry(2))
    inbox.end("gone again")
    assert (await inbox.take()).entry == entry(1)
    with pytest.raises(ReadLost, match=r"^gone$"):
        await inbox.take()


async def test_full_is_an_end_and_no_gap() -> None:
    inbox = filled(MAX_WAITING + 1)
    assert [(await inbox.take()).entry for _ in range(MAX_WAITING)] == [entry(n + 1) for n in range(MAX_WAITING)]
    with pytest.raises(ReadLost, match=f"{MAX_WAITING} entries"):
        await inbox.take()
