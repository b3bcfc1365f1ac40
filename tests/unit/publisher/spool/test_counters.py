"""What the spool counts is what its file holds, whatever fails and when: a change that is not counted is overtaken."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.support.waiting import eventually
from tidings.bus.memory import MemoryLog
from tidings.errors import LogError
from tidings.publisher.metrics import PublisherMetrics, SpoolMetrics
from tidings.publisher.spool.drain import Drain
from tidings.publisher.spool.file import Entry, SpoolFile
from tidings.publisher.spool.spool import Spool
from tidings.wire.batch import decode, encode
from tidings.wire.change import Change

SHARDS = 2
STORES = 150
WRITERS = 8


class Failing(SpoolFile):
    """Fails now and then, at one moment of what it does."""

    def __init__(self, directory: Path, moment: str, dice: random.Random) -> None:
        super().__init__(directory, SHARDS)
        self.moment = moment
        self._dice = dice

    def _may_fail(self, moment: str) -> None:
        if moment in self.moment and self._dice.random() < 0.05:
            self.close()
            raise sqlite3.OperationalError(f"disk I/O error ({moment})")

    def read(self, shard: int) -> list[Entry]:
        self._may_fail("read")
        return super().read(shard)

    def write(self, stored: Iterable[Entry], discarded: Iterable[int]) -> float | None:
        self._may_fail("before")
        oldest = super().write(stored, discarded)
        self._may_fail("after")
        return oldest


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("moment", ["read", "before", "after", "read, before and after"])
async def test_nothing_is_counted_that_is_not_there_nor_the_other_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, seed: int
) -> None:
    for name in ("drain.LOOK_SECONDS", "drain.RETRY_SECONDS", "spool.MENDED_SECONDS"):
        monkeypatch.setattr(f"tidings.publisher.spool.{name}", 0.005)
    dice = random.Random(seed)
    registry = CollectorRegistry()
    file = Failing(tmp_path, moment, random.Random(seed))
    spool = Spool(file, 10**8, SpoolMetrics(registry))
    log = MemoryLog(SHARDS)
    await log.open()
    drain = Drain(spool, log, PublisherMetrics(registry), SpoolMetrics(CollectorRegistry()))
    await spool.start()
    await drain.start()
    accepted: set[str] = set()

    async def write(writer: int) -> None:
        for number in range(STORES):
            name = f"{writer}.{number}"
            try:
                await spool.store(writer % SHARDS, encode(bytes(16), 1.0, (Change("a", {}, "e", name, "s"),)), 1)
                accepted.add(name)
            except LogError:
                await asyncio.sleep(0.002)
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() * 0.004)

    await asyncio.gather(*map(write, range(WRITERS)))
    file.moment = ""
    await eventually(lambda: spool.accepts and not spool.shards)
    told = {change.id for shard in log._shards for _, payload in shard.entries for change in decode(payload).changes}
    assert accepted <= told
    assert registry.get_sample_value("tidings_spool_changes") == 0
    assert registry.get_sample_value("tidings_spool_bytes") == 0
    await drain.stop()
    await spool.stop()
    again = SpoolFile(tmp_path, SHARDS)
    assert again.open().entries == {}
    again.close()
