"""What is particular to the log in memory; what it shares with the others is in test_log_contract.py."""

from __future__ import annotations

import time
from contextlib import aclosing

import pytest

from tests.support.changelog import opened, reading
from tidings.bus import memory
from tidings.bus.log import FromOffset, FromTime
from tidings.bus.memory import MAX_AGE_SECONDS, MAX_ENTRIES, MemoryLog
from tidings.errors import ReadLost


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_an_append_is_confirmed_and_read_at_once() -> None:
    async with opened(MemoryLog(1)) as log:
        assert log.can_append
        assert log.can_read
        await log.append(0, b"x")
        async with aclosing(log.read(0, FromOffset(0))) as entries:
            assert await anext(entries) == (0, b"x")


async def test_entries_beyond_the_number_kept_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_ENTRIES", 3)
    async with opened(MemoryLog(2)) as log:
        for number in range(5):
            await log.append(0, b"%d" % number)
        await log.append(1, b"other shard")
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(3)
            assert reader.entries == [(2, b"2"), (3, b"3"), (4, b"4")]
        async with reading(log, 1, FromOffset(0)) as reader:
            await reader.until(1)
            assert reader.entries == [(0, b"other shard")]


async def test_entries_beyond_the_bytes_kept_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 10)
    async with opened(MemoryLog(1)) as log:
        for payload in (b"aaaa", b"bbbb", b"cccc", b"dd", b"more than there is room for", b"e"):
            await log.append(0, payload)
            async with reading(log, 0, FromOffset(0)) as reader:
                await reader.until(1)
                assert reader.payloads[-1] == payload
                assert sum(map(len, reader.payloads)) <= max(10, len(payload))
        assert reader.entries == [(5, b"e")]


async def test_entries_beyond_the_age_kept_are_forgotten(clock: Clock) -> None:
    async with opened(MemoryLog(1)) as log:
        await log.append(0, b"old")
        clock.now += MAX_AGE_SECONDS
        await log.append(0, b"not too old")
        clock.now += 1
        await log.append(0, b"new")
        async with reading(log, 0, FromOffset(0)) as reader:
            await reader.until(2)
            assert reader.entries == [(1, b"not too old"), (2, b"new")]


async def test_a_reader_that_fell_behind_the_retention_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_ENTRIES", 2)
    async with opened(MemoryLog(1)) as log:
        await log.append(0, b"0")
        async with aclosing(log.read(0, FromOffset(0))) as entries:
            assert await anext(entries) == (0, b"0")
            for number in range(1, 6):
                await log.append(0, b"%d" % number)
            with pytest.raises(ReadLost, match="fell behind"):
                await anext(entries)


async def test_a_clock_set_back_hides_nothing(clock: Clock) -> None:
    async with opened(MemoryLog(1)) as log:
        began = clock.now
        await log.append(0, b"early")
        clock.now = began + 100
        await log.append(0, b"late")
        clock.now = began + 50
        await log.append(0, b"after the step")
        async with reading(log, 0, FromTime(began + 75)) as reader:
            await reader.until(2)
            assert reader.payloads == [b"late", b"after the step"]


def test_an_hour_of_markers_fits() -> None:
    assert MAX_ENTRIES > MAX_AGE_SECONDS / 2
