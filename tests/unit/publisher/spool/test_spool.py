from __future__ import annotations

import asyncio
import errno
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.support.waiting import eventually, patient, within
from tidings.errors import LogError, LogFull, SettingsError, SpoolUnavailable
from tidings.publisher.metrics import SpoolMetrics
from tidings.publisher.spool.file import Contents, Entry, Hidden, SpoolFile
from tidings.publisher.spool.spool import Spool

SHARDS = 4
CAPACITY = 10_000


class Disk(SpoolFile):
    """A spool file whose disk a test breaks, or holds up."""

    broken = False
    unmarkable = False
    """As broken, and not even what is on it can be overwritten."""
    unreadable = False
    """The next look at it fails."""
    late = False
    """Fails only once the commit is on the disk."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, SHARDS)
        self.commits: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def _check(self) -> None:
        self.go.wait(patient(10))
        if self.broken:
            self.close()
            raise sqlite3.OperationalError("database or disk is full")

    def open(self) -> Contents:
        try:
            self._check()
        except sqlite3.Error as error:
            raise SettingsError(str(error)) from error
        return super().open()

    def write(self, stored: Iterable[Entry], discarded: Iterable[int]) -> float | None:
        entries = list(stored)
        self._check()
        oldest = super().write(entries, discarded)
        if self.late:
            self.late = False
            self.close()
            raise sqlite3.OperationalError("disk I/O error")
        self.commits.append(len(entries))
        return oldest

    def read(self, shard: int) -> list[Entry]:
        self._check()
        if self.unreadable:
            self.unreadable = False
            self.close()
            raise sqlite3.OperationalError("disk I/O error")
        return super().read(shard)

    def mark(self, shard: int, last_id: int) -> Hidden | None:
        if self.unmarkable:
            raise OSError(errno.EIO, "Input/output error")
        return super().mark(shard, last_id)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr("tidings.publisher.spool.spool.MENDED_SECONDS", 0.01)
    return Disk(tmp_path)


@pytest.fixture
async def spool(disk: Disk, registry: CollectorRegistry) -> AsyncIterator[Spool]:
    spool = Spool(disk, CAPACITY, SpoolMetrics(registry))
    await spool.start()
    yield spool
    await spool.stop()


async def outcome(task: asyncio.Task[None]) -> type[BaseException] | None:
    async with within(10):
        try:
            await task
        except LogError as error:
            return type(error)
    return None


async def test_a_shard_is_held_until_its_last_entry_is_discarded(spool: Spool, registry: CollectorRegistry) -> None:
    assert not spool.holds(1)
    await spool.store(1, b"first", 2)
    await spool.store(1, b"second", 1)
    assert spool.holds(1)
    assert not spool.holds(2)
    assert spool.shards == [1]
    first, second = await spool.read(1)
    assert (first.batch, second.batch) == (b"first", b"second")
    assert registry.get_sample_value("tidings_spool_changes") == 3
    assert registry.get_sample_value("tidings_spool_bytes") == first.size + second.size
    await spool.discard([first])
    assert spool.holds(1)
    await spool.discard([second])
    assert not spool.holds(1)
    assert registry.get_sample_value("tidings_spool_changes") == 0
    assert registry.get_sample_value("tidings_spool_bytes") == 0
    assert registry.get_sample_value("tidings_spool_oldest_seconds") == 0
    assert registry.get_sample_value("tidings_spool_stored_changes_total") == 3


async def test_a_shard_is_held_from_the_moment_that_something_is_on_its_way(spool: Spool, disk: Disk) -> None:
    disk.go.clear()
    task = asyncio.create_task(spool.store(1, b"x", 1))
    await asyncio.sleep(0)
    assert spool.holds(1)
    assert not task.done()
    disk.go.set()
    await task


async def test_a_shard_is_held_until_the_removal_is_on_disk(spool: Spool, disk: Disk) -> None:
    await spool.store(1, b"x", 1)
    entries = await spool.read(1)
    disk.go.clear()
    task = asyncio.create_task(spool.discard(entries))
    await asyncio.sleep(0)
    assert spool.holds(1)
    disk.go.set()
    await task
    assert not spool.holds(1)


async def test_what_waits_for_a_commit_shares_it(spool: Spool, disk: Disk) -> None:
    disk.go.clear()
    first = asyncio.create_task(spool.store(0, b"x", 1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(spool.store(shard % SHARDS, b"x", 1)) for shard in range(20)]
    await asyncio.sleep(0)
    disk.go.set()
    await asyncio.gather(first, *others)
    assert disk.commits == [1, 20]


def full(spool: Spool) -> bool:
    return spool.state.full


async def test_a_full_spool_takes_nothing_until_there_is_room(spool: Spool, registry: CollectorRegistry) -> None:
    await spool.store(0, bytes(CAPACITY // 2), 5)
    assert not full(spool)
    with pytest.raises(LogFull):
        await spool.store(1, bytes(CAPACITY // 2), 7)
    assert not spool.holds(1)
    assert full(spool)
    assert (spool.state.changes, spool.state.capacity, spool.state.failure) == (5, CAPACITY, None)
    assert registry.get_sample_value("tidings_spool_refused_changes_total", {"reason": "full"}) == 7
    await spool.discard(await spool.read(0))
    assert not full(spool)
    await spool.store(1, bytes(CAPACITY // 2), 7)


async def test_a_disk_that_fails_means_later_and_mends_itself(
    spool: Spool, disk: Disk, registry: CollectorRegistry
) -> None:
    await spool.store(0, b"kept", 1)
    with capture_logs() as lines:
        disk.broken = True
        with pytest.raises(SpoolUnavailable, match="disk is full"):
            await spool.store(0, b"lost", 1)
        assert not spool.accepts
        with pytest.raises(SpoolUnavailable, match="disk is full"):
            await spool.store(1, b"lost", 1)
        # Nothing may overtake what is in the file.
        assert spool.holds(0)
        assert not spool.holds(1)
        disk.broken = False
        await eventually(lambda: spool.accepts)
        assert spool.shards == [0]
        await spool.store(0, b"after", 1)
    assert [entry.batch for entry in await spool.read(0)] == [b"kept", b"after"]
    assert [line["event"] for line in lines] == ["the spool cannot be written", "the spool can be written again"]
    assert registry.get_sample_value("tidings_spool_refused_changes_total", {"reason": "failed"}) == 2
    assert registry.get_sample_value("tidings_spool_changes") == 2


async def test_everybody_who_waits_for_a_failing_disk_is_told(spool: Spool, disk: Disk) -> None:
    disk.go.clear()
    tasks = [asyncio.create_task(spool.store(shard, b"x", 1)) for shard in range(SHARDS)]
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(spool.store(shard, b"x", 1)) for shard in range(SHARDS)]
    await asyncio.sleep(0)
    disk.broken = True
    disk.go.set()
    assert [await outcome(task) for task in tasks] == [SpoolUnavailable] * 8
    disk.broken = False
    await eventually(lambda: spool.accepts)
    assert spool.shards == []


async def test_a_shard_whose_commit_failed_is_held_until_the_file_says_what_it_holds(spool: Spool, disk: Disk) -> None:
    disk.late = True
    with pytest.raises(SpoolUnavailable, match="disk I/O error"):
        await spool.store(1, b"told to have failed", 1)
    assert spool.holds(1)
    assert not spool.holds(2)
    await eventually(lambda: spool.accepts)
    assert [entry.batch for entry in await spool.read(1)] == [b"told to have failed"]
    assert spool.holds(1)


async def test_a_shard_is_held_no_longer_than_the_file_can_be_read(
    spool: Spool, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(disk, "probe", full)
    disk.broken = True
    with pytest.raises(SpoolUnavailable):
        await spool.store(1, b"lost", 1)
    assert spool.holds(1)
    disk.broken = False
    await eventually(lambda: not spool.holds(1))
    assert not spool.accepts


async def test_a_removal_that_fails_leaves_the_entries(spool: Spool, disk: Disk) -> None:
    await spool.store(0, b"x", 1)
    entries = await spool.read(0)
    disk.broken = disk.unmarkable = True
    with pytest.raises(SpoolUnavailable, match="Input/output error"):
        await spool.discard(entries)
    with pytest.raises(SpoolUnavailable, match="disk is full"):
        await spool.read(0)
    disk.broken = disk.unmarkable = False
    await eventually(lambda: spool.accepts)
    assert spool.holds(0)
    assert await spool.read(0) == entries
    await spool.discard(entries)
    assert not spool.holds(0)


async def test_what_the_log_has_confirmed_holds_no_shard_though_nothing_can_be_removed(
    spool: Spool, disk: Disk, registry: CollectorRegistry
) -> None:
    for batch in (b"first", b"second", b"third"):
        await spool.store(1, batch, 1)
    await spool.store(2, b"other", 1)
    first, second, third = await spool.read(1)
    disk.broken = True
    await spool.discard([first, second])
    assert spool.holds(1)
    await spool.discard([third])
    assert not spool.holds(1)
    assert spool.shards == [2]
    assert registry.get_sample_value("tidings_spool_changes") == 1
    # Nor does it come back once the file can be read.
    disk.broken = False
    await eventually(lambda: spool.accepts)
    assert spool.shards == [2]
    await spool.store(1, b"fourth", 1)
    assert [entry.batch for entry in await spool.read(1)] == [b"fourth"]


async def test_a_removal_that_fails_late_is_counted_once(spool: Spool, disk: Disk, registry: CollectorRegistry) -> None:
    """SQLite says that a commit has failed, and finds it in its log when it opens the file again."""
    for batch in (b"first", b"second"):
        await spool.store(1, batch, 1)
    first, second = await spool.read(1)
    disk.late = True
    await spool.discard([first])
    await eventually(lambda: spool.accepts)
    assert registry.get_sample_value("tidings_spool_changes") == 1
    assert spool.holds(1)
    await spool.discard([second])
    assert not spool.holds(1)
    assert registry.get_sample_value("tidings_spool_bytes") == 0


async def test_what_waits_while_the_file_fails_is_refused_and_not_counted(
    spool: Spool, disk: Disk, registry: CollectorRegistry
) -> None:
    disk.go.clear()
    stored = asyncio.create_task(spool.store(1, b"on its way", 1))
    await asyncio.sleep(0)
    reading = asyncio.create_task(spool.read(2))
    waiting = asyncio.create_task(spool.store(1, b"waits", 1))
    await asyncio.sleep(0)
    disk.unreadable = True
    disk.go.set()
    assert await outcome(stored) is None
    with pytest.raises(SpoolUnavailable):
        await reading
    waited = await outcome(waiting)
    await eventually(lambda: spool.accepts)
    there = [entry.batch for entry in await spool.read(1)]
    assert there == [b"on its way"] + [b"waits"] * (waited is None)
    assert registry.get_sample_value("tidings_spool_changes") == len(there)


async def test_what_was_only_marked_does_not_come_back_with_another_run(disk: Disk) -> None:
    first = Spool(disk, CAPACITY, SpoolMetrics(CollectorRegistry()))
    await first.start()
    await first.store(1, b"confirmed", 1)
    entries = await first.read(1)
    disk.broken = True
    await first.discard(entries)
    await first.stop()
    disk.broken = False
    later = Spool(disk, CAPACITY, SpoolMetrics(CollectorRegistry()))
    await later.start()
    assert later.shards == []
    await later.store(1, b"next", 1)
    assert [entry.batch for entry in await later.read(1)] == [b"next"]
    await later.stop()


async def test_an_empty_spool_has_no_oldest_change_whatever_is_left_in_its_file(
    spool: Spool, disk: Disk, registry: CollectorRegistry
) -> None:
    await spool.store(1, b"x", 1)
    entries = await spool.read(1)
    disk.broken = True
    await spool.discard(entries)
    assert registry.get_sample_value("tidings_spool_oldest_seconds") == 0


async def test_a_full_spool_is_an_error_told_once_a_minute_and_over_when_there_is_room(spool: Spool) -> None:
    with capture_logs() as lines:
        await spool.store(0, bytes(CAPACITY // 2), 1)
        await spool.store(0, bytes(CAPACITY // 4), 1)
        for _ in range(5):
            with pytest.raises(LogFull):
                await spool.store(0, bytes(CAPACITY // 2), 1)
        assert [(line["event"], line["log_level"]) for line in lines] == [("the spool is full", "error")]
        await spool.discard((await spool.read(0))[:1])
    assert [(line["event"], line["refused"]) for line in lines[1:]] == [("the spool has room again", 5)]


async def test_a_spool_that_is_turned_off_is_not_called_full(disk: Disk) -> None:
    off = Spool(disk, 0, SpoolMetrics(CollectorRegistry()))
    await off.start()
    with capture_logs() as lines, pytest.raises(LogFull):
        await off.store(0, b"x", 1)
    await off.stop()
    assert lines == []


async def test_another_run_finds_what_was_stored(disk: Disk) -> None:
    first = Spool(disk, CAPACITY, SpoolMetrics(CollectorRegistry()))
    await first.start()
    await first.store(3, b"x", 4)
    await first.store(3, b"y", 1)
    await first.stop()
    later = Spool(disk, CAPACITY, SpoolMetrics(CollectorRegistry()))
    with capture_logs() as lines:
        await later.start()
    assert lines[0]["changes"] == 5
    assert later.shards == [3]
    await later.store(3, b"z", 1)
    entries = await later.read(3)
    assert [entry.batch for entry in entries] == [b"x", b"y", b"z"]
    await later.discard(entries)
    assert later.shards == []
    await later.stop()


async def test_a_caller_that_goes_away_breaks_nobody(spool: Spool, disk: Disk) -> None:
    disk.go.clear()
    gone = asyncio.create_task(spool.store(0, b"gone", 1))
    stays = asyncio.create_task(spool.store(0, b"stays", 1))
    await asyncio.sleep(0.01)
    gone.cancel()
    disk.go.set()
    await stays
    assert [entry.batch for entry in await spool.read(0)] == [b"gone", b"stays"]


async def test_a_file_that_cannot_be_opened_ends_the_start(disk: Disk) -> None:
    disk.broken = True
    with pytest.raises(SettingsError):
        await Spool(disk, CAPACITY, SpoolMetrics(CollectorRegistry())).start()
