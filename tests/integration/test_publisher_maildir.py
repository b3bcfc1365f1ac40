"""The Maildir source as it runs: real Maildirs, filled by several programs, the log in memory."""

# ruff: noqa: ASYNC240 - the tests are the programs that change the Maildirs, in small steps

from __future__ import annotations

import asyncio
import errno
import mailbox
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.disk import mounted
from tests.support.publisher import SECONDS, Log, Running, Start, batch_traces, eventually
from tests.support.waiting import within
from tidings.errors import SettingsError
from tidings.ops.process.runtime import Runtime, new_runtime
from tidings.publisher.accounts import AccountMap
from tidings.publisher.batcher import Batcher
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.maildir.diff import Directory, Finding
from tidings.publisher.sources.maildir.snapshot import Snapshot
from tidings.publisher.sources.maildir.source import ROUND_SCOPES, MaildirSource
from tidings.publisher.sources.maildir.watches import NoWatchLeftError, Watches
from tidings.publisher.sources.metrics import SourceMetrics
from tidings.publisher.sources.submit import Submit
from tidings.wire.change import Change

MAIL = "From: a@example.test\nSubject: hello\n\nhello\n"


def maildir_source(
    root: Path, state_dir: Path, submit: Submit, runtime: Runtime, metrics: PublisherMetrics, **more: float
) -> MaildirSource:
    counters = SourceMetrics(runtime.registry).of(MaildirSource.name)
    return MaildirSource(root, state_dir, submit, counters, AccountMap(), metrics, **more)


class Announcer:
    """The source in a process of its own, which tells what it announces."""

    CODE = """
import asyncio, sys
from pathlib import Path
from prometheus_client import CollectorRegistry
from tidings.publisher.accounts import AccountMap
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.maildir.source import MaildirSource
from tidings.publisher.sources.metrics import SourceMetrics

async def tell(changes):
    for change in changes:
        print(change.account, change.event, flush=True)

async def main():
    registry = CollectorRegistry()
    counters = SourceMetrics(registry).of("maildir")
    source = MaildirSource(
        Path(sys.argv[1]), Path(sys.argv[2]), tell, counters, AccountMap(), PublisherMetrics(registry)
    )
    await source.start()
    await asyncio.sleep(3600)

asyncio.run(main())
"""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, root: Path, state: Path) -> Announcer:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", cls.CODE, str(root), str(state)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        announcer = cls(process)
        await announcer.line("maildir scan")
        return announcer

    async def line(self, wanted: str) -> None:
        assert self._process.stdout is not None
        async with within(SECONDS):
            while wanted not in (line := await self._process.stdout.readline()).decode():
                assert line, "it has ended"

    async def until(self, *expected: tuple[str, str]) -> None:
        for account, event in sorted(expected):
            await self.line(f"{account} {event}")

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mail"
    root.mkdir()
    return root


def inbox(root: Path, account: str = "alice") -> mailbox.Maildir:
    return mailbox.Maildir(root / account, create=True)


