from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from tests.support.publisher import batch_traces, eventually
from tests.support.spans import KeptSpans
from tests.support.waiting import within
from tidings.bus.log import ChangeLog, Entry, Start, Take
from tidings.errors import LogError, LogFull, LogUnavailable, SettingsError, SpoolUnavailable
from tidings.ops.budget import Budget, Level
from tidings.publisher.batcher import MAX_BATCH_BYTES, MAX_BATCH_CHANGES, MAX_WAITING_CHANGES, Batcher
from tidings.publisher.change_traces import ChangeTraces
from tidings.publisher.metrics import PublisherMetrics, SpoolMetrics
from tidings.publisher.spool.file import Contents, SpoolFile
from tidings.publisher.spool.file import Entry as SpoolEntry
from tidings.publisher.spool.spool import LAST_ENTRIES, Spool
from tidings.wire.batch import Batch, decode, is_traced
from tidings.wire.change import EVERY_ACCOUNT, Change, anything_changed, held_bytes
from tidings.wire.shard import shard_of
from tidings.wire.tracecontext import trace_id, traced

SHARDS = 4
ALICE, BOB = "alice", "bob"


class FakeLog:
    """Confirms each append at once, or when the test says how it went."""

    shards = SHARDS
    can_append = True
    can_read = True
    down: Mapping[str, str] = MappingProxyType({})
    alarm: str | None = None

    def __init__(self) -> None:
        self.appended: list[tuple[int, Batch, int]] = []
        self.holding = False
        self._held: list[asyncio.Future[None]] = []
        self._changed = asyncio.Event()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def append(self, shard: int, payload: bytes) -> None:
        self.appended.append((shard, decode(payload), len(payload)))
        self._changed.set()
        if self.holding:
            outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._held.append(outcome)
            await outcome

    async def follow(self, shard: int, start: Start, take: Take) -> NoReturn:
        raise NotImplementedError

    def read(self, shard: int, start: Start) -> AsyncGenerator[Entry, None]:
        raise NotImplementedError

    async def attempts(self, count: int) -> None:
        """Wait until so many appends were tried."""
        async with within(5):
            while len(self.appended) < count:
                self._changed.clear()
                await self._changed.wait()

    def settle(self, error: Exception | None = None) -> None:
        """Let the oldest held append return or raise."""
        outcome = self._held.pop(0)
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    def ids(self, account: str) -> list[list[str]]:
        """The change ids in each batch of an account's shard."""
        return [
            [change.id for change in batch.changes]
            for shard, batch, _ in self.appended
            if shard == shard_of(account, SHARDS)
        ]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def batcher(log: ChangeLog, clock: Clock, registry: CollectorRegistry) -> AsyncIterator[Batcher]:
    batcher = Batcher(log, PublisherMetrics(registry), batch_traces(), clock=clock)
    await batcher.start()
    yield batcher
    await batcher.stop()


def change(account: str, number: int | str, source: str = "test") -> Change:
    return Change(account, {"Email": None}, "MessageNew", str(number), source)


async def test_a_change_of_every_account_goes_to_every_shard_by_itself(batcher: Batcher, log: FakeLog) -> None:
    log.holding = True
    first = await submitted(batcher, change(ALICE, 1))
    await log.attempts(1)
    everybody = anything_changed(EVERY_ACCOUNT, source="test", event_id="1", ingested=1.0)
    then = await submitted(batcher, change(ALICE, 2), everybody, change(ALICE, 3))
    log.holding = False
    log.settle()
    await asyncio.gather(first, then)
    mine = [batch for shard, batch, _ in log.appended if shard == shard_of(ALICE, SHARDS)]
    assert [(batch.is_reset, [change.id for change in batch.changes]) for batch in mine[1:]] == [
        (False, ["2"]),
        (True, []),
        (False, ["3"]),
    ]
    assert {shard for shard, batch, _ in log.appended if batch.is_reset} == set(range(SHARDS))


