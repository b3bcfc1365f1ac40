"""What the publisher answers for while the log is away, and what becomes of it."""

from __future__ import annotations

import asyncio
import mailbox
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.support import events
from tests.support.broker import Broker
from tests.support.changelog import opened, reading, ready
from tests.support.disk import filled_up, small_disk
from tests.support.processes import Tidings
from tests.support.publisher import SECONDS, Log, Running, Start, eventually
from tests.support.waiting import patient, promised, within
from tidings.bus.log import FromOffset
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.errors import SettingsError
from tidings.wire.batch import decode

SHARDS = 2
ACCOUNTS = ("alice", "bob", "carol", "dave")
BUS = "amqp://somewhere/"
"""The log of these publishers is given by the test; the URL only says that it is not in their memory."""
ANSWER_SECONDS = 15.0
"""A sender is answered within a few seconds, on a machine that does nothing else."""


def event(account: str, number: int, size: int = 0) -> dict[str, object]:
    return events.event(account, f"s{number}", "/test" + "x" * size) | {"id": f"{account}-{number}"}


async def post(http: httpx2.AsyncClient, *told: dict[str, object]) -> httpx2.Response:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    return await http.post("/v1/changes", json=list(told), headers=headers)


class Sender:
    """Sends one account's events in order and repeats what failed before it goes on, as docs/reference/http.md asks."""

    def __init__(self, account: str, port: Callable[[], int]) -> None:
        self.acknowledged = 0
        self.slowest = 0.0
        self._account = account
        self._port = port
        self._until: int | None = None
        self._task = asyncio.create_task(self._send(), name=f"sender of {account}")

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while self._until is None or self.acknowledged < self._until:
            began = loop.time()
            try:
                async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self._port()}", timeout=patient(60)) as http:
                    while self._until is None or self.acknowledged < self._until:
                        began = loop.time()
                        answer = await post(http, event(self._account, self.acknowledged + 1))
                        self.slowest = max(self.slowest, loop.time() - began)
                        assert answer.status_code in (202, 503), answer.text
                        if answer.status_code == 202:
                            self.acknowledged += 1
                        else:
                            await asyncio.sleep(0.1)
            except httpx2.TransportError:
                await asyncio.sleep(0.1)

    async def more(self, count: int) -> None:
        """Wait until so many more events are acknowledged."""
        due = self.acknowledged + count

        def there() -> bool:
            if self._task.done():
                self._task.result()
            return self.acknowledged >= due

        await eventually(there, seconds=60)

    async def finish(self) -> None:
        """Send no more; what is under way is still repeated until it is acknowledged."""
        self._until = self.acknowledged + 1
        async with within(60):
            await self._task

    def cancel(self) -> None:
        self._task.cancel()


@asynccontextmanager
async def sending(port: Callable[[], int]) -> AsyncIterator[list[Sender]]:
    senders = [Sender(account, port) for account in ACCOUNTS]
    try:
        yield senders
    finally:
        for sender in senders:
            sender.cancel()


async def read_back(url: str, senders: list[Sender]) -> dict[str, list[int]]:
    """The states in the log by account, in log order, once the last of every sender is there."""
    told: dict[str, list[int]] = {}
    async with opened(RabbitMQLog(url, SHARDS)) as log:
        await eventually(lambda: log.can_append and log.can_read, seconds=60)

        def collect(payloads: list[bytes]) -> bool:
            told.clear()
            told.update({account: [] for account in ACCOUNTS})
            for payload in payloads:
                for change in decode(payload).changes:
                    told[change.account].append(int((change.changed["Email"] or "s0")[1:]))
            return all(sender.acknowledged in told[account] for account, sender in zip(ACCOUNTS, senders, strict=True))

        async with reading(log, 0, FromOffset(0)) as zero, reading(log, 1, FromOffset(0)) as one:
            await eventually(lambda: collect([*zero.payloads, *one.payloads]), seconds=60)
    return told