async def test_the_life_of_a_message(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    await started(start, root)
    key = maildir.add(MAIL)
    await log.until(("alice", "MessageNew"))
    message = maildir[key]
    message.set_subdir("cur")
    message.add_flag("S")
    maildir[key] = message
    await log.until(("alice", "MessageRead"))
    message.add_flag("F")
    maildir[key] = message
    await log.until(("alice", "FlagsSet"))
    message.remove_flag("F")
    maildir[key] = message
    await log.until(("alice", "FlagsClear"))
    maildir.discard(key)
    await log.until(("alice", "MessageExpunge"))


async def test_a_client_that_picks_up_the_mail_changes_nothing(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    await started(start, root)
    name = Path(root, "alice", "new", maildir.add(MAIL)).name
    await log.until(("alice", "MessageNew"))
    (root / "alice" / "new" / name).rename(root / "alice" / "cur" / f"{name}:2,")
    (root / "alice" / "cur" / f"{name}:2,").rename(root / "alice" / "cur" / f"{name}:2,F")
    await log.until(("alice", "FlagsSet"))
    assert log.told() == []


async def test_what_was_there_at_the_first_start_is_no_news(start: Start, root: Path, log: Log) -> None:
    inbox(root, "alice").add(MAIL)
    inbox(root, "bob").add(MAIL)
    await started(start, root)
    inbox(root, "bob").add(MAIL)
    await eventually(lambda: ("bob", "MessageNew") in log.told())
    assert log.told() == [("bob", "MessageNew")]


async def test_accounts_and_folders_may_appear_with_mail_in_them(start: Start, root: Path, log: Log) -> None:
    await started(start, root)
    for number in range(20):
        inbox(root, f"account{number}").add(MAIL)
    await log.until(*((f"account{number}", "MessageNew") for number in range(20)))
    for number in range(20):
        inbox(root).add_folder(f"Folder{number}").add(MAIL)
        await log.until(("alice", "MailboxCreate"), ("alice", "MessageNew"))


async def test_folders_may_be_plain_and_nested_directories(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    await started(start, root)
    mailbox.Maildir(root / "alice" / "Archive", create=True).add(MAIL)
    await log.until(("alice", "MailboxCreate"), ("alice", "MessageNew"))
    nested = mailbox.Maildir(root / "alice" / "Archive" / "2024", create=True)
    await log.until(("alice", "MailboxCreate"))
    nested.add(MAIL)
    await log.until(("alice", "MessageNew"))
    shutil.rmtree(root / "alice" / "Archive" / "2024")
    await log.until(("alice", "MailboxDelete"))
    maildir.add(MAIL)
    await log.until(("alice", "MessageNew"))


async def test_what_programs_add_to_names_and_where_users_move_mail_is_no_delivery(
    start: Start, root: Path, log: Log
) -> None:
    inbox(root).add_folder("Work")
    await started(start, root)
    alice = root / "alice"
    (alice / "tmp" / "1.h,S=18").write_text(MAIL)
    (alice / "tmp" / "1.h,S=18").rename(alice / "new" / "1.h,S=18")
    await log.until(("alice", "MessageNew"))
    (alice / "new" / "1.h,S=18").rename(alice / "new" / "1.h,S=18,U=1")
    (alice / "new" / "1.h,S=18,U=1").rename(alice / "cur" / "1.h,S=18,U=1;2,")
    (alice / "cur" / "1.h,S=18,U=1;2,").rename(alice / "cur" / "1.h,U=1;2,S")
    await log.until(("alice", "MessageRead"))
    (alice / "cur" / "1.h,U=1;2,S").rename(alice / "cur" / "1.h,U=1;2,")
    await log.until(("alice", "FlagsClear"))
    (alice / "cur" / "1.h,U=1;2,").rename(alice / ".Work" / "cur" / "1.h,U=5:2,")
    await log.until(("alice", "MessageAppend"), ("alice", "MessageExpunge"))
    (alice / ".Work" / "cur" / "1.h,U=5:2,").rename(alice / "new" / "1.h")
    await log.until(("alice", "MessageAppend"), ("alice", "MessageExpunge"))
    assert log.told() == []


async def test_moves_while_it_was_down_are_no_deliveries(start: Start, root: Path, log: Log) -> None:
    # More folders than are looked at in one round.
    maildir = inbox(root)
    folders = [maildir.add_folder(f"Folder{number}") for number in range(3 * ROUND_SCOPES)]
    for folder in folders:
        folder.add(MAIL)
    first = await started(start, root)
    await eventually(lambda: first.value("tidings_publisher_maildir_scan_seconds_count") == len(folders) + 1)
    await first.stop()
    for number in range(len(folders)):
        (message,) = (root / "alice" / f".Folder{number}" / "new").iterdir()
        to = root / "alice" / f".Folder{(number + len(folders) // 2) % len(folders)}" / "cur" / f"{message.name}:2,"
        message.rename(to)
    again = await started(start, root)
    await eventually(lambda: again.value("tidings_publisher_maildir_scan_seconds_count") == len(folders) + 1)
    inbox(root, "bob")
    await log.until(("bob", "MailboxCreate"), ("alice", "MessageAppend"), ("alice", "MessageExpunge"))
    assert "MessageNew" not in {change.event for change in log.changes}


async def test_what_is_still_being_written_is_told_again_when_it_is_complete(
    start: Start, root: Path, log: Log
) -> None:
    inbox(root)
    await started(start, root)
    with (root / "alice" / "new" / "1.h").open("w") as file:
        await log.until(("alice", "MessageNew"))
        file.write(MAIL)
        file.flush()
        assert log.told() == []
    await log.until(("alice", "MessageNew"))
    with (root / "alice" / "new" / "2.h").open("w") as file:
        await log.until(("alice", "MessageNew"))
        (root / "alice" / "new" / "2.h").rename(root / "alice" / "cur" / "2.h:2,S")
        await log.until(("alice", "MessageRead"))
    await log.until(("alice", "MessageAppend"))


async def test_an_account_behind_a_link_may_be_replaced_come_late_and_be_deleted(
    root: Path, log: Log, tmp_path: Path
) -> None:
    target = tmp_path / "a"
    async with polling(root, log, tmp_path):
        (root / "linked").symlink_to(target)
        (root / "late").symlink_to(tmp_path / "b")
        inbox(tmp_path, "a").add(MAIL)
        await log.until(("linked", "MailboxCreate"), ("linked", "MessageNew"))
        target.rename(tmp_path / "old")
        inbox(tmp_path, "a").add(MAIL)
        await log.until(("linked", "MessageNew"))
        inbox(tmp_path, "b").add(MAIL)
        await log.until(("late", "MailboxCreate"), ("late", "MessageNew"))
        inbox(tmp_path, "b").add(MAIL)
        await log.until(("late", "MessageNew"))
        shutil.rmtree(target)
        await log.until(("linked", "MailboxDelete"))
        inbox(tmp_path, "a").add(MAIL)
        await log.until(("linked", "MailboxCreate"), ("linked", "MessageNew"))
        # What was there before tells nothing more.
        inbox(tmp_path, "old").add(MAIL)
        inbox(tmp_path, "a").add(MAIL)
        await log.until(("linked", "MessageNew"))


async def test_an_account_may_be_mounted_over(root: Path, log: Log, tmp_path: Path) -> None:
    inbox(root, "mounted")
    other = inbox(tmp_path, "c")
    async with polling(root, log, tmp_path) as running:
        # What is there when it is looked at for the first time is no news.
        await eventually(lambda: running.value("tidings_publisher_maildir_watches") == 4)
        with mounted(tmp_path / "c", root / "mounted"):
            other.add(MAIL)
            await log.until(("mounted", "MessageNew"))
            inbox(root, "mounted").add(MAIL)
            await log.until(("mounted", "MessageNew"))
        await log.until(("mounted", "MessageExpunge"))
        inbox(root, "mounted").add(MAIL)
        await log.until(("mounted", "MessageNew"))


async def test_nothing_of_anothers_is_told_through_a_link(start: Start, root: Path, log: Log) -> None:
    alice = inbox(root)
    alice.add_folder("Work")
    for directory in ("mallory", "mallory/.Work", "mallory/Sub"):
        (root / directory).mkdir()
    for link, to in {"cur": "cur", "new": "new", ".Else": ".Work", ".Work/cur": ".Work/cur", "Sub/deep": "."}.items():
        (root / "mallory" / link).symlink_to(root / "alice" / to)
    await started(start, root)
    alice.add(MAIL)
    alice.get_folder("Work").add(MAIL)
    await log.until(("alice", "MessageNew"))
    # The same again, by events.
    (root / "mallory" / "link").symlink_to(root / "alice" / "new")
    (root / "mallory" / "link").rename(root / "mallory" / "new")
    (root / "mallory" / "Moved").symlink_to(root / "alice")
    alice.add(MAIL)
    inbox(root, "bob")
    await log.until(("bob", "MailboxCreate"), ("alice", "MessageNew"))
    assert "mallory" not in {account for account, _ in log.everything}


async def test_maildrop_delivers(start: Start, root: Path, log: Log, tmp_path: Path) -> None:
    inbox(root)
    await started(start, root)
    rules = tmp_path / "mailfilter"
    rules.write_text(f'to "{root}/alice/"\n')
    rules.chmod(0o600)
    maildrop = shutil.which("maildrop")
    assert maildrop is not None, "install it with `apt-get install maildrop`"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(maildrop, str(rules), stdin=asyncio.subprocess.PIPE, env=environment)
    await process.communicate(MAIL.encode())
    assert process.returncode == 0
    await log.until(("alice", "MessageNew"))


async def test_folders_and_accounts_may_go(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    maildir.add_folder("Work").add(MAIL)
    await started(start, root)
    folder = maildir.get_folder("Work")
    folder.clear()
    maildir.remove_folder("Work")
    await log.until(("alice", "MailboxDelete"), ("alice", "MessageExpunge"))
    (root / "alice").rename(root / "bob")
    await log.until(("alice", "MailboxDelete"), ("bob", "MailboxCreate"))
    inbox(root, "bob").add(MAIL)
    await log.until(("bob", "MessageNew"))


async def test_what_changed_while_it_was_down_is_announced(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    key = maildir.add(MAIL)
    inbox(root, "bob")
    first = await started(start, root)
    await first.stop()
    maildir.discard(key)
    inbox(root, "bob").add(MAIL)
    inbox(root, "carol").add(MAIL)
    await started(start, root)
    await log.until(("alice", "MessageExpunge"), ("bob", "MessageNew"), ("carol", "MailboxCreate"))


async def test_an_account_that_comes_while_it_is_down_is_news_even_if_it_is_the_first(
    start: Start, root: Path, log: Log
) -> None:
    first = await started(start, root)
    await first.stop()
    inbox(root).add(MAIL)
    await started(start, root)
    await log.until(("alice", "MailboxCreate"), ("alice", "MessageNew"))


async def test_what_changed_around_a_kill_is_announced(root: Path, tmp_path: Path) -> None:
    announcer = await Announcer.start(root, tmp_path / "state")
    maildir = inbox(root)
    for _ in range(50):
        maildir.add(MAIL)
    await announcer.until(("alice", "MessageNew"))
    # What is told first is remembered before what is told next: both rounds are over, also where they are one.
    for account in ("carol", "dave"):
        inbox(root, account)
        await announcer.until((account, "MailboxCreate"))
    keys = maildir.keys()
    maildir.discard(keys[0])
    await announcer.kill()
    inbox(root, "bob").add(MAIL)
    maildir.discard(keys[1])
    announcer = await Announcer.start(root, tmp_path / "state")
    try:
        await announcer.until(("alice", "MessageExpunge"), ("bob", "MessageNew"))
    finally:
        await announcer.kill()


async def test_what_was_not_confirmed_is_announced_after_a_restart(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    publisher = await started(start, root)
    log.log.accepts = False
    maildir.add(MAIL)
    await eventually(lambda: bool(publisher.value("tidings_publisher_maildir_retries_total")))
    await publisher.stop()
    log.log.accepts = True
    await started(start, root)
    await log.until(("alice", "MessageNew"))


async def test_a_log_that_is_away_is_waited_for(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    publisher = await started(start, root)
    log.log.accepts = False
    keys = [maildir.add(MAIL) for _ in range(5)]
    await eventually(lambda: bool(publisher.value("tidings_publisher_maildir_retries_total")))
    maildir.discard(keys[0])
    log.log.accepts = True
    await log.until(("alice", "MessageNew"))
    # It goes on where it was.
    maildir.discard(keys[1])
    await log.until(("alice", "MessageExpunge"))
    assert set(log.told()) <= {("alice", "MessageExpunge")}


async def test_a_fault_of_ours_is_logged_and_counted_and_loses_nothing(root: Path, tmp_path: Path) -> None:
    submitted: list[Change] = []
    faults = [ZeroDivisionError("a fault of the test")]

    async def submit(changes: Sequence[Change]) -> None:
        if changes and faults:
            raise faults.pop()
        submitted.extend(changes)

    runtime = new_runtime()
    source = maildir_source(root, tmp_path / "state", submit, runtime, PublisherMetrics(runtime.registry))
    with capture_logs() as logs:
        running = await Running([source], runtime).start()
        try:
            await eventually(lambda: running.value("tidings_publisher_maildir_rescans_total", reason="start") == 1)
            inbox(root).add(MAIL)
            await eventually(lambda: any(change.event == "MessageNew" for change in submitted))
        finally:
            await running.stop()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["maildir announcing failed"]
    assert running.value("tidings_publisher_failures_total", part="maildir") == 1


async def test_a_state_that_cannot_be_written_keeps_no_delivery_waiting(
    root: Path, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, over = threading.Event(), threading.Event()
    refused: list[Finding] = []
    taken: list[Finding] = []
    advance = Snapshot.advance

    def advanced(snapshot: Snapshot, findings: Iterable[Finding]) -> None:
        new = [finding for finding in findings if "MessageNew" in finding.difference.events]
        if not over.is_set():
            refused.extend(new)
            if ends.is_set() and new:
                over.set()
            raise sqlite3.OperationalError("database or disk is full")
        advance(snapshot, findings)
        taken.extend(new)

    maildir = inbox(root)
    with capture_logs() as logs:
        async with polling(root, log, tmp_path) as running:
            monkeypatch.setattr(Snapshot, "advance", advanced)
            for _ in range(3):
                maildir.add(MAIL)
                await log.until(("alice", "MessageNew"))
            # What the state does not have is announced again and again, and once more as it can be written.
            ends.set()
            await eventually(lambda: sum(len(finding.difference.stored) for finding in taken) == 3)
            told = ("alice", "MessageNew")
            await eventually(lambda: log.everything.count(told) == len(refused) + len(taken))
    assert {line["event"] for line in logs if line["log_level"] == "error"} == {"state file cannot be written"}
    assert not running.value("tidings_publisher_maildir_retries_total")


async def test_a_root_that_is_away_while_the_state_cannot_be_written(
    start: Start, root: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def finish(_: Snapshot) -> None:
        asked.set()
        raise sqlite3.OperationalError("disk I/O error")

    await started(start, root)
    monkeypatch.setattr(Snapshot, "finish", finish)
    root.rmdir()
    await eventually(asked.is_set)
    staged = root.with_name("staged")
    staged.mkdir()
    inbox(staged).add(MAIL)
    staged.rename(root)
    await log.until(("alice", "MessageNew"))


class RootOnly(Watches):
    """No watch left for anything but the root: the kernel's own limit is the whole machine's."""

    def add(self, directory: Directory) -> None:
        raise NoWatchLeftError(errno.ENOSPC, "No space left on device")


async def test_what_cannot_be_watched_is_polled(
    root: Path, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.publisher.sources.maildir.source.Watches", RootOnly)
    maildir = inbox(root)
    async with polling(root, log, tmp_path) as running:
        await eventually(lambda: bool(running.value("tidings_publisher_maildir_unwatched")))
        maildir.add(MAIL)
        await log.until(("alice", "MessageNew"))


async def test_a_root_that_comes_later_is_all_news(start: Start, root: Path, log: Log) -> None:
    root.rmdir()
    with capture_logs() as logs:
        await start(maildir=root)
        await eventually(lambda: any("cannot be read" in line["event"] for line in logs))
    staged = root.with_name("staged")
    staged.mkdir()
    inbox(staged).add(MAIL)
    staged.rename(root)
    await log.until(("alice", "MailboxCreate"), ("alice", "MessageNew"))


async def test_a_root_that_goes_and_returns(start: Start, root: Path, log: Log) -> None:
    inbox(root).add(MAIL)
    await started(start, root)
    away = root.with_name("away")
    root.rename(away)
    inbox(away).add_folder("Work")
    away.rename(root)
    await log.until(("alice", "MailboxCreate"))
    assert log.told() == []
    inbox(root).add(MAIL)
    await log.until(("alice", "MessageNew"))


async def test_a_root_that_is_replaced_from_above_is_noticed(log: Log, tmp_path: Path) -> None:
    root = tmp_path / "above" / "mail"
    root.mkdir(parents=True)
    async with polling(root, log, tmp_path):
        staged = tmp_path / "staged" / "mail"
        staged.mkdir(parents=True)
        inbox(staged).add(MAIL)
        root.parent.rename(tmp_path / "gone")
        staged.parent.rename(root.parent)
        await log.until(("alice", "MessageNew"))


async def test_an_overflow_of_the_kernels_queue_is_a_rescan(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    publisher = await started(start, root)
    churn = root / "alice" / "new" / "churn"
    # The loop reads no event meanwhile, and the kernel keeps only so many.
    for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())):
        churn.touch()
        churn.unlink()
    maildir.add(MAIL)
    await log.until(("alice", "MessageNew"))
    await eventually(lambda: publisher.value("tidings_publisher_maildir_rescans_total", reason="overflow") == 1)


async def test_oddities_do_no_harm(start: Start, root: Path, log: Log, tmp_path: Path) -> None:
    maildir = inbox(root)
    (root / "two\nlines").mkdir()
    (root / "file").touch()
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "alice" / "cur" / "fifo")
    await started(start, root)
    (root / "alice" / "new" / "directory").mkdir()
    (root / "alice" / "new" / ".lock").touch()
    (root / "alice" / "cur" / "link").symlink_to(root)
    (root / "alice" / ".Loop").symlink_to(root / "alice")
    Path(f"{root}/alice/new/1.\udcff").touch()
    await log.until(("alice", "MessageNew"))
    maildir.add(MAIL)
    await log.until(("alice", "MessageNew"))
    assert log.told() == []


async def test_two_publishers_do_not_share_a_state_directory(
    start: Start, root: Path, log: Log, tmp_path: Path
) -> None:
    await started(start, root)
    runtime = new_runtime()
    metrics = PublisherMetrics(runtime.registry)
    source = maildir_source(
        root, tmp_path / "state", Batcher(log.log, metrics, batch_traces()).submit, runtime, metrics
    )
    with pytest.raises(SettingsError, match="--state-dir"):
        await source.start()


async def test_a_delivery_is_announced_soon(start: Start, root: Path, log: Log) -> None:
    maildir = inbox(root)
    await started(start, root)
    maildir.add(MAIL)
    await eventually(lambda: bool(log.changes))
    (change,) = log.changes
    assert change.time is not None
    assert change.ingested >= change.time


@asynccontextmanager
async def polling(root: Path, log: Log, tmp_path: Path) -> AsyncIterator[Running]:
    """A source that has begun, and polls often."""
    runtime = new_runtime()
    metrics = PublisherMetrics(runtime.registry)
    batcher = Batcher(log.log, metrics, batch_traces())
    source = maildir_source(root, tmp_path / "state", batcher.submit, runtime, metrics, poll_seconds=0.05)
    running = await Running([batcher, source], runtime).start()
    try:
        await eventually(lambda: running.value("tidings_publisher_maildir_rescans_total", reason="start") == 1)
        yield running
    finally:
        await running.stop()


async def started(start: Start, root: Path) -> Running:
    """A publisher that has taken in what is there."""
    running = await start(maildir=root)
    (source,) = (service for service in running.services if isinstance(service, MaildirSource))
    accounts = sum(1 for each in root.iterdir() if each.is_dir() and each.name.isprintable())
    await eventually(
        lambda: (
            (running.value("tidings_publisher_maildir_scan_seconds_count") or 0) >= accounts
            and running.value("tidings_publisher_maildir_rescans_total", reason="start") == 1
            # A folder is counted before others of its account are looked at, and before the state has it.
            and not source._agenda.checking
            and not source._taking_in
        )
    )
    return running