async def submitted(batcher: Batcher, *changes: Change) -> asyncio.Task[None]:
    """A submit that has handed its changes over."""
    task = asyncio.create_task(batcher.submit(changes))
    await asyncio.sleep(0)
    return task


async def held(batcher: Batcher, log: FakeLog) -> asyncio.Task[None]:
    """The submit of alice's first change, whose batch the log neither confirms nor refuses yet."""
    log.holding = True
    task = await submitted(batcher, change(ALICE, 1))
    await log.attempts(1)
    return task


async def outcome(task: asyncio.Task[None]) -> type[BaseException] | None:
    async with within(5):
        try:
            await task
        except LogError as error:
            return type(error)
    return None


def test_the_accounts_of_these_tests_are_in_different_shards() -> None:
    assert shard_of(ALICE, SHARDS) != shard_of(BOB, SHARDS)


async def test_a_change_is_appended_at_once_and_alone(batcher: Batcher, log: FakeLog) -> None:
    await batcher.submit([change(ALICE, 1)])
    ((shard, batch, _),) = log.appended
    assert shard == shard_of(ALICE, SHARDS)
    assert batch.changes == (change(ALICE, 1),)
    assert len(batch.id) == 16


async def test_nothing_is_confirmed_at_once(batcher: Batcher, log: FakeLog) -> None:
    await batcher.submit([])
    assert log.appended == []


async def test_what_arrives_before_the_confirm_is_the_next_batch(batcher: Batcher, log: FakeLog) -> None:
    log.holding = True
    tasks = [await submitted(batcher, change(ALICE, 0))]
    await log.attempts(1)
    tasks += [await submitted(batcher, change(ALICE, number)) for number in (1, 2, 3)]
    assert log.ids(ALICE) == [["0"]]
    log.settle()
    await log.attempts(2)
    assert log.ids(ALICE) == [["0"], ["1", "2", "3"]]
    assert tasks[0].done()
    assert not any(task.done() for task in tasks[1:])
    log.settle()
    assert [await outcome(task) for task in tasks] == [None] * 4


async def test_shards_do_not_wait_for_each_other(batcher: Batcher, log: FakeLog) -> None:
    alice = await held(batcher, log)
    log.holding = False
    await batcher.submit([change(BOB, 2)])
    assert not alice.done()
    log.settle()
    assert await outcome(alice) is None


async def test_a_submit_is_done_when_every_shard_has_confirmed(batcher: Batcher, log: FakeLog) -> None:
    log.holding = True
    task = await submitted(batcher, change(ALICE, 1), change(BOB, 2), change(ALICE, 3))
    await log.attempts(2)
    assert log.ids(ALICE) == [["1", "3"]]
    log.settle()
    await asyncio.sleep(0)
    assert not task.done()
    log.settle()
    assert await outcome(task) is None


async def test_a_batch_is_bounded_in_changes(batcher: Batcher, log: FakeLog) -> None:
    await batcher.submit([change(ALICE, number) for number in range(MAX_BATCH_CHANGES + 1)])
    assert [len(ids) for ids in log.ids(ALICE)] == [MAX_BATCH_CHANGES, 1]


async def test_a_batch_is_bounded_in_bytes(batcher: Batcher, log: FakeLog) -> None:
    await batcher.submit([change(ALICE, number, source="x" * 1000) for number in range(600)])
    assert len(log.appended) > 2
    assert all(size <= MAX_BATCH_BYTES for _, _, size in log.appended)
    assert [number for ids in log.ids(ALICE) for number in ids] == [str(number) for number in range(600)]


async def test_an_unconfirmed_batch_is_appended_once_more_with_its_id(
    batcher: Batcher, log: FakeLog, registry: CollectorRegistry
) -> None:
    task = await held(batcher, log)
    log.settle(LogUnavailable("returned"))
    await log.attempts(2)
    log.settle()
    assert await outcome(task) is None
    assert log.appended[0] == log.appended[1]
    assert registry.get_sample_value("tidings_publisher_batches_total", {"outcome": "retried"}) == 1
    assert registry.get_sample_value("tidings_publisher_batches_total", {"outcome": "confirmed"}) == 1