def assert_nothing_lost_and_in_order(told: dict[str, list[int]], senders: list[Sender]) -> None:
    for account, sender in zip(ACCOUNTS, senders, strict=True):
        states = told[account]
        assert set(states) >= set(range(1, sender.acknowledged + 1)), f"{account}: acknowledged and lost"
        assert states[-1] == max(states), f"{account}: something older was told last"
        firsts = list(dict.fromkeys(states))
        assert firsts == sorted(firsts), f"{account}: out of order"


class TestWithARealBroker:
    @pytest.fixture
    def url(self, own_broker: Broker) -> str:
        return own_broker.fresh_url()

    @pytest.fixture
    def publish(self, url: str, tmp_path: Path) -> Iterator[Callable[[], Tidings]]:
        """Starts a publisher on the same bus and state directory as the one before it."""
        with ExitStack() as stack:

            def publish() -> Tidings:
                flags = ("--bus", url, "--shards", str(SHARDS), "--state-dir", str(tmp_path / "state"))
                running = Tidings("publisher", *flags)
                stack.callback(lambda: running.kill() if running.process.returncode is None else None)
                running.wait_started()
                return running

            yield publish

    async def value(self, publisher: Tidings, name: str) -> float:
        async with httpx2.AsyncClient() as http:
            text = (await http.get(publisher.url("probe", "/metrics"))).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))

    async def ready(self, publisher: Tidings) -> None:
        """Wait until it says that it is ready, which it looks at now and again."""
        async with within(60), httpx2.AsyncClient() as http:
            while (await http.get(publisher.url("probe", "/readyz"))).status_code != 200:
                await asyncio.sleep(0.05)

    async def drained(self, publisher: Tidings) -> None:
        """Wait until the spool is empty."""
        async with within(60):
            while await self.value(publisher, "tidings_spool_changes"):
                await asyncio.sleep(0.05)

    async def test_nothing_acknowledged_is_lost_and_order_is_kept_whatever_dies(
        self, own_broker: Broker, url: str, publish: Callable[[], Tidings]
    ) -> None:
        """Broker stopped under load; publisher killed while it spools, twice; broker back; killed while it drains."""
        publisher = publish()
        await asyncio.to_thread(publisher.wait_connected)
        async with opened(RabbitMQLog(url, SHARDS)) as log:
            await ready(log)
        async with sending(lambda: publisher.ports["ingest"]) as senders:
            await asyncio.gather(*(sender.more(20) for sender in senders))
            # The log takes them; on a busy machine a confirm may come too late for some.
            acknowledged = sum(sender.acknowledged for sender in senders)
            assert await self.value(publisher, "tidings_spool_stored_changes_total") < acknowledged
            await asyncio.to_thread(own_broker.stop)
            for _ in range(2):
                await asyncio.gather(*(sender.more(20) for sender in senders))
                await self.ready(publisher)
                publisher.kill()
                publisher = publish()
                assert publisher.events("spool holds changes of an earlier run")
            own_broker.launch()
            await asyncio.to_thread(own_broker.wait_ready)
            await asyncio.to_thread(publisher.wait, lambda: publisher.events("bus connected"))
            publisher.kill()
            publisher = publish()
            # The one before may have drained all of it before it was killed.
            await self.drained(publisher)
            await asyncio.gather(*(sender.more(5) for sender in senders))
            await asyncio.gather(*(sender.finish() for sender in senders))
            assert_nothing_lost_and_in_order(await read_back(url, senders), senders)
            # A confirm that comes late sends a change through the spool.
            await self.drained(publisher)
            assert publisher.stop() == 0

    async def test_a_frozen_broker_delays_no_sender_for_long(
        self, own_broker: Broker, url: str, publish: Callable[[], Tidings]
    ) -> None:
        publisher = publish()
        async with opened(RabbitMQLog(url, SHARDS)) as log:
            await ready(log)
        async with sending(lambda: publisher.ports["ingest"]) as senders:
            await asyncio.gather(*(sender.more(5) for sender in senders))
            own_broker.pause()
            try:
                await asyncio.gather(*(sender.more(20) for sender in senders))
                assert max(sender.slowest for sender in senders) < promised(ANSWER_SECONDS)
            finally:
                own_broker.resume()
            await asyncio.to_thread(publisher.wait, lambda: publisher.events("the spool is empty again"), 60)
            await asyncio.gather(*(sender.finish() for sender in senders))
            assert_nothing_lost_and_in_order(await read_back(url, senders), senders)
            assert publisher.stop() == 0


