"""A broker that is cut off, restarted, frozen, in alarm or not there yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from tests.support.broker import Broker, memory_alarm
from tests.support.changelog import append_at_last, opened, reading, ready
from tests.support.waiting import eventually, promised
from tidings.bus.log import ChangeLog, FromOffset
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.errors import LogUnavailable

SHARDS = 4
APPEND_SECONDS = 2.0
SLACK_SECONDS = 0.5
"""For the scheduler."""

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def url(own_broker: Broker) -> str:
    return own_broker.fresh_url()


@pytest.fixture
async def log(url: str) -> AsyncIterator[RabbitMQLog]:
    log = RabbitMQLog(url, SHARDS)
    async with opened(log):
        await ready(log)
        yield log


@contextmanager
def frozen(broker: Broker) -> Iterator[None]:
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


async def append_for_ever(log: ChangeLog) -> None:
    while True:
        await log.append(0, b"during")


async def test_a_cut_connection_cuts_readers_off_and_comes_back(own_broker: Broker, log: ChangeLog) -> None:
    await log.append(0, b"before")
    async with reading(log, 0, FromOffset(0)) as reader:
        await reader.until(1)
        with capture_logs() as lines:
            await asyncio.to_thread(own_broker.ctl, "close_all_connections", "--global", "for a test")
            await reader.until_cut_off()
            await eventually(lambda: "bus connected" in [line["event"] for line in lines])
    # One of each, though there are two connections.
    assert [line["event"] for line in lines] == ["bus unavailable", "bus connected"]
    assert "CONNECTION_FORCED" in lines[0]["reason"]
    assert lines[1]["failures"] == 2
    await append_at_last(log, 0, b"after")
    async with reading(log, 0, FromOffset(reader.offsets[0])) as again:
        await eventually(lambda: b"after" in again.payloads)
        assert again.distinct == [b"before", b"after"]


async def test_a_frozen_broker_fails_appends_in_time_and_recovers(own_broker: Broker, log: ChangeLog) -> None:
    async with reading(log, 0, FromOffset(0)) as reader:
        await log.append(0, b"before")
        await reader.until(1)
        with frozen(own_broker):
            began = time.monotonic()
            failed = await asyncio.gather(
                *(log.append(shard, b"frozen") for shard in range(SHARDS)), return_exceptions=True
            )
            assert time.monotonic() - began < promised(APPEND_SECONDS + SLACK_SECONDS)
            assert [type(error) for error in failed] == [LogUnavailable] * SHARDS
        await append_at_last(log, 0, b"after")
    async with reading(log, 0, FromOffset(0)) as reader:
        # An entry that was not confirmed in time may appear all the same.
        await eventually(lambda: b"after" in reader.payloads)
        assert reader.payloads[0] == b"before"
        assert set(reader.payloads) <= {b"before", b"frozen", b"after"}


async def test_detaching_from_a_frozen_broker_does_not_wait_and_harms_no_other_reader(
    own_broker: Broker, log: ChangeLog
) -> None:
    async with reading(log, 0, FromOffset(0)) as leaving, reading(log, 0, FromOffset(0)) as staying:
        await log.append(0, b"before")
        await asyncio.gather(leaving.until(1), staying.until(1))
        with frozen(own_broker):
            began = time.monotonic()
            await leaving.stop()
            assert time.monotonic() - began < promised(SLACK_SECONDS)
            with pytest.raises(LogUnavailable):
                await log.append(0, b"frozen")
        await append_at_last(log, 0, b"after")
        await eventually(lambda: b"after" in staying.payloads)
        assert staying.ended is None


async def test_a_broker_frozen_for_long_is_given_up_and_found_again(own_broker: Broker, log: ChangeLog) -> None:
    with capture_logs() as lines, frozen(own_broker):
        with pytest.raises(LogUnavailable):
            await log.append(0, b"x")
        await eventually(lambda: not log.can_append)
        began = time.monotonic()
        with pytest.raises(LogUnavailable):
            await log.append(0, b"x")
        assert time.monotonic() - began < promised(SLACK_SECONDS)
        await eventually(lambda: lines)
    assert {line["reason"] for line in lines} == {"no answer from the broker in time"}
    await append_at_last(log, 0, b"after")


@pytest.mark.parametrize("unsent", [0, 4_000_000], ids=["nothing unsent", "megabytes unsent"])
async def test_a_frozen_broker_does_not_delay_closing(own_broker: Broker, url: str, unsent: int) -> None:
    """`opened` measures: the library by itself waits until everything is sent."""
    with frozen(own_broker):
        own_broker.resume()
        async with opened(RabbitMQLog(url, SHARDS)) as log:
            await ready(log)
            async with reading(log, 0, FromOffset(0)) as reader:
                await log.append(0, b"x")
                await reader.until(1)
                own_broker.pause()
                if unsent:
                    with pytest.raises(LogUnavailable):
                        await log.append(0, bytes(unsent))
                began = time.monotonic()
            assert time.monotonic() - began < promised(1 + SLACK_SECONDS)


async def test_a_frozen_broker_does_not_delay_closing_while_connecting(own_broker: Broker, url: str) -> None:
    with frozen(own_broker):
        async with opened(RabbitMQLog(url, SHARDS)) as log:
            await asyncio.sleep(0)
            assert not log.can_append


async def test_an_alarm_blocks_appends_but_not_readers(own_broker: Broker, log: RabbitMQLog, url: str) -> None:
    await log.append(0, b"before")
    async with reading(log, 0, FromOffset(0)) as reader:
        await reader.until(1)
        with capture_logs() as lines:
            async with memory_alarm(own_broker):
                # A connection is blocked when it publishes; what it published then does not wait until it times out.
                with pytest.raises(LogUnavailable, match="alarm"):
                    await append_for_ever(log)
                assert log.blocked
                assert f":{own_broker.port}: the broker blocks publishers" in str(log.alarm)
                assert log.down == {}
                assert not log.can_append
                assert log.can_read
                assert reader.ended is None
                async with opened(RabbitMQLog(url, SHARDS)) as other:
                    await ready(other)
                    with pytest.raises(LogUnavailable, match="alarm"):
                        await other.append(0, b"x")
            await eventually(lambda: log.can_append)
            assert not log.alarm
        await log.append(0, b"after")
        await eventually(lambda: b"after" in reader.payloads)
    assert [line["event"] for line in lines if line["event"] in ("bus blocked", "bus unblocked")][-1] == "bus unblocked"
    assert any("alarm" in line["reason"] for line in lines if line["event"] == "bus blocked")


async def test_a_killed_broker_keeps_what_it_confirmed(own_broker: Broker, log: ChangeLog, url: str) -> None:
    """Also a broker that is away at the start is only a matter of waiting."""
    confirmed = [b"%d" % number for number in range(50)]
    for payload in confirmed:
        await log.append(1, payload)
    with capture_logs() as lines:
        async with reading(log, 1, FromOffset(0)) as reader:
            await reader.until(50)
            pending = asyncio.gather(*(log.append(2, b"?") for _ in range(20)), return_exceptions=True)
            await asyncio.to_thread(own_broker.kill)
            await reader.until_cut_off()
            assert {type(result) for result in await pending} <= {type(None), LogUnavailable}
        await eventually(lambda: not log.can_append and not log.can_read)
        # The channel is closed before the connection is.
        with pytest.raises(LogUnavailable, match=r"not connected|the channel is closed"):
            await log.append(1, b"x")
        async with opened(RabbitMQLog(url, SHARDS)) as late:
            await eventually(lambda: any("Connect call failed" in line.get("reason", "") for line in lines[1:]))
            own_broker.launch()
            await asyncio.to_thread(own_broker.wait_ready)
            await asyncio.gather(ready(log), ready(late))
            await append_at_last(late, 1, b"after")
    async with reading(log, 1, FromOffset(0)) as reader:
        await eventually(lambda: b"after" in reader.payloads)
        assert reader.distinct == [*confirmed, b"after"]
