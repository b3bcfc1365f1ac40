from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry

from tests.support.waiting import eventually
from tidings.bus.log import Entry as LogEntry
from tidings.bus.log import Start, Take
from tidings.errors import LogUnavailable
from tidings.publisher.metrics import PublisherMetrics, SpoolMetrics
from tidings.publisher.spool.drain import Drain
from tidings.publisher.spool.file import SpoolFile
from tidings.publisher.spool.spool import Spool
from tidings.wire.batch import decode, encode, encode_reset
from tidings.wire.change import Change

SHARDS = 4


class FakeLog:
    """Takes what a test lets it take."""

    shards = SHARDS
    can_append = False
    can_read = True
    down: Mapping[str, str] = MappingProxyType({})
    alarm: str | None = None

    def __init__(self) -> None:
        self.appended: list[tuple[int, bytes]] = []
        self.takes = 1_000
        self.away: set[int] = set()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def append(self, shard: int, payload: bytes) -> None:
        await asyncio.sleep(0)
        if not self.takes or shard in self.away:
            raise LogUnavailable("not confirmed")
        self.takes -= 1
        self.appended.append((shard, payload))

    async def follow(self, shard: int, start: Start, take: Take) -> NoReturn:
        raise NotImplementedError

    def read(self, shard: int, start: Start) -> AsyncGenerator[LogEntry, None]:
        raise NotImplementedError

    def ids(self, shard: int) -> list[bytes]:
        return [decode(payload).id for each, payload in self.appended if each == shard]


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def file(tmp_path: Path) -> SpoolFile:
    return SpoolFile(tmp_path, SHARDS)


@pytest.fixture
async def spool(
    file: SpoolFile, log: FakeLog, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Spool]:
    for name in ("drain.LOOK_SECONDS", "drain.RETRY_SECONDS", "spool.MENDED_SECONDS"):
        monkeypatch.setattr(f"tidings.publisher.spool.{name}", 0.01)
    metrics = SpoolMetrics(registry)
    spool = Spool(file, 1_000_000, metrics)
    drain = Drain(spool, log, PublisherMetrics(registry), metrics)
    await spool.start()
    await drain.start()
    yield spool
    await drain.stop()
    await spool.stop()


def payload(number: int, appended: float = 1.0) -> bytes:
    change = Change("alice", {"Email": str(number)}, "MessageNew", str(number), "test")
    return encode(b"%016d" % number, appended, (change,))


def batch_ids(*numbers: int) -> list[bytes]:
    return [b"%016d" % number for number in numbers]


async def test_nothing_leaves_while_the_log_is_away(spool: Spool, log: FakeLog) -> None:
    await spool.store(0, payload(1), 1)
    for _ in range(5):
        await asyncio.sleep(0.01)
    assert log.appended == []
    log.can_append = True
    await eventually(lambda: not spool.holds(0))
    assert log.ids(0) == batch_ids(1)


async def test_each_shard_is_drained_in_order_with_its_ids(
    spool: Spool, log: FakeLog, registry: CollectorRegistry
) -> None:
    for number in range(20):
        await spool.store(number % 2, payload(number), 1)
    log.can_append = True
    await eventually(lambda: not spool.shards)
    assert log.ids(0) == batch_ids(*range(0, 20, 2))
    assert log.ids(1) == batch_ids(*range(1, 20, 2))
    assert registry.get_sample_value("tidings_spool_drained_changes_total") == 20
    assert registry.get_sample_value("tidings_publisher_changes_total") == 20


async def test_a_batch_is_stamped_when_it_is_handed_over(spool: Spool, log: FakeLog) -> None:
    await spool.store(0, payload(1, appended=5.0), 1)
    log.can_append = True
    await eventually(lambda: not spool.holds(0))
    assert decode(log.appended[0][1]).appended == pytest.approx(time.time(), abs=60)


async def test_what_has_everybody_look_is_handed_over_as_that(spool: Spool, log: FakeLog) -> None:
    await spool.store(0, encode_reset(b"r" * 16, 1.0), 1)
    log.can_append = True
    await eventually(lambda: not spool.holds(0))
    ((_, appended),) = log.appended
    assert decode(appended).is_reset
    assert decode(appended).appended > 1.0


async def test_what_is_no_batch_is_handed_over_for_readers_to_notice(spool: Spool, log: FakeLog) -> None:
    await spool.store(0, b"\xff", 1)
    log.can_append = True
    await eventually(lambda: not spool.holds(0))
    assert log.appended == [(0, b"\xff")]


async def test_a_shard_that_fails_holds_up_no_other_and_loses_nothing(spool: Spool, log: FakeLog) -> None:
    log.away = {0}
    await spool.store(0, payload(1), 1)
    await spool.store(1, payload(2), 1)
    log.can_append = True
    await eventually(lambda: not spool.holds(1))
    assert spool.holds(0)
    log.away = set()
    await eventually(lambda: not spool.holds(0))
    assert log.ids(0) == batch_ids(1)


async def test_what_was_confirmed_before_a_failure_is_not_appended_again(spool: Spool, log: FakeLog) -> None:
    for number in range(6):
        await spool.store(0, payload(number), 1)
    log.takes = 4
    log.can_append = True
    await eventually(lambda: len(log.appended) == 4)
    log.takes = 1_000
    await eventually(lambda: not spool.holds(0))
    assert log.ids(0) == batch_ids(*range(6))


@pytest.mark.parametrize("markable", [True, False])
async def test_what_the_disk_does_not_let_go_of_is_not_appended_again(
    spool: Spool, log: FakeLog, file: SpoolFile, monkeypatch: pytest.MonkeyPatch, markable: bool
) -> None:
    attempts = 0

    def fail(stored: object, discarded: object) -> float | None:
        nonlocal attempts
        attempts += 1
        file.close()
        raise sqlite3.OperationalError("disk I/O error")

    def fail_to_mark(shard: int, last_id: int) -> None:
        raise OSError("disk I/O error")

    await spool.store(0, payload(1), 1)
    with monkeypatch.context() as patched:
        patched.setattr(file, "write", fail)
        if not markable:
            patched.setattr(file, "mark", fail_to_mark)
        log.can_append = True
        await eventually(lambda: attempts > 2 or (markable and attempts and not spool.holds(0)))
        assert spool.holds(0) is not markable
    await eventually(lambda: not spool.holds(0))
    assert log.ids(0) == batch_ids(1)