async def test_a_batch_fails_after_one_retry_and_takes_down_what_waits_behind_it(
    batcher: Batcher, log: FakeLog, registry: CollectorRegistry
) -> None:
    first = await held(batcher, log)
    behind = await submitted(batcher, change(ALICE, 2))
    both = await submitted(batcher, change(BOB, 3), change(ALICE, 4))
    await log.attempts(2)
    log.settle(LogUnavailable("not confirmed"))
    log.settle()
    await log.attempts(3)
    log.settle(LogUnavailable("not confirmed"))
    assert [await outcome(task) for task in (first, behind, both)] == [LogUnavailable] * 3
    # Repeated in order, they are stored in order.
    log.holding = False
    await batcher.submit([change(ALICE, 1)])
    await batcher.submit([change(ALICE, 2)])
    assert log.ids(ALICE) == [["1"], ["1"], ["1"], ["2"]]
    assert registry.get_sample_value("tidings_publisher_batches_total", {"outcome": "failed"}) == 1
    assert registry.get_sample_value("tidings_publisher_waiting_changes") == 0


async def test_a_batch_that_waited_too_long_is_not_retried(batcher: Batcher, log: FakeLog, clock: Clock) -> None:
    task = await held(batcher, log)
    clock.now += 3
    log.settle(LogUnavailable("not confirmed"))
    assert await outcome(task) is LogUnavailable
    assert len(log.appended) == 1


async def test_a_submitter_that_goes_away_breaks_nobody(batcher: Batcher, log: FakeLog) -> None:
    first = await held(batcher, log)
    gone = await submitted(batcher, change(ALICE, 2))
    stays = await submitted(batcher, change(ALICE, 3))
    gone.cancel()
    log.settle()
    await log.attempts(2)
    log.settle()
    assert await outcome(first) is None
    assert await outcome(stays) is None
    assert log.ids(ALICE) == [["1"], ["2", "3"]]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_failure_after_the_submitter_went_away_is_nobodys(batcher: Batcher, log: FakeLog, clock: Clock) -> None:
    gone = await held(batcher, log)
    gone.cancel()
    clock.now += 3
    log.settle(LogUnavailable("not confirmed"))
    log.holding = False
    await asyncio.sleep(0)
    await batcher.submit([change(ALICE, 2)])
    assert gone.cancelled()


