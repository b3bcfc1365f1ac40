"""What happens in the mailboxes of a stock IMAP server reaches the log; the server may go, come and be full."""

# ruff: noqa: ASYNC240 - small files in the test's own directory

from __future__ import annotations

import asyncio
import base64
import imaplib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import uvloop
from structlog.testing import capture_logs

from tests.support.dovecot_server import RELEASES
from tests.support.imap_server import MASTER, MASTER_PASSWORD, MESSAGE, PASSWORD, Dovecot
from tests.support.publisher import Log, Running, Start
from tests.support.steps import Steps
from tests.support.tls import make_certificate
from tests.support.waiting import eventually, within
from tidings.errors import ImapError
from tidings.publisher.sources.imap.address import Address, Protection
from tidings.publisher.sources.imap.connection import Connection
from tidings.publisher.sources.imap.view import View

SECONDS = 30.0
MASTER_LINE = f'master {MASTER} password="{MASTER_PASSWORD}"\n'
POOR = "IMAP4rev1 SASL-IR"
IDLING = f"{POOR} ENABLE IDLE LIST-EXTENDED LIST-STATUS CONDSTORE"
OAUTH_KEY = b"a key of thirty-two bytes or more"

Logs = list[MutableMapping[str, Any]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module", params=sorted(RELEASES))
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def dovecot(version: str, tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Dovecot]:
    """A server that runs on: each test takes users that no other takes."""
    with _serving(
        version, tmp_path_factory, certificate, users=30, oauth_key=base64.b64encode(OAUTH_KEY), most=2
    ) as server:
        yield server


@contextmanager
def _serving(
    version: str, factory: pytest.TempPathFactory, certificate: Path, users: int = 1, **members: Any
) -> Iterator[Dovecot]:
    names = [f"user{number}" for number in range(users)]
    with Dovecot(version, factory.mktemp("imap"), names, certificate, **members) as server:
        try:
            yield server
        finally:
            sys.stdout.write(server.said())


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


def rewrite(accounts: Path, text: str) -> None:
    """Give the file other contents at once: the publisher looks into it at any time, in a thread."""
    other = accounts.with_name("accounts.new")
    other.write_text(text)
    other.replace(accounts)


def listening(running: Running) -> float | None:
    return running.value("tidings_publisher_imap_connections")


async def listened(running: Running, accounts: int = 1) -> None:
    """Wait until so many accounts are listened to."""
    await eventually(lambda: listening(running) == accounts, SECONDS)


def store(imap: imaplib.IMAP4, numbers: str, how: str, flag: str) -> None:
    assert imap.store(numbers, how, flag)[0] == "OK"


def move(imap: imaplib.IMAP4, numbers: str, mailbox: str) -> None:
    assert imap.xatom("MOVE", numbers, mailbox)[0] == "OK"


async def test_every_kind_of_change_is_told(start: Start, log: Log, dovecot: Dovecot, accounts: Path) -> None:
    accounts.write_text(f"{MASTER_LINE}user0\nuser1 password='{PASSWORD}'\n")
    # Names and subscriptions are found by comparing.
    running = await start(imap_url=dovecot.url(), imap_accounts=accounts, imap_poll_seconds=5)
    await listened(running, 2)
    imap = await asyncio.to_thread(dovecot.imap, "user0")
    alice, bob = Steps(log, "user0"), Steps(log, "user1")
    await alice.step(lambda: dovecot.deliver("user0"), "MessageNew")
    await alice.step(lambda: dovecot.deliver("user0", "user1"), "MessageNew")
    await bob.step(lambda: None, "MessageNew")
    await alice.step(lambda: imap.append("INBOX", "", "", MESSAGE), "MessageNew")
    await alice.step(lambda: imap.create('"a[b"'), "MailboxCreate")
    await alice.step(lambda: imap.create("Archive"), "MailboxCreate")
    await alice.step(lambda: imap.subscribe("Archive"), "MailboxSubscribe")
    await asyncio.to_thread(imap.select, "INBOX")
    await alice.step(lambda: store(imap, "1:3", "+FLAGS", "\\Seen"), "MessageRead")
    await alice.step(lambda: store(imap, "1", "-FLAGS", "\\Seen"), "FlagsClear")
    await alice.step(lambda: store(imap, "1", "+FLAGS", "$Work"), "FlagsSet")
    await alice.step(lambda: store(imap, "1", "-FLAGS", "$Work"), "FlagsSet")
    await alice.step(lambda: imap.copy("2", "Archive"), "MessageAppend")
    await alice.step(lambda: move(imap, "3", "Archive"), "MessageAppend", "MessageExpunge")
    # A mail that nobody has read: where a check comes in between, it may pass for a delivery.
    await alice.step(lambda: move(imap, "1", '"a[b"'), "MessageExpunge", may=("MessageAppend", "MessageNew"))
    await alice.step(lambda: store(imap, "1", "+FLAGS", "\\Deleted"), "FlagsSet", may=("MessageAppend", "MessageNew"))
    await alice.step(imap.expunge, "MessageExpunge")
    # The mail that was moved there may be told of only now.
    their_mail = ("MessageAppend", "MessageNew")
    await alice.step(lambda: imap.rename('"a[b"', "Old"), "MailboxRename", may=their_mail)
    # Mail that nobody has been told of is no reason to take the mailbox for another one.
    await alice.step(
        lambda: (imap.append("Old", "", "", MESSAGE), imap.rename("Old", "Older")), "MailboxRename", may=their_mail
    )
    await alice.step(lambda: imap.unsubscribe("Archive"), "MailboxUnSubscribe")
    await alice.step(lambda: imap.delete("Archive"), "MailboxDelete", "MessageExpunge")
    await asyncio.to_thread(imap.logout)
    assert running.value("tidings_source_connected", source="imap") == 1
    assert running.value("tidings_publisher_imap_untold_total") == 0
    assert "Corrupted" not in dovecot.said()


@pytest.fixture(scope="module")
def idling(version: str, tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Dovecot]:
    """A server without NOTIFY."""
    with _serving(version, tmp_path_factory, certificate, capabilities=IDLING) as server:
        yield server


async def test_a_server_with_idle_tells_of_the_inbox_at_once(
    start: Start, log: Log, idling: Dovecot, accounts: Path
) -> None:
    accounts.write_text(f"{MASTER_LINE}user0\n")
    running = await start(imap_url=idling.url(), imap_accounts=accounts, imap_poll_seconds=1_000)
    await listened(running)
    imap = await asyncio.to_thread(idling.imap, "user0")
    alice = Steps(log, "user0")
    for _ in range(3):
        await alice.step(lambda: idling.deliver("user0"), "MessageNew")
    await asyncio.to_thread(imap.select, "INBOX")
    await alice.step(lambda: store(imap, "1:2", "+FLAGS", "\\Seen"), "MessageRead")
    await alice.step(lambda: store(imap, "1", "+FLAGS", "\\Flagged"), "FlagsSet")
    # What happens elsewhere is found on the next occasion.
    await asyncio.to_thread(imap.create, "Archive")
    await alice.step(lambda: move(imap, "1", "Archive"), "MailboxCreate", "MessageAppend", "MessageExpunge")
    await asyncio.to_thread(imap.logout)


async def test_what_a_server_does_not_tell_of_is_found_by_comparing(
    start: Start, log: Log, version: str, accounts: Path, tmp_path_factory: pytest.TempPathFactory, certificate: Path
) -> None:
    accounts.write_text(f"{MASTER_LINE}user0\n")
    with _serving(version, tmp_path_factory, certificate, capabilities=POOR) as poor:
        running = await start(imap_url=poor.url(), imap_accounts=accounts, imap_poll_seconds=1)
        await listened(running)
        imap = await asyncio.to_thread(poor.imap, "user0")
        alice = Steps(log, "user0")
        await alice.step(lambda: poor.deliver("user0"), "MessageNew")
        await alice.step(lambda: imap.create("Archive"), "MailboxCreate")
        await asyncio.to_thread(imap.select, "INBOX")
        await alice.step(lambda: store(imap, "1", "+FLAGS", "\\Seen"), "MessageRead")
        await alice.step(lambda: imap.copy("1", "Archive"), "MessageAppend")
        # It has no modseq: while nobody listens, any flag may change unseen.
        await running.stop()
        await asyncio.to_thread(store, imap, "1", "+FLAGS", "\\Flagged")
        again = await start(imap_url=poor.url(), imap_accounts=accounts, imap_poll_seconds=1)
        await alice.step(lambda: None, "AccountChanged")
        assert again.value("tidings_source_gaps_total", source="imap", reason="flags") == 1
        await asyncio.to_thread(imap.logout)


async def test_what_changed_while_it_was_away_is_told(start: Start, log: Log, dovecot: Dovecot, accounts: Path) -> None:
    accounts.write_text(f"{MASTER_LINE}user2\nuser3\nuser4\nuser5\n")
    await asyncio.to_thread(dovecot.deliver, "user2", "user3", "user4", "user5", "user3")
    first = await start(imap_url=dovecot.url(), imap_accounts=accounts)
    await listened(first, 4)
    assert log.everything == []
    await first.stop()

    def meanwhile() -> None:
        dovecot.deliver("user2")
        flags = dovecot.imap("user3")
        flags.select("INBOX")
        store(flags, "1", "+FLAGS", "$Work")
        move(flags, "2", "INBOX")
        flags.logout()
        folders = dovecot.imap("user4")
        folders.create("New")
        folders.logout()

    await asyncio.to_thread(meanwhile)
    second = await start(imap_url=dovecot.url(), imap_accounts=accounts)
    await log.until(("user2", "MessageNew"), ("user3", "MessageExpunge"), ("user4", "MailboxCreate"))
    await listened(second, 4)
    assert "user5" not in {account for account, _ in log.everything}
    assert not second.value("tidings_source_gaps_total", source="imap", reason="flags")


async def test_what_the_log_did_not_take_is_told_later(
    start: Start, log: Log, dovecot: Dovecot, accounts: Path
) -> None:
    accounts.write_text(f"{MASTER_LINE}user6\n")
    running = await start(imap_url=dovecot.url(), imap_accounts=accounts)
    await listened(running)
    log.log.accepts = False
    await asyncio.to_thread(dovecot.deliver, "user6")
    await eventually(lambda: running.value("tidings_publisher_batches_total", outcome="failed"), SECONDS)
    await running.stop()
    log.log.accepts = True
    await start(imap_url=dovecot.url(), imap_accounts=accounts)
    await log.until(("user6", "MessageNew"))


async def test_two_hundred_accounts_on_one_server(
    start: Start,
    log: Log,
    version: str,
    accounts: Path,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Path,
) -> None:
    with _serving(version, tmp_path_factory, certificate, users=200) as server:
        accounts.write_text(MASTER_LINE + "\n".join(server.users))
        running = await start(imap_url=server.url(), imap_accounts=accounts)
        await listened(running, 200)
        await asyncio.to_thread(server.deliver, *server.users)
        async with within(60):
            while {account for account, _ in log.everything} != set(server.users):
                await asyncio.sleep(0.05)
        assert set(log.everything) == {(user, "MessageNew") for user in server.users}


async def test_a_server_that_restarts_is_waited_for(
    start: Start,
    log: Log,
    version: str,
    accounts: Path,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Path,
) -> None:
    with _serving(version, tmp_path_factory, certificate, users=10) as server, capture_logs() as logs:
        accounts.write_text(MASTER_LINE + "\n".join(server.users))
        running = await start(imap_url=server.url(), imap_accounts=accounts)
        await listened(running, 10)
        await asyncio.to_thread(server.stop)
        await eventually(lambda: listening(running) == 0, SECONDS)
        # The connection is closed before it is said why.
        await eventually(lambda: running.value("tidings_source_connected", source="imap") == 0, SECONDS)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.deliver, *server.users)
        await log.until(*((user, "MessageNew") for user in server.users))
        await listened(running, 10)
        assert running.value("tidings_source_connected", source="imap") == 1
        assert len(events(logs, "imap connection failed")) == 1
        await eventually(lambda: events(logs, "imap connections work again"), SECONDS)