@pytest.fixture
async def publisher(start: Start) -> Running:
    return await start(bus=BUS)


@asynccontextmanager
async def client(publisher: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{publisher.port}", timeout=patient(SECONDS)) as http:
        yield http


async def test_it_is_ready_and_answers_while_the_spool_takes_what_the_log_does_not(
    publisher: Running, log: Log
) -> None:
    log.log.accepts = False
    async with client(publisher) as http:
        for number in range(1, 4):
            assert (await post(http, event("alice", number))).status_code == 202
    assert publisher.runtime.health.ready()[0]
    assert publisher.value("tidings_spool_changes") == 3
    assert publisher.value("tidings_publisher_changes_total") == 0
    assert log.changes == []
    log.log.accepts = True
    await eventually(lambda: publisher.value("tidings_spool_changes") == 0)
    await eventually(lambda: len(log.changes) == 3)
    assert [change.id for change in log.changes] == ["alice-1", "alice-2", "alice-3"]
    assert publisher.value("tidings_spool_drained_changes_total") == 3


async def test_a_full_spool_means_later(start: Start, log: Log) -> None:
    publisher = await start(bus=BUS, spool_bytes=5_000)
    log.log.accepts = False
    accepted = 0
    async with client(publisher) as http:
        while (answer := await post(http, event("alice", accepted + 1, size=900))).status_code == 202:
            accepted += 1
        assert accepted == 4
        assert answer.status_code == 503
        assert "the spool is full" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) >= 1
        assert publisher.value("tidings_spool_refused_changes_total", reason="full") == 1
        log.log.accepts = True
        await eventually(lambda: publisher.value("tidings_spool_changes") == 0)
        assert (await post(http, event("alice", 5))).status_code == 202
    await eventually(lambda: len(log.changes) == 5)
    assert [change.id for change in log.changes] == [f"alice-{number}" for number in range(1, 6)]


async def test_without_a_spool_the_log_decides(start: Start, log: Log, tmp_path: Path) -> None:
    publisher = await start(bus=BUS, spool_bytes=0)
    log.log.accepts = False
    async with client(publisher) as http:
        assert (await post(http, event("alice", 1))).status_code == 503
    await eventually(lambda: not publisher.runtime.health.ready()[0])
    assert not (tmp_path / "state").exists()


async def test_a_spool_that_is_turned_off_hands_over_what_it_holds_and_takes_no_more(start: Start, log: Log) -> None:
    publisher = await start(bus=BUS)
    log.log.accepts = False
    async with client(publisher) as http:
        assert (await post(http, event("alice", 1))).status_code == 202
    await publisher.stop()
    publisher = await start(bus=BUS, spool_bytes=0)
    async with client(publisher) as http:
        # Behind what waits, in its place.
        assert (await post(http, event("alice", 2))).status_code == 503
        log.log.accepts = True
        await eventually(lambda: publisher.value("tidings_spool_changes") == 0)
        assert (await post(http, event("alice", 3))).status_code == 202
    await eventually(lambda: len(log.changes) == 2)
    assert [change.id for change in log.changes] == ["alice-1", "alice-3"]


