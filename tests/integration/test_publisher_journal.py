"""What programs beside a mail server kept in a journal is told, whatever ends in between."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import Self

import pytest
from structlog.testing import capture_logs

from tests.support.changelog import opened, reading, ready
from tests.support.disk import filled_up, read_only, small_disk
from tests.support.processes import Tidings, tidings
from tests.support.publisher import Log, Running, Start, eventually
from tidings.bus.log import FromOffset
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.publisher.sources.journal.format import lines
from tidings.publisher.sources.journal.writer import JournalWriter
from tidings.wire.batch import decode

NEW = ("alice", "MessageNew")
KILLS = 4


def event(number: int = 1, account: str = "alice", **members: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"{account}-{number}",
        "source": "/test",
        "type": "mail.MessageNew",
        "subject": account,
        **members,
    }


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    directory = tmp_path / "journal"
    directory.mkdir()
    return directory


def connected(running: Running) -> bool:
    return running.value("tidings_source_connected", source="journal") == 1.0


def names(journal: Path) -> list[str]:
    return [file.name for file in journal.iterdir()]


def replace(journal: Path) -> None:
    """Another directory in its place."""
    journal.rename(journal.with_name("old"))
    journal.mkdir()


async def empty(journal: Path) -> None:
    await eventually(lambda: not names(journal))


async def test_what_is_written_is_told_and_removed(journal: Path, log: Log, start: Start) -> None:
    writer = JournalWriter(journal)
    assert writer.append([event(1)])
    running = await start(journal_dir=journal)
    await log.until(NEW)
    await empty(journal)
    assert writer.append([event(2, "bob"), event(3, "bob", type="mail.FlagsSet")])
    await log.until(("bob", "MessageNew"), ("bob", "FlagsSet"))
    await empty(journal)
    assert running.value("tidings_source_events_total", source="journal") == 3.0
    assert connected(running)
    assert log.resets == 0


async def test_the_order_of_an_account_is_kept_over_files(journal: Path, log: Log, start: Start) -> None:
    now = time.time() - 86_400
    writer = JournalWriter(journal, clock=lambda: now)
    for number in range(3_000):
        assert writer.append([event(number, data={"changed": {"Email": str(number)}})])
        now += 10
    await start(journal_dir=journal)
    await empty(journal)
    assert [change.changed["Email"] for change in log.changes] == [str(number) for number in range(3_000)]


async def test_a_directory_that_is_not_there_yet_is_waited_for(tmp_path: Path, log: Log, start: Start) -> None:
    directory = tmp_path / "later"
    with capture_logs() as logs:
        running = await start(journal_dir=directory)
        await eventually(lambda: [entry for entry in logs if entry["event"] == "the journal cannot be read"])
    assert not connected(running)
    directory.mkdir()
    JournalWriter(directory).append([event()])
    await log.until(NEW)
    assert connected(running)


async def test_a_directory_that_is_replaced_is_watched_again(journal: Path, log: Log, start: Start) -> None:
    running = await start(journal_dir=journal)
    await eventually(lambda: connected(running))
    replace(journal)
    JournalWriter(journal).append([event()])
    await log.until(NEW)


async def test_what_the_log_does_not_take_stays(journal: Path, log: Log, start: Start) -> None:
    log.log.accepts = False
    await start(journal_dir=journal)
    assert JournalWriter(journal).append([event()])
    await eventually(lambda: [name for name in names(journal) if name.endswith(".claimed")])
    assert JournalWriter(journal).append([event(2, type="mail.FlagsSet")])
    await asyncio.sleep(0.1)
    assert len(names(journal)) == 2
    log.log.accepts = True
    await log.until(NEW, ("alice", "FlagsSet"))
    assert log.everything.index(NEW) < log.everything.index(("alice", "FlagsSet"))
    await empty(journal)


async def test_a_file_that_was_claimed_when_a_publisher_died_comes_first(journal: Path, log: Log, start: Start) -> None:
    (journal / "2026112918.jsonl").write_bytes(lines([event(2, type="mail.FlagsSet")]))
    (journal / "00000007.2026112919.jsonl.claimed").write_bytes(lines([event(1)]))
    await start(journal_dir=journal)
    await empty(journal)
    assert log.everything == [NEW, ("alice", "FlagsSet")]


async def test_a_torn_line_has_everybody_look(journal: Path, log: Log, start: Start) -> None:
    (journal / "2026112918.jsonl").write_bytes(lines([event()]) + b'{"specversion":"1.0","id":"al')
    running = await start(journal_dir=journal)
    await empty(journal)
    assert log.everything == [NEW]
    assert log.resets == 1
    assert running.value("tidings_source_gaps_total", source="journal", reason="unreadable") == 1.0


async def test_a_line_that_is_about_to_be_ended_is_waited_for(journal: Path, log: Log, start: Start) -> None:
    data = lines([event()])
    path = journal / "2026112918.jsonl"
    path.write_bytes(data[:40])
    await start(journal_dir=journal)
    await eventually(lambda: not path.exists())
    (claimed,) = names(journal)
    with (journal / claimed).open("ab") as file:
        file.write(data[40:])
    await log.until(NEW)
    await empty(journal)
    assert log.resets == 0


async def test_what_was_lost_has_everybody_look_each_time(journal: Path, log: Log, start: Start) -> None:
    writer = JournalWriter(journal)
    writer.lost()
    running = await start(journal_dir=journal)
    await empty(journal)
    assert log.resets == 1
    writer.lost()
    await empty(journal)
    assert log.resets == 2
    assert running.value("tidings_source_gaps_total", source="journal", reason="lost") == 2.0


async def test_an_event_that_means_nothing_is_refused_and_named(journal: Path, log: Log, start: Start) -> None:
    with capture_logs() as logs:
        JournalWriter(journal).append([event(1, subject="a/b"), event(2)])
        await start(journal_dir=journal)
        await log.until(NEW)
        await empty(journal)
    (refused,) = [entry for entry in logs if entry["event"] == "an event in the journal was refused"]
    assert "subject must not contain '/'" in refused["reason"]
    assert log.resets == 0


async def test_what_is_not_the_journals_is_left_alone(journal: Path, tmp_path: Path, log: Log, start: Start) -> None:
    (tmp_path / "secret").write_bytes(lines([event(9, "bob")]))
    (journal / "2026112917.jsonl").symlink_to(tmp_path / "secret")
    os.mkfifo(journal / "2026112918.jsonl")
    (journal / "2026112919.jsonl").mkdir()
    (journal / "README").write_bytes(lines([event(8, "bob")]))
    (journal / "breaker-5000").write_bytes(b"3 0\n")
    with capture_logs() as logs:
        await start(journal_dir=journal)
        JournalWriter(journal, part="97").append([event()])
        await log.until(NEW)
        await eventually(
            lambda: len([entry for entry in logs if entry["event"] == "a file was left in the journal"]) == 4
        )
    await eventually(lambda: len(names(journal)) == 5)
    assert log.everything == [NEW]


async def test_logins_are_mapped_like_those_of_other_sources(
    journal: Path, tmp_path: Path, log: Log, start: Start
) -> None:
    account_map = tmp_path / "map.toml"
    account_map.write_text("[[rule]]\nmatch = '(?P<user>[^@]+)@mail.example'\naccount = '{user}'\n")
    running = await start(journal_dir=journal, account_map=account_map)
    JournalWriter(journal).append([event(1, "alice@mail.example"), event(2, "alice@elsewhere.example")])
    await log.until(NEW)
    await empty(journal)
    assert log.everything == [NEW]
    assert running.value("tidings_source_unmapped_total", source="journal") == 1.0


async def test_two_publishers_do_not_tell_the_same(journal: Path, tmp_path: Path, log: Log, start: Start) -> None:
    first = await start(journal_dir=journal)
    await eventually(lambda: connected(first))
    with capture_logs() as logs:
        second = await start(journal_dir=journal, state_dir=tmp_path / "other")
        await eventually(lambda: [entry for entry in logs if "another publisher" in entry.get("reason", "")])
    JournalWriter(journal).append([event()])
    await log.until(NEW)
    # What was told and is still there would be told again by the other one.
    await empty(journal)
    await first.stop()
    JournalWriter(journal).append([event(2, type="mail.FlagsSet")])
    await log.until(("alice", "FlagsSet"))
    assert connected(second)
    assert log.everything == [NEW, ("alice", "FlagsSet")]


async def test_a_full_disk_hinders_no_telling(tmp_path: Path, log: Log, start: Start) -> None:
    with small_disk(tmp_path / "journal", 256 * 1024) as disk:
        writer = JournalWriter(disk)
        assert writer.append([event()])
        with filled_up(disk):
            if not writer.append([event(2, source="x" * 5_000)]):
                writer.lost()
            await start(journal_dir=disk)
            await log.until(NEW)
            await eventually(lambda: log.resets)
            await eventually(lambda: names(disk) == ["ballast"])


async def test_a_journal_that_cannot_be_written_to_is_away_until_it_can(
    tmp_path: Path, log: Log, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.publisher.sources.journal.source.LOOK_SECONDS", 0.02)
    with small_disk(tmp_path / "journal", 256 * 1024) as disk, capture_logs() as logs:
        assert JournalWriter(disk).append([event()])
        with read_only(disk):
            running = await start(journal_dir=disk)
            await eventually(lambda: [entry for entry in logs if entry["event"] == "the journal cannot be read"])
            # Many looks later it is the same outage.
            await asyncio.sleep(0.5)
            assert not connected(running)
        await log.until(NEW)
        assert connected(running)
    told = [entry["event"] for entry in logs if "journal" in entry["event"]]
    assert told == ["the journal cannot be read", "the journal can be read again"]


class Writing:
    """Writes changes of two accounts for as long as it lasts; `count` of each."""

    def __init__(self, journal: Path) -> None:
        self.count = 0
        self._writer = JournalWriter(journal)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def _write(self) -> None:
        while not self._ended.is_set():
            assert self._writer.append([event(self.count, "alice"), event(self.count, "bob")])
            self.count += 1

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


async def test_a_publisher_killed_at_any_moment_loses_nothing(journal: Path, tmp_path: Path, bus_url: str) -> None:
    chance = random.Random(7)
    # Safe is what is in the log, and nowhere else.
    state = ("--spool-bytes", "0", "--state-dir", str(tmp_path / "state"))
    flags = ("--bus", bus_url, "--shards", "1", *state, "--journal-dir", str(journal))
    with Writing(journal) as writing:
        for _ in range(KILLS):
            publisher = Tidings("publisher", *flags)
            publisher.wait_started()
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            publisher.kill()
    with tidings("publisher", *flags):
        await empty(journal)
    found: dict[str, list[int]] = {"alice": [], "bob": []}
    async with opened(RabbitMQLog(bus_url, shards=1)) as log:
        await ready(log)
        async with reading(log, 0, FromOffset(0)) as reader:
            read = 0

            def all_of_it() -> bool:
                nonlocal read
                for payload in reader.payloads[read:]:
                    read += 1
                    for change in decode(payload).changes:
                        found[change.account].append(int(change.id.partition("-")[2]))
                return all(len(set(numbers)) == writing.count for numbers in found.values())

            await eventually(all_of_it)
    for numbers in found.values():
        # What is told again is told from an earlier place on: nothing new comes before something older was told.
        assert list(dict.fromkeys(numbers)) == list(range(writing.count))


def test_a_line_is_what_the_ingest_takes() -> None:
    """The format's documentation says so."""
    (line,) = [line for line in lines([event()]).splitlines() if line]
    assert json.loads(line) == event()
