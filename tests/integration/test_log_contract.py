"""What every ChangeLog does, asked of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from tests.support.changelog import Reader, append_all, opened, reading, ready
from tests.support.waiting import eventually
from tidings.bus.log import ChangeLog, FromOffset, FromTime
from tidings.bus.memory import MemoryLog
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.errors import LogUnavailable, ReadLost

SHARDS = 4

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(params=["memory", "rabbitmq"])
def make_log(request: pytest.FixtureRequest) -> Callable[[], ChangeLog]:
    if request.param == "memory":
        return lambda: MemoryLog(SHARDS)
    url = request.getfixturevalue("bus_url")
    return lambda: RabbitMQLog(url, SHARDS)


@pytest.fixture
async def log(make_log: Callable[[], ChangeLog]) -> AsyncIterator[ChangeLog]:
    async with opened(make_log()) as log:
        await ready(log)
        yield log


async def test_what_was_appended_is_read_from_its_shard_only(log: ChangeLog) -> None:
    assert log.shards == SHARDS
    for shard in range(SHARDS):
        for number in range(3):
            await log.append(shard, b"%d.%d" % (shard, number))
    for shard in range(SHARDS):
        async with reading(log, shard, FromOffset(0)) as reader:
            await reader.until(3)
            assert reader.payloads == [b"%d.%d" % (shard, number) for number in range(3)]


@pytest.mark.parametrize("payload", [b"\0", bytes(range(256)), b"x" * 1_000_000], ids=["zero", "all bytes", "1 MB"])
async def test_payloads_come_back_to_the_byte(log: ChangeLog, payload: bytes) -> None:
    await log.append(0, payload)
    async with reading(log, 0, FromOffset(0)) as reader:
        await reader.until(1)
        assert reader.payloads == [payload]


async def test_concurrent_appends_are_all_there_in_ascending_order(log: ChangeLog) -> None:
    """More of them in one shard than a broker delivers without acks."""
    payloads = [b"%d" % number for number in range(1000)]
    await append_all(log, 1, payloads)
    async with reading(log, 1, FromOffset(0)) as reader:
        await reader.until(len(payloads))
        assert sorted(reader.payloads) == sorted(payloads)
        assert reader.offsets == list(range(reader.offsets[0], reader.offsets[0] + len(payloads)))


async def test_appends_that_follow_one_another_stay_in_order_under_load(log: ChangeLog) -> None:
    async def writer(shard: int) -> None:
        for number in range(50):
            await log.append(shard, b"%d" % number)

    await asyncio.gather(*(writer(shard) for shard in range(SHARDS)))
    for shard in range(SHARDS):
        async with reading(log, shard, FromOffset(0)) as reader:
            await reader.until(50)
            assert reader.payloads == [b"%d" % number for number in range(50)]


async def test_from_an_offset_is_inclusive_and_exact(log: ChangeLog) -> None:
    """Also in the middle of what a broker stores as one chunk."""
    await append_all(log, 0, [b"%d" % number for number in range(40)])
    async with reading(log, 0, FromOffset(0)) as reader:
        await reader.until(40)
        everything = reader.entries
    for first in (1, 7, 38, 39):
        async with reading(log, 0, FromOffset(everything[first].offset)) as reader:
            await reader.until(40 - first)
            assert reader.entries == everything[first:]


async def test_from_beyond_the_tail_delivers_nothing_and_stays(log: ChangeLog) -> None:
    await log.append(0, b"only")
    async with reading(log, 0, FromOffset(1000)) as beyond, reading(log, 0, FromOffset(0)) as reader:
        for number in range(10):
            await log.append(0, b"%d" % number)
        await reader.until(11)
        assert beyond.entries == []
        assert beyond.ended is None


async def first_after(log: ChangeLog, reader: Reader) -> None:
    """Append until the reader, which attaches when it likes, gets something."""
    while not reader.entries:
        assert reader.ended is None
        await log.append(0, b"after")
        await asyncio.sleep(0.02)


async def test_from_a_time_before_the_first_entry_is_everything(log: ChangeLog) -> None:
    for number in range(3):
        await log.append(0, b"%d" % number)
    async with reading(log, 0, FromTime(time.time() - 300)) as reader:
        await reader.until(3)
        assert reader.payloads == [b"0", b"1", b"2"]


async def test_from_a_time_between_leaves_out_what_is_older(log: ChangeLog) -> None:
    """Whole seconds: that is what AMQP's timestamps are made of."""
    await log.append(0, b"before")
    appended = time.time()
    await eventually(lambda: int(time.time()) > appended)
    between = int(time.time())
    await log.append(0, b"after")
    async with reading(log, 0, FromTime(between)) as reader:
        await reader.until(1)
        assert reader.payloads == [b"after"]


