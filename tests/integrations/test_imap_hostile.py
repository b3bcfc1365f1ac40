"""What no real IMAP server does: it floods, tears its lines, repeats secrets, or is none at all."""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.imap_fake import GREETING, Peer, fake_imap
from tests.support.publisher import Log, Start
from tests.support.virtual import virtual_time
from tests.support.waiting import eventually
from tidings.errors import ImapError
from tidings.publisher.sources.imap import connection as connections
from tidings.publisher.sources.imap.address import Address, Protection
from tidings.publisher.sources.imap.connection import Connection
from tidings.publisher.sources.imap.pacing import Allowance
from tidings.publisher.sources.imap.view import View

SECONDS = 20.0
SECRET = "hunter2hunter2"
INBOX = b'* LIST (\\Subscribed) "/" INBOX\r\n* STATUS INBOX (%b)\r\n'
FIRST = b"MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7 UNSEEN 1 HIGHESTMODSEQ 5"
SECOND = b"MESSAGES 2 UIDNEXT 3 UIDVALIDITY 7 UNSEEN 2 HIGHESTMODSEQ 6"

Script = Callable[[Peer], Awaitable[None]]
Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    file = tmp_path / "accounts"
    file.write_text(f"alice password={SECRET}\n")
    return file


async def complaint(start: Start, accounts: Path, script: Script) -> str:
    """What the log says of a server that follows this script, and of no fault of ours."""
    async with fake_imap(script) as port:
        with capture_logs() as logs:
            running = await start(imap_url=f"imap://127.0.0.1:{port}", imap_accounts=accounts)
            said: Logs = []

            def has_said() -> bool:
                said[:] = [event for event in logs if "cannot be listened to" in event["event"]]
                return bool(said)

            await eventually(has_said, SECONDS)
        await running.stop()
        assert SECRET not in str(logs)
        assert not running.value("tidings_publisher_failures_total", part="imap")
        return str(said[0]["error"])


async def test_a_line_without_end_is_cut(start: Start, accounts: Path) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.say(b"* OK " + b"a" * 100_000)

    assert "more than 65536 bytes" in await complaint(start, accounts, script)