def events(logs: Logs, name: str) -> Logs:
    return [event for event in logs if event["event"] == name]


async def test_a_wrong_password_is_said_and_mended(start: Start, log: Log, dovecot: Dovecot, accounts: Path) -> None:
    accounts.write_text("# one of them is wrong\nuser7 password=hunter2hunter2\nuser8 password='secret of a user'\n")
    with capture_logs() as logs:
        running = await start(imap_url=dovecot.url(), imap_accounts=accounts)
        await eventually(lambda: events(logs, "imap account cannot be listened to: login"), SECONDS)
        (said,) = events(logs, "imap account cannot be listened to: login")
        assert (said["login"], said["line"]) == ("user7", 2)
        assert "AUTHENTICATIONFAILED" in said["error"]
        await listened(running)
        rewrite(accounts, f"user7 password='{PASSWORD}'\nuser8 {PASSWORD}\n")
        await eventually(
            lambda: events(logs, "imap accounts cannot be read, the earlier accounts stay in use"), SECONDS
        )
        (faulty,) = events(logs, "imap accounts cannot be read, the earlier accounts stay in use")
        assert f"{accounts}:2: " in faulty["error"]
        assert listening(running) == 1
        rewrite(accounts, f"user7 password='{PASSWORD}'\n{MASTER_LINE}user8\n")
        await listened(running, 2)
        await asyncio.to_thread(dovecot.deliver, "user7", "user8")
        await log.until(("user7", "MessageNew"), ("user8", "MessageNew"))
        rewrite(accounts, f"{MASTER_LINE}user8\n")
        await listened(running, 1)
        assert running.value("tidings_publisher_imap_failures_total", reason="login") >= 1  # type: ignore[operator]
    for secret in ("hunter2hunter2", PASSWORD, MASTER_PASSWORD):
        assert secret not in str(logs)