async def test_when_too_much_waits_nothing_is_taken(batcher: Batcher, log: FakeLog) -> None:
    log.holding = True
    half = [change(ALICE, number) for number in range(MAX_WAITING_CHANGES // 2)]
    tasks = [await submitted(batcher, *half), await submitted(batcher, *half)]
    with pytest.raises(LogFull):
        await batcher.submit([change(BOB, 1)])
    await log.attempts(1)
    assert log.ids(BOB) == []
    log.holding = False
    log.settle()
    assert [await outcome(task) for task in tasks] == [None, None]
    await batcher.submit([change(BOB, 1)])


async def test_a_bound_on_bytes_too(batcher: Batcher, log: FakeLog) -> None:
    log.holding = True
    large = [change(ALICE, number, source="x" * 1024) for number in range(20_000)]
    first = await submitted(batcher, *large)
    with pytest.raises(LogFull):
        await batcher.submit(large)
    await log.attempts(1)
    log.holding = False
    log.settle()
    assert await outcome(first) is None


async def test_nothing_is_taken_while_memory_is_short(log: FakeLog, registry: CollectorRegistry) -> None:
    budget = Budget(100_000)
    batcher = Batcher(log, PublisherMetrics(registry), batch_traces(), waiting=budget.account("waiting"))
    await batcher.start()
    budget.level = Level.TIGHT
    with pytest.raises(LogFull, match="memory"):
        await batcher.submit([change(ALICE, 1)])
    budget.level = Level.CALM
    await batcher.submit([change(ALICE, 1)])


async def test_what_waits_is_counted_in_the_budget_of_the_process(log: FakeLog, registry: CollectorRegistry) -> None:
    budget = Budget(100_000)
    waiting = budget.account("waiting")
    batcher = Batcher(log, PublisherMetrics(registry), batch_traces(), waiting=waiting)
    await batcher.start()
    log.holding = True
    tasks = [await submitted(batcher, change(ALICE, 1)) for _ in range(10)]
    one = waiting.held / 10
    assert one > held_bytes(change(ALICE, 1))
    budget.account("others").add(100_000 - waiting.held)
    with pytest.raises(LogFull):
        await batcher.submit([change(ALICE, 2)])
    assert waiting.held == 10 * one
    log.holding = False
    log.settle()
    assert [await outcome(task) for task in tasks] == [None] * 10
    assert waiting.held == 0
    await batcher.stop()


async def test_what_failed_waits_no_longer(log: FakeLog, registry: CollectorRegistry, clock: Clock) -> None:
    waiting = Budget().account("waiting")
    batcher = Batcher(log, PublisherMetrics(registry), batch_traces(), clock=clock, waiting=waiting)
    await batcher.start()
    log.holding = True
    tasks = [await submitted(batcher, change(ALICE, number)) for number in range(3)]
    await log.attempts(1)
    clock.now += 3
    log.settle(LogUnavailable("not confirmed"))
    assert [await outcome(task) for task in tasks] == [LogUnavailable] * 3
    assert waiting.held == 0
    await batcher.stop()


async def test_a_fault_in_the_log_is_counted_and_ends_only_what_waits(
    batcher: Batcher, log: FakeLog, registry: CollectorRegistry
) -> None:
    task = await held(batcher, log)
    log.settle(ZeroDivisionError())
    assert await outcome(task) is LogUnavailable
    log.holding = False
    await batcher.submit([change(ALICE, 2)])
    assert registry.get_sample_value("tidings_publisher_failures_total", {"part": "batcher"}) == 1


async def test_stop_waits_for_the_confirm_and_takes_no_more(batcher: Batcher, log: FakeLog) -> None:
    task = await held(batcher, log)
    stopping = asyncio.create_task(batcher.stop())
    await asyncio.sleep(0)
    with pytest.raises(LogUnavailable):
        await batcher.submit([change(ALICE, 2)])
    assert not stopping.done()
    log.settle()
    assert await outcome(task) is None
    await stopping


async def test_stop_does_not_wait_forever(batcher: Batcher, log: FakeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.publisher.batcher.DRAIN_SECONDS", 0.01)
    task = await held(batcher, log)
    await batcher.stop()
    assert await outcome(task) is LogUnavailable


class TestWithASpool:
    """What waits in it is taken out by the test, as the drain would."""

    @pytest.fixture
    async def spool(self, tmp_path: Path, registry: CollectorRegistry) -> AsyncIterator[Spool]:
        spool = Spool(SpoolFile(tmp_path, SHARDS), 10_000, SpoolMetrics(registry))
        await spool.start()
        yield spool
        await spool.stop()

    @pytest.fixture
    async def batcher(
        self, log: ChangeLog, spool: Spool, clock: Clock, registry: CollectorRegistry
    ) -> AsyncIterator[Batcher]:
        batcher = Batcher(log, PublisherMetrics(registry), batch_traces(), spool, clock)
        await batcher.start()
        yield batcher
        await batcher.stop()

    async def spooled(self, spool: Spool, account: str) -> list[list[str]]:
        entries = await spool.read(shard_of(account, SHARDS))
        return [[change.id for change in decode(entry.batch).changes] for entry in entries]

    async def test_while_the_log_confirms_nothing_is_spooled(
        self, batcher: Batcher, log: FakeLog, spool: Spool
    ) -> None:
        await batcher.submit([change(ALICE, 1), change(BOB, 2)])
        assert log.ids(ALICE) == [["1"]]
        assert spool.shards == []

    async def test_a_log_that_is_away_is_not_tried(self, batcher: Batcher, log: FakeLog, spool: Spool) -> None:
        log.can_append = False
        await batcher.submit([change(ALICE, 1)])
        await batcher.submit([change(ALICE, 2)])
        assert log.appended == []
        assert await self.spooled(spool, ALICE) == [["1"], ["2"]]

    async def test_an_unconfirmed_batch_is_spooled_with_its_id(
        self, batcher: Batcher, log: FakeLog, spool: Spool
    ) -> None:
        task = await held(batcher, log)
        behind = await submitted(batcher, change(ALICE, 2))
        log.settle(LogUnavailable("not confirmed"))
        assert [await outcome(task), await outcome(behind)] == [None, None]
        assert await self.spooled(spool, ALICE) == [["1"], ["2"]]
        (entry, _) = await spool.read(shard_of(ALICE, SHARDS))
        assert decode(entry.batch) == log.appended[0][1]

    async def test_nothing_overtakes_what_is_in_the_spool_of_its_shard(
        self, batcher: Batcher, log: FakeLog, spool: Spool
    ) -> None:
        log.can_append = False
        await batcher.submit([change(ALICE, 1)])
        log.can_append = True
        await batcher.submit([change(ALICE, 2), change(BOB, 3)])
        assert log.ids(ALICE) == []
        assert log.ids(BOB) == [["3"]]
        await spool.discard(await spool.read(shard_of(ALICE, SHARDS)))
        await batcher.submit([change(ALICE, 4)])
        assert log.ids(ALICE) == [["4"]]

    async def test_the_last_few_in_the_spool_of_its_shard_are_waited_for(
        self, batcher: Batcher, log: FakeLog, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidings.publisher.spool.spool.LEAVING_SECONDS", 600)
        log.can_append = False
        await batcher.submit([change(ALICE, 1)])
        log.can_append = True
        waiting = await submitted(batcher, change(ALICE, 2))
        entries = await spool.read(shard_of(ALICE, SHARDS))
        assert len(entries) == 1
        assert log.appended == []
        await spool.discard(entries)
        assert await outcome(waiting) is None
        assert log.ids(ALICE) == [["2"]]
        assert spool.shards == []

    async def test_many_in_the_spool_of_its_shard_are_not_waited_for(
        self, batcher: Batcher, log: FakeLog, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidings.publisher.spool.spool.LEAVING_SECONDS", 600)
        log.can_append = False
        for number in range(LAST_ENTRIES + 1):
            await batcher.submit([change(ALICE, number)])
        log.can_append = True
        async with within(10):
            await batcher.submit([change(ALICE, 100)])
        assert log.appended == []
        assert len(await self.spooled(spool, ALICE)) == LAST_ENTRIES + 2

    async def test_nothing_overtakes_what_a_disk_that_fails_may_have_kept(
        self, batcher: Batcher, log: FakeLog, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidings.publisher.spool.spool.MENDED_SECONDS", 0.01)
        write = SpoolFile.write

        def fail_late(file: SpoolFile, stored: Iterable[SpoolEntry], discarded: Iterable[int]) -> float | None:
            write(file, stored, discarded)
            file.close()
            raise sqlite3.OperationalError("disk I/O error")

        def unreadable(file: SpoolFile) -> Contents:
            raise SettingsError("disk I/O error")

        log.can_append = False
        with monkeypatch.context() as patched:
            patched.setattr(SpoolFile, "write", fail_late)
            patched.setattr(SpoolFile, "open", unreadable)
            with pytest.raises(SpoolUnavailable):
                await batcher.submit([change(ALICE, 1)])
            log.can_append = True
            with pytest.raises(SpoolUnavailable):
                await batcher.submit([change(ALICE, 2)])
        assert log.appended == []
        await eventually(lambda: spool.accepts)
        await batcher.submit([change(ALICE, 2)])
        assert await self.spooled(spool, ALICE) == [["1"], ["2"]]

    async def test_when_neither_takes_it_the_submitter_is_told(
        self, batcher: Batcher, log: FakeLog, spool: Spool
    ) -> None:
        log.can_append = False
        with pytest.raises(LogFull):
            await batcher.submit([change(ALICE, number, source="x" * 1000) for number in range(20)])
        await batcher.submit([change(ALICE, 1)])
        assert await self.spooled(spool, ALICE) == [["1"]]

    async def test_a_fault_in_the_log_is_not_spooled_away(
        self, batcher: Batcher, log: FakeLog, spool: Spool, registry: CollectorRegistry
    ) -> None:
        task = await held(batcher, log)
        log.settle(ZeroDivisionError())
        assert await outcome(task) is LogUnavailable
        assert registry.get_sample_value("tidings_publisher_failures_total", {"part": "batcher"}) == 1


CONTEXT = bytes(range(1, 25))


class TestTraced:
    """A batcher whose changes are traced where they came so, and else where `ratio` says so."""

    @pytest.fixture
    def tracer(self) -> KeptSpans:
        return KeptSpans()

    @pytest.fixture
    async def batcher(
        self, log: ChangeLog, clock: Clock, registry: CollectorRegistry, tracer: KeptSpans
    ) -> AsyncIterator[Batcher]:
        metrics = PublisherMetrics(registry)
        traces = ChangeTraces(tracer, 0.0, metrics, lambda: 1_000.0)
        batcher = Batcher(log, metrics, batch_traces(1_000_000), clock=clock, change_traces=traces)
        await batcher.start()
        yield batcher
        await batcher.stop()

    async def test_the_log_says_which_changes_are_traced(
        self, batcher: Batcher, log: FakeLog, tracer: KeptSpans
    ) -> None:
        await batcher.submit([change(ALICE, 0)])
        await batcher.submit([change(ALICE, 1), traced(change(ALICE, 2), CONTEXT)])
        _, (_, second, _) = log.appended
        # What comes first of all is followed in any case.
        (append,) = tracer.named("append")
        assert [(each.index, each.context) for each in second.traced] == [(1, append.context)]
        assert is_traced(second.id)
        assert [type(each) for each in second.changes] == [Change, Change]
        assert log.appended[0][1].traced == ()
        assert append.outcome == "confirmed by the log"

    async def test_a_retry_is_of_the_same_trace(self, batcher: Batcher, log: FakeLog, tracer: KeptSpans) -> None:
        log.holding = True
        submitted = asyncio.create_task(batcher.submit([traced(change(ALICE, 1), CONTEXT)]))
        await log.attempts(1)
        log.settle(LogUnavailable("away"))
        await log.attempts(2)
        log.settle()
        await submitted
        first, second = (batch.traced for _, batch, _ in log.appended)
        assert first == second
        assert len(tracer.named("append")) == 1

    async def test_a_change_of_every_account_is_no_part_of_a_trace(
        self, batcher: Batcher, log: FakeLog, tracer: KeptSpans
    ) -> None:
        everybody = anything_changed(EVERY_ACCOUNT, source="test", event_id="1", ingested=1.0)
        await batcher.submit([traced(everybody, CONTEXT)])
        assert tracer.spans == []
        assert all(batch.is_reset for _, batch, _ in log.appended)

    async def test_a_writer_has_not_the_trace_of_whoever_came_first(
        self, batcher: Batcher, log: FakeLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[object] = []
        append = log.append

        async def appending(shard: int, payload: bytes) -> None:
            seen.append(get_contextvars().get("trace_id"))
            await append(shard, payload)

        monkeypatch.setattr(log, "append", appending)
        bind_contextvars(trace_id="of the request that came first")
        try:
            await batcher.submit([change(ALICE, 1)])
            await batcher.submit([traced(change(ALICE, 2), CONTEXT)])
        finally:
            clear_contextvars()
        assert seen == [None, trace_id(CONTEXT)]
