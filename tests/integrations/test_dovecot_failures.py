"""Dovecot goes on when the publisher does not, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.support.clients import jmap_client
from tests.support.disk import filled_up, small_disk
from tests.support.dovecot import MESSAGE, Dovecot
from tests.support.dovecot_server import RELEASES
from tests.support.freezing import freeze
from tests.support.ports import free_ports
from tests.support.processes import Tidings
from tests.support.waiting import comes_true, patient, within

TOKEN = "token-of-dovecot-of-tests"
SECONDS = 30.0
DELIVERIES = 100
AFTERWARDS = 10
"""So many of them at least come when the publisher is gone."""
ATTEMPT_SECONDS = 1.0
"""As long as the script waits for a publisher that does not answer."""
FAILURES = 3
"""After so many the script does not wait any more."""
BOUND_SECONDS = 0.5
"""A delivery on a machine that does nothing else takes a hundredth of this."""


class Suite:
    """Dovecot, publisher and gateway, each a process of its own. `settings` are those of Dovecot's script."""

    def __init__(self, version: str, bus: str, directory: Path, stack: ExitStack, **settings: str) -> None:
        self._stack = stack
        (self.ingest,) = free_ports(1)
        self.journal = directory / "dovecot" / "journal"
        self._flags = ("--bus", bus, "--state-dir", str(directory / "state"), "--journal-dir", str(self.journal))
        self.publisher = self.start_publisher()
        self.gateway = self._start("gateway", "--bus", bus, "--coalesce-ms", "0")
        self.dovecot = stack.enter_context(
            Dovecot(version, directory / "dovecot", self.ingest, TOKEN, "script", **settings)
        )

    def start_publisher(self) -> Tidings:
        return self._start("publisher", *self._flags, "--ingest-port", str(self.ingest))

    def _start(self, command: str, *flags: str) -> Tidings:
        started = Tidings(command, *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN})
        self._stack.callback(lambda: started.kill() if started.process.returncode is None else None)
        started.wait_started()
        started.wait_connected()
        return started

    def deliver(self, count: int, user: str = "alice") -> list[float]:
        """Deliver so many messages one after the other; how long each took, in seconds."""
        took = []
        with self.dovecot.lmtp() as lmtp:
            for _ in range(count):
                began = time.monotonic()
                assert lmtp.sendmail("zoe@mail.example", [user], MESSAGE) == {}
                took.append(time.monotonic() - began)
        return took

    async def told(self) -> list[str]:
        """The ids of the deliveries to alice that the log has, in order."""
        async with httpx2.AsyncClient(timeout=patient(SECONDS)) as http:
            answer = await http.get(self.gateway.url("admin", "/debug/accounts/alice"))
        return [change["id"] for change in answer.json()["changes"] if change["event"] == "MessageNew"]

    async def until_told(self, count: int) -> None:
        """Wait until the log has so many different deliveries to alice."""
        async with within(SECONDS):
            while len(set(await self.told())) < count:
                await asyncio.sleep(0.1)

    def journal_is_empty(self) -> bool:
        return not [file for file in self.journal.iterdir() if not file.name.startswith("breaker")]


@pytest.fixture(params=sorted(RELEASES))
def suite(request: pytest.FixtureRequest, bus_url: str, tmp_path: Path) -> Iterator[Suite]:
    with ExitStack() as stack:
        yield Suite(request.param, bus_url, tmp_path, stack)


async def test_a_publisher_killed_during_deliveries_loses_none(suite: Suite) -> None:
    killed = threading.Event()

    def deliver() -> list[float]:
        took = suite.deliver(DELIVERIES - AFTERWARDS)
        assert killed.wait(patient(SECONDS))
        return took + suite.deliver(AFTERWARDS)

    delivering = asyncio.create_task(asyncio.to_thread(deliver))
    try:
        await suite.until_told(5)
        suite.publisher.kill()
    finally:
        killed.set()
    took = await delivering
    assert max(took) < patient(BOUND_SECONDS)
    assert not suite.journal_is_empty()
    async with jmap_client(suite.gateway.url("gateway", "/jmap/ws?account=alice", "ws")) as client:
        await client.subscribe()
        await asyncio.to_thread(suite.start_publisher)
        assert "EmailDelivery" in (await client.changed(SECONDS))["alice"]
    await suite.until_told(DELIVERIES)
    assert comes_true(suite.journal_is_empty, SECONDS)