async def test_a_literal_that_is_too_large_is_not_waited_for(start: Start, accounts: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(GREETING + b"* STATUS {99999999}\r\n")
        await peer.ended()

    assert "more than 65536 bytes" in await complaint(start, accounts, script)


async def test_a_server_that_floods_is_cut(start: Start, accounts: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        while True:
            await peer.say(b"* STATUS INBOX (MESSAGES 1)\r\n" * 1_000)

    assert "floods" in await complaint(start, accounts, script)


async def test_what_is_no_imap_is_said(start: Start, accounts: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"220 mail.example ESMTP\r\n")
        await peer.ended()

    assert "the server sent a line that is not an IMAP response: '220 mail.example ESMTP'" in await complaint(
        start, accounts, script
    )


@pytest.mark.parametrize("end", [b"BAD I do not know %b", b"NO [ALERT %b] really", b"WHAT %b", b"OK ok\r\n* STATUS %b"])
async def test_a_secret_that_the_server_repeats_is_not_logged(start: Start, accounts: Path, end: bytes) -> None:
    encoded = b64encode(f"\0alice\0{SECRET}".encode())

    async def script(peer: Peer) -> None:
        await peer.say(GREETING)
        text = await peer.command(b"AUTHENTICATE", end=end % (encoded + b" " + SECRET.encode()))
        assert encoded in text

    assert encoded.decode() not in await complaint(start, accounts, script)


async def test_lines_may_be_torn_and_a_server_may_stop_to_tell(start: Start, log: Log, accounts: Path) -> None:
    async def slowly(peer: Peer, said: bytes) -> None:
        for byte in said:
            await peer.say(bytes([byte]))
            await asyncio.sleep(0)

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.command(b"ENABLE CONDSTORE")
        await peer.command(b"NOTIFY SET")
        await peer.command(b"LIST", INBOX % FIRST)
        await slowly(peer, b"* STATUS {5}\r\nINBOX (MESSAGES 2 UIDNEXT 3 UNSEEN 2 HIGHESTMODSEQ 6)\r\n")
        await log.until(("alice", "MessageNew"))
        await slowly(peer, b"* OK [NOTIFICATIONOVERFLOW] too much\r\n")
        await peer.command(b"NOTIFY SET")
        await peer.command(b"LIST", INBOX % FIRST)
        await peer.ended()

    async with fake_imap(script) as port:
        running = await start(imap_url=f"imap://127.0.0.1:{port}", imap_accounts=accounts)
        await eventually(lambda: ("alice", "MessageExpunge") in log.told(), SECONDS)
        await running.stop()


async def test_a_server_whose_notify_knows_less_is_asked_to_idle(start: Start, log: Log, accounts: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.command(b"ENABLE CONDSTORE")
        await peer.command(b"NOTIFY SET", end=b"NO [BADEVENT (MessageNew MessageExpunge)] not these")
        await peer.command(b"EXAMINE INBOX", b"* 1 EXISTS\r\n")
        await peer.command(b"LIST", INBOX % FIRST)
        await peer.idle(b"* 2 EXISTS\r\n")
        await peer.command(b"LIST", INBOX % SECOND)
        await peer.idle(b"")

    async with fake_imap(script) as port:
        running = await start(imap_url=f"imap://127.0.0.1:{port}", imap_accounts=accounts)
        await log.until(("alice", "MessageNew"))
        await running.stop()


async def test_flags_of_a_server_without_modseqs_are_told(start: Start, log: Log, accounts: Path) -> None:
    old = b"MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7 UNSEEN 1"

    async def script(peer: Peer) -> None:
        await peer.say(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
        await peer.command(b"AUTHENTICATE PLAIN", end=b"OK [CAPABILITY IMAP4rev1 IDLE] in")
        await peer.command(b"EXAMINE INBOX", b"* 1 EXISTS\r\n")
        for _ in range(2):
            await peer.command(b"LIST", b'* LIST () "/" INBOX\r\n* LIST (\\Noselect) "/" Parent\r\n')
            await peer.command(b'STATUS "INBOX"', b"* STATUS INBOX (%b)\r\n" % old)
            await peer.idle(b"* 1 FETCH (FLAGS (\\Flagged))\r\n")

    async with fake_imap(script) as port:
        running = await start(imap_url=f"imap://127.0.0.1:{port}", imap_accounts=accounts)
        await log.until(("alice", "FlagsSet"))
        await running.stop()


async def test_a_server_with_many_mailboxes_and_much_to_tell_is_no_flood(
    start: Start, log: Log, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailboxes, looks = 10, 6
    # More than a look has, and fewer than all of them.
    monkeypatch.setattr("tidings.publisher.sources.imap.connection.Allowance", lambda: Allowance(6 * mailboxes, 0.001))
    other = b'* LIST () "/" M%d\r\n* STATUS M%d (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7 UNSEEN 0)\r\n'
    others = b"".join(other % (number, number) for number in range(1, mailboxes))

    async def script(peer: Peer) -> None:
        await peer.say(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
        await peer.command(b"AUTHENTICATE PLAIN", end=b"OK [CAPABILITY IMAP4rev1 IDLE LIST-EXTENDED LIST-STATUS] in")
        await peer.command(b"EXAMINE INBOX", b"* 1 EXISTS\r\n")
        for number in range(1, looks + 1):
            inbox = INBOX % (b"MESSAGES %d UIDNEXT %d UIDVALIDITY 7 UNSEEN 1" % (number, number + 1))
            await peer.command(b"LIST", inbox + others)
            await peer.idle(b"* %d EXISTS\r\n" % (number + 1))

    async with fake_imap(script) as port:
        running = await start(imap_url=f"imap://127.0.0.1:{port}", imap_accounts=accounts)
        await eventually(lambda: log.everything.count(("alice", "MessageNew")) >= looks - 1, SECONDS)
        assert not running.value("tidings_publisher_imap_failures_total", reason="protocol")
        await running.stop()


async def test_nothing_between_starttls_and_tls_is_believed() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
        await peer.command(b"STARTTLS", end=b"OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN")
        await peer.ended()

    async with fake_imap(script) as port:
        address = Address("127.0.0.1", port, Protection.STARTTLS)
        connection = Connection(address, ssl.create_default_context(), View().take)
        with pytest.raises(ImapError, match="between STARTTLS and TLS"):
            await connection.open()
        await connection.close()


async def test_who_is_listened_to_does_not_depend_on_the_state(
    start: Start, log: Log, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only(user: str) -> None:
        accounts.write_text(f"{user} password=x\n")

    def refused(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("tidings.publisher.sources.imap.source.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("tidings.publisher.sources.imap.state.State.keep", refused)
    monkeypatch.setattr("tidings.publisher.sources.imap.state.State.save", refused)

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.command(b"ENABLE CONDSTORE")
        await peer.command(b"NOTIFY SET")
        await peer.command(b"LIST", INBOX % FIRST)
        await peer.say(b"* STATUS INBOX (%b)\r\n" % SECOND)
        await peer.ended()

    async with fake_imap(script) as port:
        running = await start(imap_url=f"imap://127.0.0.1:{port}", imap_accounts=accounts)
        await log.until(("alice", "MessageNew"))
        only("bob")
        await log.until(("bob", "MessageNew"))
        only("carol")
        await log.until(("carol", "MessageNew"))
        await running.stop()


async def test_a_server_without_starttls_is_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"* OK ready\r\n")
        await peer.command(b"STARTTLS", end=b"BAD what")
        await peer.ended()

    async with fake_imap(script) as port:
        address = Address("127.0.0.1", port, Protection.STARTTLS)
        connection = Connection(address, ssl.create_default_context(), View().take)
        with pytest.raises(ImapError, match="STARTTLS: BAD what"):
            await connection.open()
        await connection.close()


def in_virtual_time(doing: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A machine that pauses would pass for a server that is silent."""
    with virtual_time() as loop, asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(doing())


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OPEN_SECONDS", 0.1)
    monkeypatch.setattr(connections, "COMMAND_SECONDS", 0.1)

    async def script(peer: Peer) -> None:
        await peer.ended()

    async def greeting(peer: Peer) -> None:
        await peer.say(GREETING)
        await peer.ended()

    async def listen() -> None:
        async with fake_imap(script) as port:
            address = Address("127.0.0.1", port, Protection.NONE)
            connection = Connection(address, ssl.create_default_context(), View().take)
            with pytest.raises(ImapError, match=r"no greeting within 0.1 s"):
                await connection.open()
            await connection.close()
        async with fake_imap(greeting) as port:
            address = Address("127.0.0.1", port, Protection.NONE)
            connection = Connection(address, ssl.create_default_context(), View().take)
            await connection.open()
            with pytest.raises(ImapError, match=r"LIST: no answer within 0.1 s"):
                await connection.command(b"LIST")
            with pytest.raises(ImapError, match=r"IDLE: no answer within 0.1 s"):
                await connection.idle()
            await connection.close()

    in_virtual_time(listen)


def test_an_answer_may_take_long_while_it_goes_on_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = 1.0
    monkeypatch.setattr(connections, "COMMAND_SECONDS", silence)

    async def script(peer: Peer) -> None:
        await peer.say(GREETING)
        for _ in range(8):
            await peer.say(INBOX % FIRST)
            await asyncio.sleep(silence / 4)
        await peer.command(b"LIST")
        while True:
            await peer.say(INBOX % FIRST)
            await asyncio.sleep(silence / 4)

    async def listen() -> None:
        async with fake_imap(script) as port:
            address = Address("127.0.0.1", port, Protection.NONE)
            connection = Connection(address, ssl.create_default_context(), View().take)
            await connection.open()
            await connection.command(b"LIST")
            monkeypatch.setattr(connections, "LONGEST_SECONDS", 2 * silence)
            with pytest.raises(ImapError, match="LIST: no answer"):
                await connection.command(b"LIST")
            await connection.close()

    in_virtual_time(listen)


@pytest.mark.parametrize("connected_anew", [False, True], ids=["listening", "connected anew"])
@pytest.mark.parametrize("names", [(), (b"Old", b"New")], ids=["neither name", "both names"])
async def test_a_look_that_comes_while_a_mailbox_gets_another_name_is_no_news(
    start: Start, log: Log, accounts: Path, names: Sequence[bytes], connected_anew: bool
) -> None:
    """A server reads its names one after the other, so that an answer may have neither name of a mailbox, or both."""
    folder = b'* LIST () "/" %b\r\n* STATUS %b (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 8 UNSEEN 0 HIGHESTMODSEQ 9)\r\n'
    inbox = INBOX % FIRST
    connected = count(1)

    async def script(peer: Peer) -> None:
        await peer.log_in()
        await peer.command(b"ENABLE")
        await peer.command(b"NOTIFY")
        if next(connected) == 1:
            await peer.command(b"LIST", inbox + folder % (b"Old", b"Old"))
            await peer.say(b'* LIST (\\NonExistent) "/" Old\r\n')
            if connected_anew:
                await peer.command(b"LIST", end=b"NO later")
                return
        await peer.command(b"LIST", inbox + b"".join(folder % (name, name) for name in names))
        await peer.command(b"LIST", inbox + folder % (b"New", b"New"))
        await peer.ended()

    async with fake_imap(script) as port:
        running = await start(imap_url=f"imap://127.0.0.1:{port}", imap_accounts=accounts)
        await eventually(lambda: log.everything, SECONDS)
        await running.stop()
    assert log.everything == [("alice", "MailboxRename")]