async def test_a_master_user_with_a_wrong_password_is_one_trouble(
    start: Start, dovecot: Dovecot, accounts: Path
) -> None:
    accounts.write_text("master tidings password=wrong\n" + "\n".join(f"user{number}" for number in range(9, 14)))
    with capture_logs() as logs:
        running = await start(imap_url=dovecot.url(), imap_accounts=accounts)
        await eventually(lambda: running.value("tidings_publisher_imap_failures_total", reason="login") == 5, SECONDS)
    (said,) = events(logs, "imap account cannot be listened to: login")
    assert said["master"] == "tidings"


async def test_a_limit_of_the_server_is_named(start: Start, log: Log, dovecot: Dovecot, accounts: Path) -> None:
    # It allows a user two connections from one address.
    others = [await asyncio.to_thread(dovecot.imap, "user14") for _ in range(2)]
    accounts.write_text(f"user14 password='{PASSWORD}'\n")
    with capture_logs() as logs:
        running = await start(imap_url=dovecot.url(), imap_accounts=accounts)
        await eventually(lambda: events(logs, "imap server reached a limit"), SECONDS)
        (said,) = events(logs, "imap server reached a limit")
        assert "mail_max_userip_connections=2" in said["error"]
        assert "mail_max_userip_connections" in said["advice"]
        for other in others:
            await asyncio.to_thread(other.logout)
        await listened(running)
        await eventually(lambda: events(logs, "imap server has room again"), SECONDS)
    await asyncio.to_thread(dovecot.deliver, "user14")
    await log.until(("user14", "MessageNew"))