async def test_a_publisher_that_hangs_costs_a_second_and_then_nothing(suite: Suite) -> None:
    suite.deliver(5)
    freeze(suite.publisher.pid)
    took = await asyncio.to_thread(suite.deliver, DELIVERIES)
    assert max(took) < ATTEMPT_SECONDS + patient(BOUND_SECONDS)
    waited = [seconds for seconds in took if seconds >= ATTEMPT_SECONDS]
    # Those before the breaker opens, and one in ten seconds that tries again.
    assert FAILURES <= len(waited) <= FAILURES + sum(took) / 10
    os.kill(suite.publisher.pid, signal.SIGCONT)
    await suite.until_told(5 + DELIVERIES)
    assert comes_true(suite.journal_is_empty, SECONDS)


async def test_the_publisher_is_told_directly_again_once_it_is_back(suite: Suite) -> None:
    suite.publisher.kill()
    suite.deliver(FAILURES)
    (breaker,) = [file for file in suite.journal.iterdir() if file.name.startswith("breaker")]
    suite.start_publisher()
    told = FAILURES
    async with within(SECONDS):
        while breaker.exists():
            told += len(suite.deliver(1))
            await asyncio.sleep(0.2)
    assert comes_true(lambda: "takes changes again" in suite.dovecot.said(), SECONDS)
    await suite.until_told(told)


async def test_a_journal_that_is_full_has_everybody_look(bus_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        suite = Suite("2.4", bus_url, tmp_path, stack, journal_bytes="1000")
        suite.publisher.kill()
        took = suite.deliver(DELIVERIES // 10)
        assert max(took) < patient(BOUND_SECONDS)
        for text in ("it is full", "all clients will be asked to resynchronise"):
            assert comes_true(lambda text=text: text in suite.dovecot.said(), SECONDS)  # type: ignore[misc]
        kept = [size for name, size in sizes(suite.journal) if name.endswith(".jsonl")]
        assert 0 < sum(kept) <= 1_000
        async with jmap_client(suite.gateway.url("gateway", "/jmap/ws?account=carol", "ws")) as client:
            await client.subscribe()
            await asyncio.to_thread(suite.start_publisher)
            assert set((await client.changed(SECONDS))["carol"]) >= {"Email", "Mailbox", "Thread"}
        assert comes_true(suite.journal_is_empty, SECONDS)


@pytest.mark.parametrize("version", sorted(RELEASES))
async def test_a_disk_that_is_full_has_everybody_look(version: str, bus_url: str, tmp_path: Path) -> None:
    (tmp_path / "dovecot").mkdir()
    with small_disk(tmp_path / "dovecot" / "journal", 256 * 1024) as disk, ExitStack() as stack:
        suite = Suite(version, bus_url, tmp_path, stack)
        suite.publisher.kill()
        with filled_up(disk):
            suite.deliver(FAILURES)
        lost = "are lost, all clients will be asked to resynchronise"
        assert comes_true(lambda: lost in suite.dovecot.said(), SECONDS)
        async with jmap_client(suite.gateway.url("gateway", "/jmap/ws?account=carol", "ws")) as client:
            await client.subscribe()
            await asyncio.to_thread(suite.start_publisher)
            assert set((await client.changed(SECONDS))["carol"]) >= {"Email", "Mailbox", "Thread"}
        assert comes_true(suite.journal_is_empty, SECONDS)


@pytest.mark.parametrize("version", sorted(RELEASES))
async def test_what_only_the_journal_carries_is_told_while_more_is_written(
    version: str, bus_url: str, tmp_path: Path
) -> None:
    """Several processes of Dovecot write, and the publisher claims files, all at once."""
    writers, each = 4, 40
    with ExitStack() as stack:
        suite = Suite(version, bus_url, tmp_path, stack, url="http://127.0.0.1:1/v1/changes")
        await asyncio.gather(*(asyncio.to_thread(suite.deliver, each) for _ in range(writers)))
        await suite.until_told(writers * each)
        assert comes_true(suite.journal_is_empty, SECONDS)
        assert "are lost" not in suite.dovecot.said()
        # What is claimed while it is written is written again, which is rare.
        assert len(await suite.told()) < 1.5 * writers * each


def sizes(directory: Path) -> list[tuple[str, int]]:
    return [(file.name, file.stat().st_size) for file in directory.iterdir()]