async def test_from_a_time_after_the_last_entry_is_the_tail(log: ChangeLog) -> None:
    await log.append(0, b"before")
    async with reading(log, 0, FromTime(time.time() + 60)) as reader:
        await first_after(log, reader)
        assert set(reader.payloads) == {b"after"}


async def test_readers_do_not_disturb_one_another(log: ChangeLog) -> None:
    async with reading(log, 2, FromOffset(0)) as one, reading(log, 2, FromOffset(0)) as other:
        for number in range(20):
            await log.append(2, b"%d" % number)
        await one.until(20)
        await one.stop()
        await log.append(2, b"last")
        await other.until(21)
        assert other.entries[:20] == one.entries
        assert one.ended is None


async def test_a_reader_waits_for_the_first_entry(log: ChangeLog) -> None:
    async with reading(log, 3, FromOffset(0)) as reader:
        await log.append(3, b"first")
        await reader.until(1)
        assert reader.payloads == [b"first"]


async def test_a_reader_closed_before_its_first_entry(log: ChangeLog) -> None:
    entries = log.read(0, FromOffset(0))
    await entries.aclose()
    await log.append(0, b"x")
    async with aclosing(log.read(0, FromOffset(0))) as entries:
        assert (await anext(entries)).payload == b"x"


async def test_another_log_sees_the_same_or_nothing(make_log: Callable[[], ChangeLog], log: ChangeLog) -> None:
    """A log in memory ends with its process; on a broker, whoever declares the same topology shares it."""
    await log.append(0, b"shared")
    async with opened(make_log()) as other:
        await ready(other)
        await other.append(0, b"back")
        async with reading(other, 0, FromOffset(0)) as reader:
            await reader.until(1 if isinstance(log, MemoryLog) else 2)
            assert reader.payloads == ([b"back"] if isinstance(log, MemoryLog) else [b"shared", b"back"])


async def test_closing_cuts_readers_off(log: ChangeLog) -> None:
    await log.append(0, b"x")
    async with reading(log, 0, FromOffset(0)) as reader, reading(log, 1, FromTime(time.time() + 60)) as quiet:
        await reader.until(1)
        await log.close()
        await reader.until_cut_off()
        await quiet.until_cut_off()


async def test_a_closed_log_takes_and_gives_nothing(log: ChangeLog) -> None:
    await log.close()
    assert not log.can_append
    assert not log.can_read
    with pytest.raises(LogUnavailable):
        await log.append(0, b"x")
    async with aclosing(log.read(0, FromOffset(0))) as entries:
        with pytest.raises(ReadLost):
            await anext(entries)
    await log.close()


async def test_a_log_never_opened_is_closed(make_log: Callable[[], ChangeLog]) -> None:
    log = make_log()
    assert not log.can_append
    assert not log.can_read
    with pytest.raises(LogUnavailable):
        await log.append(0, b"x")
    await log.close()


async def test_a_log_can_be_opened_again(log: ChangeLog) -> None:
    await log.append(0, b"x")
    await log.close()
    await log.open()
    await ready(log)
    async with reading(log, 0, FromOffset(0)) as reader:
        await reader.until(1)
        assert reader.payloads == [b"x"]
