"""Cyrus over IMAP: a server without NOTIFY that is no Dovecot."""

from __future__ import annotations

import asyncio
import imaplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cyrus import MESSAGE, PASSWORD, RELEASES, Cyrus
from tests.support.publisher import Log, Start
from tests.support.steps import Steps
from tests.support.waiting import eventually

SECONDS = 30.0


@pytest.fixture(scope="module", params=sorted(RELEASES))
def cyrus(request: pytest.FixtureRequest) -> Iterator[Cyrus]:
    with Cyrus(request.param, "datagram") as server:
        yield server


def ok(answer: tuple[str, object]) -> None:
    assert answer[0] == "OK"


async def test_every_kind_of_change_is_told(start: Start, log: Log, cyrus: Cyrus, tmp_path: Path) -> None:
    accounts = tmp_path / "accounts"
    # Who may authorize as others is an administrator there, here the user cyrus.
    accounts.write_text(f"master cyrus password={PASSWORD}\nalice\nbob password={PASSWORD}\n")
    settings = {
        "imap_url": f"imap://127.0.0.1:{cyrus.imap_port}",
        "imap_accounts": accounts,
        "imap_poll_seconds": 2,
    }
    running = await start(**settings)
    await eventually(lambda: running.value("tidings_publisher_imap_connections") == 2, SECONDS)
    alice, bob = Steps(log, "alice"), Steps(log, "bob")
    await alice.step(lambda: cyrus.deliver("alice", "bob"), "MessageNew")
    await bob.step(lambda: None, "MessageNew")
    imap = await asyncio.to_thread(cyrus.imap, "alice")
    await alice.step(lambda: ok(imap.append("INBOX", "", "", MESSAGE)), "MessageNew")
    await alice.step(lambda: ok(imap.create('"a[b"')), "MailboxCreate")
    await alice.step(lambda: ok(imap.subscribe('"a[b"')), "MailboxSubscribe")
    await asyncio.to_thread(imap.select, "INBOX")
    await alice.step(lambda: ok(imap.store("1", "+FLAGS", "\\Seen")), "MessageRead")
    await alice.step(lambda: ok(imap.store("1", "-FLAGS", "\\Seen")), "FlagsClear")
    await alice.step(lambda: ok(imap.store("1", "+FLAGS", "\\Flagged")), "FlagsSet")
    await alice.step(lambda: ok(imap.copy("1", '"a[b"')), "MessageNew")
    await alice.step(lambda: ok(imap.store("1", "+FLAGS", "\\Deleted")), "FlagsSet")
    await alice.step(lambda: ok(imap.expunge()), "MessageExpunge")
    # Cyrus raises the HIGHESTMODSEQ with the name: flags may have changed as well.
    may = ("MailboxUnSubscribe", "FlagsSet")
    await alice.step(lambda: ok(imap.rename('"a[b"', "Old")), "MailboxRename", may=may)
    # What happens while nobody listens is told afterwards, and nothing else.
    await running.stop()
    await asyncio.to_thread(cyrus.deliver, "bob")
    await start(**settings)
    await bob.step(lambda: None, "MessageNew")
    await alice.step(lambda: ok(imap.delete("Old")), "MailboxDelete", "MessageExpunge", may=("MailboxUnSubscribe",))
    await asyncio.to_thread(logged_out, imap)


def logged_out(imap: imaplib.IMAP4) -> None:
    imap.logout()