async def test_a_full_disk_means_later_and_nothing_acknowledged_is_lost(start: Start, log: Log, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1024 * 1024) as disk:
        publisher = await start(bus=BUS, state_dir=disk / "state")
        log.log.accepts = False
        acknowledged: list[str] = []
        async with client(publisher) as http:

            async def send(number: int) -> int:
                status = (await post(http, event("alice", number, size=900))).status_code
                if status == 202:
                    acknowledged.append(f"alice-{number}")
                return status

            with capture_logs() as lines:
                assert await send(1) == 202
                with filled_up(disk):
                    number = 2
                    while await send(number) == 202:
                        number += 1
                    await eventually(lambda: not publisher.runtime.health.ready()[0])
                    assert await send(number) == 503
                await eventually(lambda: publisher.runtime.health.ready()[0])
                assert await send(number) == 202
            assert [line["event"] for line in lines if line["log_level"] == "error"] == ["the spool cannot be written"]
            refused = publisher.value("tidings_spool_refused_changes_total", reason="failed")
            assert refused is not None
            assert refused >= 2
            log.log.accepts = True
            await eventually(lambda: publisher.value("tidings_spool_changes") == 0)
        await eventually(lambda: len(log.changes) == len(acknowledged))
        assert [change.id for change in log.changes] == acknowledged
        await publisher.stop()


async def test_a_disk_that_is_full_holds_no_shard_once_the_log_takes_changes(
    start: Start, log: Log, tmp_path: Path
) -> None:
    """What the log has confirmed cannot be removed: it is neither lost nor overtaken nor told again, here or later."""
    with small_disk(tmp_path / "disk", 1024 * 1024) as disk, capture_logs() as lines:
        publisher = await start(bus=BUS, state_dir=disk / "state")
        log.log.accepts = False
        accepted = 0
        async with client(publisher) as http:
            for number in range(1, 4):
                assert (await post(http, event("alice", number))).status_code == 202
            with filled_up(disk):
                while (await post(http, event("bob", accepted + 1, size=900))).status_code == 202:
                    accepted += 1
                log.log.accepts = True
                await eventually(lambda: publisher.value("tidings_spool_changes") == 0)
                for number in range(4, 20):
                    assert (await post(http, event("alice", number))).status_code == 202
                await publisher.stop()
                publisher = await start(bus=BUS, state_dir=disk / "state")
                assert publisher.value("tidings_spool_changes") == 0
        async with client(publisher) as http:
            assert (await post(http, event("alice", 20))).status_code == 202
        await eventually(lambda: log.changes and log.changes[-1].id == "alice-20")
        assert [change.id for change in log.changes if change.account == "alice"] == [
            f"alice-{number}" for number in range(1, 21)
        ]
        assert [change.id for change in log.changes if change.account == "bob"] == [
            f"bob-{number}" for number in range(1, accepted + 1)
        ]
        await publisher.stop()
    told = [line["event"] for line in lines]
    assert told.count("the spool cannot be written") == 1
    assert [event for event in told if "confirm" in event] == []


async def test_two_publishers_cannot_share_a_state_directory(publisher: Running, start: Start) -> None:
    with pytest.raises(SettingsError, match=r"--state-dir .*another publisher uses it"):
        await start(bus=BUS)


async def test_a_state_directory_that_cannot_be_written(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="--state-dir"):
        await start(bus=BUS, state_dir=tmp_path / "file")


async def test_a_damaged_spool_is_put_aside(start: Start, log: Log, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "spool.sqlite").write_bytes(b"no database" * 1000)
    with capture_logs() as lines:
        publisher = await start(bus=BUS)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "state file is damaged, put aside",
        "changes in the damaged spool are not delivered",
    ]
    (aside,) = (tmp_path / "state").glob("spool.damaged-*")
    assert aside.read_bytes() == b"no database" * 1000
    log.log.accepts = False
    async with client(publisher) as http:
        assert (await post(http, event("alice", 1))).status_code == 202


async def test_the_maildir_source_uses_it_too(start: Start, log: Log, tmp_path: Path) -> None:
    root = tmp_path / "mail"
    root.mkdir()
    alice = mailbox.Maildir(root / "alice")
    publisher = await start(bus=BUS, maildir=root)
    # Watched is not yet looked at, and what is there at the first look is no news.
    await eventually(lambda: publisher.value("tidings_publisher_maildir_scan_seconds_count"))
    log.log.accepts = False
    alice.add("Subject: hello\n\nhello\n")
    await eventually(lambda: publisher.value("tidings_spool_changes"))
    log.log.accepts = True
    await log.until(("alice", "MessageNew"))