async def test_logins_are_mapped_to_accounts(start: Start, log: Log, dovecot: Dovecot, accounts: Path) -> None:
    accounts.write_text(f"{MASTER_LINE}user20\nuser21\n")
    rules = accounts.with_name("map.toml")
    rules.write_text("[[rule]]\nmatch = '(?P<name>user)20'\naccount = '{name}-of-the-map'\n")
    running = await start(imap_url=dovecot.url(), imap_accounts=accounts, account_map=rules)
    await listened(running, 2)
    await asyncio.to_thread(dovecot.deliver, "user20", "user21")
    await log.until(("user-of-the-map", "MessageNew"))
    await eventually(lambda: running.value("tidings_source_unmapped_total", source="imap") == 1, SECONDS)
    assert {account for account, _ in log.everything} == {"user-of-the-map"}


async def test_where_the_state_is_lost_accounts_are_told_to_look(
    start: Start, log: Log, dovecot: Dovecot, accounts: Path, tmp_path: Path
) -> None:
    accounts.write_text(f"{MASTER_LINE}user22\n")
    first = await start(imap_url=dovecot.url(), imap_accounts=accounts)
    await listened(first)
    await first.stop()
    (tmp_path / "state" / "imap.sqlite").write_bytes(b"no database")
    second = await start(imap_url=dovecot.url(), imap_accounts=accounts)
    await log.until(("user22", "AccountChanged"))
    assert second.value("tidings_source_gaps_total", source="imap", reason="state") == 1


INOTIFY = """
import ctypes, os, sys
os.setresuid(*3 * [int(sys.argv[1])])
libc = ctypes.CDLL(None)
while libc.inotify_init1(0) >= 0:
    pass
print("none is left", flush=True)
sys.stdin.read()
"""


@contextmanager
def no_inotify(uid: int) -> Iterator[None]:
    """A user of Unix has as many inotify instances as the kernel allows."""
    command = (sys.executable, "-c", INOTIFY, str(uid))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"none is left\n"
        try:
            yield
        finally:
            holder.kill()


async def test_a_server_that_cannot_tell_is_noticed(start: Start, log: Log, dovecot: Dovecot, accounts: Path) -> None:
    accounts.write_text(f"{MASTER_LINE}user15\n")
    with no_inotify(dovecot.uid("user15")), capture_logs() as logs:
        running = await start(imap_url=dovecot.url(), imap_accounts=accounts, imap_poll_seconds=1)
        await listened(running)
        user = Steps(log, "user15")
        # The first may be one that the server was about to tell of.
        await user.step(lambda: dovecot.deliver("user15"), "MessageNew")
        assert not events(logs, "imap server does not tell of changes")
        await user.step(lambda: dovecot.deliver("user15"), "MessageNew")
        await eventually(lambda: events(logs, "imap server does not tell of changes"), SECONDS)
        (said,) = events(logs, "imap server does not tell of changes")
        assert "fs.inotify.max_user_instances" in said["advice"]
        assert running.value("tidings_publisher_imap_untold_total") == 1


def token(user: str, seconds: float) -> str:
    now = int(time.time())
    return jwt.encode({"sub": user, "iat": now - 100, "exp": now + int(seconds)}, OAUTH_KEY, "HS256")


async def test_oauth_tokens(start: Start, log: Log, dovecot: Dovecot, accounts: Path) -> None:
    accounts.write_text(f"user16 token={token('user16', 600)}\nuser17 token-file=user17.token\n")
    fresh = accounts.parent / "user17.token"
    expired = token("user17", -50)
    fresh.write_text(expired)
    with capture_logs() as logs:
        running = await start(imap_url=dovecot.url(), imap_accounts=accounts)
        await listened(running, 1)
        await eventually(lambda: events(logs, "imap account cannot be listened to: login"), SECONDS)
        (said,) = events(logs, "imap account cannot be listened to: login")
        assert said["login"] == "user17"
        fresh.write_text(token("user17", 600) + "\n")
        await listened(running, 2)
        await eventually(lambda: events(logs, "imap account is listened to again"), SECONDS)
        await asyncio.to_thread(dovecot.deliver, "user16", "user17")
        await log.until(("user16", "MessageNew"), ("user17", "MessageNew"))
    assert expired not in str(logs)


async def test_tls_from_the_first_byte(
    start: Start, log: Log, dovecot: Dovecot, accounts: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.write_text(f"{MASTER_LINE}user18\n")
    with capture_logs() as logs:
        doubtful = await start(imap_url=dovecot.url("imaps"), imap_accounts=accounts)
        await eventually(lambda: events(logs, "imap connection failed"), SECONDS)
        (said,) = events(logs, "imap connection failed")
        assert "certificate is not accepted" in said["error"]
        await doubtful.stop()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    await listened(await start(imap_url=dovecot.url("imaps"), imap_accounts=accounts))
    await asyncio.to_thread(dovecot.deliver, "user18")
    await log.until(("user18", "MessageNew"))


async def test_starttls(dovecot: Dovecot, certificate: Path) -> None:
    address = Address("127.0.0.1", dovecot.imap_port, Protection.STARTTLS)

    async def capabilities(context: ssl.SSLContext) -> frozenset[str]:
        connection = Connection(address, context, View().take)
        try:
            await connection.open()
            return connection.capabilities
        finally:
            await connection.close()

    trusting, doubtful = ssl.create_default_context(cafile=certificate), ssl.create_default_context()
    # The publisher's loop, and Python's own.
    for found in (await asyncio.to_thread(uvloop.run, capabilities(trusting)), await capabilities(trusting)):
        assert "AUTH=PLAIN" in found
        assert "STARTTLS" not in found
    with pytest.raises(ImapError, match="certificate is not accepted"):
        await asyncio.to_thread(uvloop.run, capabilities(doubtful))
    with pytest.raises(ImapError, match="certificate is not accepted"):
        await capabilities(doubtful)
